"""History and run files: bounded memory, bit-exact files, torn, foreign and newer ones; sinks."""

from __future__ import annotations

import csv
import gc
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import seqgrad as sg
from seqgrad import sinks
from seqgrad.history import Entry, History, SeriesEntry, run_header
from seqgrad.rules import Finding

NAN, INF = math.nan, math.inf


def entry(step, values=(1.0, 2.0), *, name="rnn.l0", loss=None, reverse=False, **quantities):
    norms = {"grad_h": values, **quantities}
    tensors = {q: torch.tensor(v, dtype=torch.float64) for q, v in norms.items()}
    return Entry(step, {name: SeriesEntry(tensors, {"ratio": 0.5, "horizon": 1.0}, reverse, "gru")}, loss)


def finding(step=0, rule="Exploding", value=450.0):
    return Finding(rule, "error", step, "rnn", "l0", 7, value, 100.0, "rnn l0 is too large: f()", action="f()")


def filled(count=3, **options):
    history = History(**options)
    for step in range(count):
        history.append(entry(step))
    return history


# -- memory ------------------------------------------------------------------------------------------------------------
def test_memory_is_bounded_and_the_newest_are_all_there():
    history = filled(1000, keep=10)
    assert history.steps[-10:] == list(range(990, 1000))
    assert len(history) <= 20
    assert history.steps[0] == 0
    assert history.steps == sorted(history.steps)


def test_what_is_thinned_stays_evenly_spread():
    old = filled(1000, keep=10).steps[:-10]
    gaps = {b - a for a, b in itertools.pairwise(old)}
    assert gaps == {128}


def test_keep_none_keeps_all():
    assert filled(700, keep=None).steps == list(range(700))


def test_recent_crosses_into_the_thinned_part():
    history = filled(30, keep=5)
    assert [e.step for e in history.recent(3)] == [27, 28, 29]
    assert [e.step for e in history.recent(7)] == history.steps[-7:]


def test_steps_must_rise():
    history = filled(3)
    with pytest.raises(ValueError, match="steps must rise: got step 2 after step 2"):
        history.append(entry(2))


def test_matrix_is_padded_with_nan_and_figures_are_per_step():
    history = History()
    history.append(entry(0, [1.0, 2.0, 3.0], grad_carry=[0.5, 0.5, 0.0]))
    history.append(entry(1, [4.0], name="other"))
    history.append(entry(2, [5.0, 6.0]))
    expected = torch.tensor([[1.0, 2.0, 3.0], [NAN, NAN, NAN], [5.0, 6.0, NAN]], dtype=torch.float64)
    torch.testing.assert_close(history.matrix("rnn.l0"), expected, equal_nan=True, rtol=0, atol=0)
    assert history.lengths("rnn.l0") == [3, 0, 2]
    assert history.quantities("rnn.l0") == ("grad_h", "grad_carry")
    ratio = history.figures("rnn.l0")["ratio"]
    assert (ratio[0], math.isnan(ratio[1]), ratio[2]) == (0.5, True, 0.5)
    assert history.series == ("rnn.l0", "other")
    with pytest.raises(KeyError, match=r"no series 'l0' in this history; there are: rnn.l0, other"):
        history.matrix("l0")
    with pytest.raises(ValueError, match=r"series 'rnn.l0' has no 'grad_c'; it has grad_h, grad_carry"):
        history.matrix("rnn.l0", "grad_c")


def test_to_pandas_has_a_row_per_step_series_and_timestep():
    history = History()
    history.append(entry(0, [1.0, 2.0], loss=0.25))
    history.append(entry(5, [3.0], name="other", reverse=True))
    table = history.to_pandas()
    assert table[["step", "series", "t", "grad_h"]].to_numpy().tolist() == [
        [0, "rnn.l0", 0, 1.0], [0, "rnn.l0", 1, 2.0], [5, "other", 0, 3.0],
    ]  # fmt: skip
    assert table["loss"].tolist()[:2] == [0.25, 0.25]
    assert table["reverse"].tolist() == [False, False, True]
    assert len(History().to_pandas()) == 0


@pytest.mark.parametrize("keep", [0, -1, True, 1.5])
def test_keep_must_be_positive(keep):
    with pytest.raises(ValueError, match="keep must be a positive int, or None"):
        History(keep)


# -- files -------------------------------------------------------------------------------------------------------------
def same(a: History, b: History) -> None:
    assert a.steps == b.steps
    assert a.series == b.series
    assert [f.to_dict() for f in a.findings] == [f.to_dict() for f in b.findings]
    for ours, theirs in zip(a.entries, b.entries, strict=True):
        assert json.dumps(ours.to_dict()) == json.dumps(theirs.to_dict())


def test_a_run_comes_back_bit_for_bit(tmp_path):
    history = History()
    odd = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, NAN, INF, -INF, 0.0, 1 / 3]
    history.append(entry(0, odd, loss=NAN, clip_hits=[0.0] * 8, h=odd), [finding(0, value=INF)])
    history.append(entry(3, [1.0], loss=0.1))
    history.save(tmp_path / "run.jsonl")
    again = History.load(tmp_path / "run.jsonl")
    same(history, again)
    ours, theirs = history.matrix("rnn.l0")[0], again.matrix("rnn.l0")[0]
    assert (
        ours.view(torch.int64)[[0, 1, 2, 4, 5, 6, 7]].tolist()
        == theirs.view(torch.int64)[[0, 1, 2, 4, 5, 6, 7]].tolist()
    )
    assert theirs.isnan().tolist() == ours.isnan().tolist()
    assert os.listdir(tmp_path) == ["run.jsonl"]


def test_every_line_is_strict_json(tmp_path):
    history = History()
    history.append(entry(0, [NAN, INF]), [finding(value=-INF)])
    history.save(tmp_path / "run.jsonl")

    def refuse(word):
        raise AssertionError(word)

    lines = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["run", "step", "finding"]
    assert lines[0]["format"] == 1
    assert lines[1]["series"]["rnn.l0"]["grad_h"] == ["NaN", "Infinity"]
    assert lines[2]["value"] == "-Infinity"


def test_a_torn_last_line_is_passed_over_with_a_note(tmp_path):
    path = tmp_path / "run.jsonl"
    filled(3).save(path)
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        path.write_bytes(whole[:-cut])
        if cut == 1:  # only the newline is missing: the line is whole
            assert History.load(path).steps == [0, 1, 2]
            continue
        with pytest.warns(UserWarning, match="line 4 is torn and was left out"):
            assert History.load(path).steps == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"step,loss\n0,1\n", "is not a run file; expected what seqgrad.sinks.JSONL or History.save wrote"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not a run file"),
        (b"[1, 2]\n", "is not a run file"),
        (b'{"kind": "run", "format": 1}\n', "is not a run file"),
        (b'{"seqgrad": "9.0", "format": 2, "kind": "run"}\n', "has format 2, written by seqgrad 9.0.*upgrade seqgrad"),
        (b'{"seqgrad": "1", "format": 1, "kind": "run"}\n{"kind": "st\n{"kind": "step"}\n', "is damaged at line 2"),
        (b'{"seqgrad": "1", "format": 1, "kind": "run"}\n{"kind": "step", "step": 1}\n', "is damaged: .*'series'"),
        (b'{"seqgrad": "1", "format": 1, "kind": "run"}\n{"kind": "finding"}\n', "is damaged: .*not a finding"),
    ],
)
def test_foreign_newer_and_damaged_files_are_refused(tmp_path, content, message):
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        History.load(path)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        History.load(tmp_path / "none.jsonl")


def test_unknown_keys_and_kinds_of_a_later_version_are_passed_over(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = [
        {**run_header(), "mood": "good"},
        {"kind": "weather"},
        {"kind": "step", "step": 4, "series": {"l0": {"grad_h": [1.0], "new": 2, "figures": {}}}, "more": []},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert History.load(path).steps == [4]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.jsonl"
    filled(2).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(Entry, "to_dict", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        filled(5).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.jsonl"]


# -- sinks -------------------------------------------------------------------------------------------------------------
def write(sink, history, *steps):
    for step in steps:
        new = entry(step, [3.0, NAN], loss=0.5)
        found = [finding(step)] if step == 1 else []
        history.append(new, found)
        sink.write(history, new, found)


def fresh(**facts):
    return History(header={**run_header(), "start": 0, **facts})


def test_jsonl_equals_the_saved_history(tmp_path):
    history, sink = fresh(), sinks.JSONL(tmp_path / "deep" / "run.jsonl")
    write(sink, history, 0, 1, 2)
    same(history, History.load(tmp_path / "deep" / "run.jsonl"))  # readable while it is open
    sink.close()
    write(sink, history, 3)  # goes on without a second header
    sink.close()
    same(history, History.load(tmp_path / "deep" / "run.jsonl"))


def test_a_second_run_in_the_file_is_read_alone_and_a_resumed_one_joins(tmp_path):
    path = tmp_path / "run.jsonl"
    for header, steps in (({}, (0, 1, 2)), ({}, (0, 1, 4))):
        sink = sinks.JSONL(path)
        write(sink, fresh(**header), *steps)
        sink.close()
    assert History.load(path).steps == [0, 1, 4]
    sink = sinks.JSONL(path)
    write(sink, fresh(start=3), 3, 5)
    sink.close()
    history = History.load(path)
    assert history.steps == [0, 1, 3, 5]
    assert [f.step for f in history.findings] == [1]


@pytest.mark.parametrize("tail", [b'{"kind": "step", "st', b'{"kind": "weather"}'])
def test_writing_on_after_a_kill_mends_the_last_line(tmp_path, tail):
    path = tmp_path / "run.jsonl"
    write(sink := sinks.JSONL(path), fresh(), 0, 1)
    sink.close()
    with open(path, "ab") as file:
        file.write(tail)
    write(sink := sinks.JSONL(path), fresh(start=2), 2)
    sink.close()
    assert History.load(path).steps == [0, 1, 2]


def test_a_killed_training_leaves_a_readable_file(tmp_path):
    path = tmp_path / "run.jsonl"
    script = (
        "import os, signal, torch, seqgrad as sg\n"
        "rnn = sg.GRU(3, 4)\n"
        f"mon = sg.Monitor(rnn, every=1, on_finding=None, sinks=[sg.sinks.JSONL({str(path)!r})])\n"
        "for step in range(5):\n"
        "    with mon:\n"
        "        rnn(torch.randn(6, 2, 3))[0].sum().backward()\n"
        "    mon.step()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert History.load(path).steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", [sinks.JSONL, sinks.CSV])
def test_a_sink_that_nobody_closed_closes_its_file(tmp_path, kind):
    """Else Python warns of it whenever it collects the garbage, in the middle of something else."""
    write(sink := kind(tmp_path / "run"), fresh(), 0)
    file = sink._file
    sink.itself = sink  # a cycle, as tracebacks make them
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del sink
        gc.collect()
        assert file.closed
        del file
        gc.collect()
    assert [str(one.message) for one in caught] == []


def test_other_ranks_write_beside(tmp_path):
    write(sink := sinks.JSONL(tmp_path / "run.jsonl"), fresh(rank=2), 0)
    sink.close()
    assert os.listdir(tmp_path) == ["run.rank2.jsonl"]


class Writer:
    def __init__(self):
        self.scalars, self.texts, self.figures = [], [], []

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def add_text(self, tag, text, step):
        self.texts.append((tag, text, step))

    def add_figure(self, tag, figure, step, close):
        self.figures.append((tag, figure, step))


def trained(sink, steps=2):
    rnn = sg.LSTM(3, 4, bidirectional=True)
    mon = sg.Monitor(nn.ModuleDict({"rnn": rnn}), every=1, on_finding=None, sinks=[sink])
    for _ in range(steps):
        with mon:
            loss = rnn(torch.zeros(60, 2, 3))[0][-1].sum()
            loss.backward()
        mon.step(loss=loss)
        rnn.zero_grad()
    return mon


def test_tensorboard_gets_at_most_six_scalars_per_series_and_a_figure_now_and_then():
    writer = Writer()
    trained(sinks.TensorBoard(writer, figures=2))
    per_series = [tag for tag, _, step in writer.scalars if step == 1 and tag.startswith("seqgrad/rnn.l0/")]
    assert 0 < len(per_series) <= 6
    assert all(isinstance(value, float) for _, value, _ in writer.scalars)
    assert [(tag, step) for tag, _, step in writer.figures] == [
        ("seqgrad/rnn.l0/heatmap", 1), ("seqgrad/rnn.l0_reverse/heatmap", 1),
    ]  # fmt: skip
    assert "Vanishing" in writer.texts[0][1]


def test_tensorboard_takes_a_bare_writer_and_refuses_none():
    class Bare:
        def __init__(self):
            self.tags = []

        def add_scalar(self, tag, value, step):
            self.tags.append(tag)

    bare = Bare()
    trained(sinks.TensorBoard(bare, prefix="grads", figures=1))
    assert "grads/loss" in bare.tags
    with pytest.raises(TypeError, match="writer must be a SummaryWriter or have add_scalar"):
        sinks.TensorBoard("runs")
    with pytest.raises(ValueError, match="figures must be an int >= 0"):
        sinks.TensorBoard(bare, figures=-1)


def test_log_hands_flat_numbers_to_a_logger():
    class Run:
        def __init__(self):
            self.lines = []

        def log(self, numbers, step):
            self.lines.append((step, numbers))

    run = Run()
    trained(sinks.Log(run))
    (step, numbers), _ = run.lines
    assert step == 0
    assert numbers["seqgrad/findings"] >= 1
    assert {"seqgrad/loss", "seqgrad/grad_norm", "seqgrad/rnn.l0/ratio"} <= set(numbers)
    assert all(isinstance(value, (int, float)) for value in numbers.values())
    with pytest.raises(TypeError, match=r"run must have log\(dict, step=...\)"):
        sinks.Log(print)


def test_callable_gets_the_lines_of_a_run_file():
    lines = []
    trained(sinks.Callable(lines.append), steps=1)
    assert lines[0]["kind"] == "step"
    assert {line["kind"] for line in lines[1:]} == {"finding"}
    with pytest.raises(TypeError, match="function must be callable"):
        sinks.Callable("print")


def test_csv_has_a_row_per_step_and_series(tmp_path):
    path = tmp_path / "run.csv"
    mon = trained(sinks.CSV(path), steps=2)
    mon.close()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["series"]) for row in rows] == [
        (step, name) for step in "01" for name in ("rnn.l0", "rnn.l0_reverse")
    ]
    assert float(rows[0]["ratio"]) == mon.history.figures("rnn.l0")["ratio"][0]
    assert rows[0]["findings"] == "Vanishing"


def test_a_sink_must_define_write():
    with pytest.raises(NotImplementedError, match="must define write"):
        sinks.Sink().write(History(), entry(0), [])
