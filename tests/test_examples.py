"""The programs in examples/: they run, refuse bad input, and learn the same on torch.nn's layers and on ours."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import diagnose
import language_model
import pytest
import sequence_classifier
import torch

import seqgrad as sg

PROGRAMS = {"language_model": language_model, "sequence_classifier": sequence_classifier, "diagnose": diagnose}
SMALL = {
    language_model: ["--hidden", "24", "--bptt", "12", "--batch", "8"],
    sequence_classifier: ["--lines", "60", "--hidden", "12", "--batch", "16"],
}
STEPS = 8


def losses(program, layers, *arguments):
    """Of the first training steps."""
    training = program.Training(program.parse(["--layers", layers, *SMALL[program], *arguments]))
    kinds = {type(module) for module in training.model.modules() if hasattr(module, "weight_hh_l0")}
    assert [kind.__module__.partition(".")[0] for kind in kinds] == [layers]
    return list(itertools.islice(training.epoch(), STEPS)), training


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("program", [language_model, sequence_classifier])
def test_both_libraries_learn_the_same(program, cell):
    theirs, _ = losses(program, "torch", "--cell", cell)
    ours, training = losses(program, "seqgrad", "--cell", cell)
    # torch.testing's own tolerance for float32; dropout is on in the language model, with the same masks.
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))
    assert len(ours) == STEPS
    assert len(set(ours)) == STEPS
    assert all(parameter.grad is not None for parameter in training.model.parameters())


def test_the_language_model_ties_its_weights_and_cuts_the_graph():
    _, training = losses(language_model, "seqgrad")
    model = training.model
    assert model.score.weight is model.embed.weight
    with sg.record(model) as rec:
        state = None
        for x, y in itertools.islice(training.chunks(training.train, 12), 2):
            scores, state = model(x, sg.detach(state))
            language_model.cross_entropy(scores, y).backward()
    backwards = [series.backward for series in rec._log.passes if series.key == "rnn.l0"]
    assert backwards == [0, 1]


def test_the_corpus_puts_each_column_behind_the_other():
    ids = torch.arange(23)
    columns = language_model.columns(ids, 4)
    assert columns.shape == (5, 4)
    assert columns.t().flatten().tolist() == list(range(20))


def test_the_language_model_reports_writes_and_is_watched(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat .\nthe dog sat on the cat .\n" * 60, encoding="utf-8")
    run = tmp_path / "run.jsonl"
    options = language_model.parse(
        ["--text", str(text), "--hidden", "16", "--depth", "1", "--bptt", "8", "--batch", "4", "--epochs", "8",
         "--lr", "0.006", "--dropout", "0", "--report", "20", "--write", "30", "--monitor", str(run)]
    )  # fmt: skip
    training = language_model.run(options)
    out = capsys.readouterr().out
    assert "perplexity" in out
    assert set(out.splitlines()[-1].split()) <= {"the", "cat", "sat", "on", "mat", "dog", "."}
    # In this text only "the" leaves a choice, between two nouns that depend on what came before.
    assert training.validate() < 0.5
    history = sg.History.load(run)
    assert history.series == ("rnn.l0",)
    assert history.steps[0] == 0
    assert "<rare>" not in training.write(200)


def test_the_rate_falls_when_the_held_out_text_stops_improving(monkeypatch, capsys):
    held_out = iter([3.0, 2.0, 2.5, 1.9, 1.9])
    monkeypatch.setattr(language_model.Training, "validate", lambda self: next(held_out))
    monkeypatch.setattr(language_model.Training, "epoch", lambda self: iter([1.0]))
    options = language_model.parse([*SMALL[language_model], "--epochs", "5", "--lr", "0.64", "--write", "0"])
    training = language_model.run(options)
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(0.64 / 16)
    assert "rate 0.16" in capsys.readouterr().out


SOURCE = '''"""Says a thing
that takes two lines."""

# a remark
def f(x):  # a remark beside code
    "What it does."
    return """no documentation
    # no remark"""
'''


def test_lines_are_what_the_parser_says():
    kinds = ["documentation", "documentation", "code", "comment", "code", "documentation", "code", "code"]
    lines = list(sequence_classifier.lines_of(SOURCE))
    assert [sequence_classifier.KINDS[kind] for _, kind in lines] == kinds
    assert [text for text, _ in lines[:2]] == ["Says a thing", "that takes two lines."]
    assert lines[3][0] == "a remark"


def test_the_classifier_learns(capsys):
    options = sequence_classifier.parse(["--lines", "400", "--hidden", "24", "--epochs", "3", "--lr", "0.01"])
    training = sequence_classifier.run(options)
    truth = torch.tensor([kind for _, kind in training.valid])
    assert len(truth) == 120
    assert (training.validate() == truth).double().mean() > 0.55  # guessing: a third
    assert "taken for" in capsys.readouterr().out


def test_the_classifier_takes_lines_in_any_order_of_length():
    training = sequence_classifier.Training(sequence_classifier.parse(SMALL[sequence_classifier]))
    data = [(sequence_classifier.encode(text), 0) for text in ("short", "somewhat longer", "mid size")]
    with torch.no_grad():
        (together,) = [training.model(lines) for lines, _ in training.batches(data)]
        alone = torch.cat([training.model(next(training.batches([one]))[0]) for one in data])
    torch.testing.assert_close(together, alone)


def test_the_diagnosis_names_a_cure_that_works(capsys):
    options = diagnose.parse(["--length", "60", "--hidden", "32", "--steps", "150", "--lr", "0.003"])
    before, after = diagnose.run(options)
    chance = torch.tensor(float(diagnose.SYMBOLS)).log().item()
    assert sum(before[-20:]) / 20 > 0.95 * chance
    assert sum(after[-20:]) / 20 < 0.7 * chance
    out = capsys.readouterr().out
    assert "the gradient vanishes" in out
    assert ">>> seqgrad.init.orthogonal_(model.get_submodule('rnn'))" in out


def test_a_network_without_trouble_needs_no_cure(capsys):
    options = diagnose.parse(["--length", "2", "--hidden", "16", "--steps", "3"])
    assert diagnose.run(options)[1] == []
    assert "--length 200" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("language_model", ["--layers", "keras"], "invalid choice: 'keras'"),
        ("language_model", ["--hidden", "0"], "--hidden: must be at least 1, got 0"),
        ("language_model", ["--dropout", "1"], "--dropout: must be from 0 to below 1, got 1"),
        ("language_model", ["--lr", "nan"], "--lr: must be above 0, got nan"),
        ("language_model", ["--write", "-1"], "--write: must be at least 1, got -1"),
        ("language_model", ["--text", "no/such/file"], "--text: there is no file no/such/file"),
        ("language_model", ["--layers", "torch", "--monitor", "x"], "--monitor sees into seqgrad's layers alone"),
        ("sequence_classifier", ["--lines", "few"], "--lines: invalid positive value: 'few'"),
        ("sequence_classifier", ["--layers", "torch", "--monitor", "x"], "--monitor sees into seqgrad's layers alone"),
        ("diagnose", ["--steps", "0"], "--steps: must be at least 1, got 0"),
    ],
)
def test_bad_input_is_told(program, arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        PROGRAMS[program].parse(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("content", "message"), [(b"too short", "too few for 20 columns"), (b"\xff" * 99, "UTF-8")])
def test_a_text_that_will_not_do_is_told(tmp_path, content, message):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        language_model.Training(language_model.parse(["--text", str(path)]))


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_is_a_program_with_help(program, tmp_path):
    file = Path(PROGRAMS[program].__file__)
    environment = {"PYTHONPATH": str(Path(sg.__file__).parent.parent), "PATH": "", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, str(file), "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert f"usage: {program}.py" in done.stdout
    assert "--seed" in done.stdout
