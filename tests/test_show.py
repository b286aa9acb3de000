"""seqgrad show: what a run file looks like in the terminal, live, as JSON, and when it is no run file."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from processes import started
from runs import FINDINGS, LENGTH, STEPS, entry, history, norms, write

import seqgrad as sg
from seqgrad import _run_file, _show
from seqgrad._run_words import say
from seqgrad._spark import spark
from seqgrad._speech import LANGUAGES
from seqgrad._tail import Tail
from seqgrad.cli import main

INF, NAN = math.inf, math.nan


def call(*arguments, **options):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "run.jsonl")


# -- sparkline ---------------------------------------------------------------------------------------------------------
def test_spark_rises_with_the_logarithm():
    assert spark([10.0**k for k in range(8)]) == "▁▂▃▄▅▆▇█"
    assert spark([10.0**k for k in range(8)], blocks=False) == "_.:-=+*#"
    assert spark([]) == ""


def test_spark_shows_zeros_and_nan_even_among_thousands():
    assert spark([0.0, NAN, INF, 1.0]) == "·××▅"
    values = [1.0] * 5000
    values[4321] = NAN
    assert spark(values, 20).count("×") == 1
    assert spark([0.0] * 50 + [1.0] * 50, 4) == "··▅▅"


def test_spark_shows_a_level_curve_as_level():
    assert set(spark([1.0, 1.1, 0.95, 1.02])) <= {"▄", "▅"}
    assert spark([1e-308, 1e308]) == "▁█"


# -- the tail ----------------------------------------------------------------------------------------------------------
def test_tail_takes_lines_as_they_come(tmp_path):
    path = write(tmp_path / "run.jsonl", 2)
    tail = Tail(path)
    assert [line["kind"] for line in tail.poll()] == ["run", "step", "step"]
    assert tail.poll() == []
    line = _run_file.encode(entry(2).to_dict())
    with open(path, "a", encoding="utf-8") as file:
        file.write(line[:30])
        file.flush()
        assert tail.poll() == [] and tail.torn
        file.write(line[30:])
    assert [line["step"] for line in tail.poll()] == [100] and not tail.torn
    assert tail.history.steps == [0, 50, 100]
    assert tail.history.matrix("encoder.rnn.l0")[2].tolist() == norms(2)


def test_tail_starts_again_when_the_file_was_replaced_or_cut(tmp_path):
    path = write(tmp_path / "run.jsonl", 5)
    tail = Tail(path)
    tail.poll()
    write(path, 2)  # os.replace: another file of that name
    tail.poll()
    assert tail.history.steps == [0, 50]
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    tail.poll()
    assert tail.history.steps == []


# -- once --------------------------------------------------------------------------------------------------------------
def test_show_prints_every_series_and_finding_as_plain_text(path):
    result = call("show", path)
    assert result.exit_code == 0 and "\x1b[" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[0].startswith("run.jsonl  seqgrad ") and "device cpu" in lines[0]
    assert lines[1] == f"step 1950, loss NaN  ({STEPS} recorded steps since step 0)"
    ill = next(line for line in lines if line.startswith("encoder.rnn.l0 "))
    assert ill.split()[1].startswith("×") and ill.split()[2:8] == ["NaN", "1", "NaN", "12", "of", str(LENGTH - 1)]
    well = next(line for line in lines if line.startswith("encoder.rnn.l0_reverse (reverse)"))
    assert "0.5" in well and f"{LENGTH - 1} of {LENGTH - 1}" in well
    assert "· exactly 0   × NaN or Inf" in lines
    text = " ".join(result.stdout.split())
    for finding in FINDINGS:
        assert f"{finding.severity} {finding.rule} at step {finding.step}: {finding.message}" in text


def test_a_step_that_the_message_names_is_not_said_twice():
    finding = replace(FINDINGS[0], message="step 300, encoder.rnn l0 vanishes")
    assert _show.sentence(finding) == "warning Vanishing: step 300, encoder.rnn l0 vanishes"


def test_show_of_a_run_without_steps_or_findings(tmp_path):
    result = call("show", write(tmp_path / "run.jsonl", 0))
    assert result.exit_code == 0
    assert "no step recorded yet" in result.stdout and "no findings" in result.stdout


def test_show_says_that_a_line_is_torn(path):
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"kind":"step","st')
    result = call("show", path)
    assert result.exit_code == 0
    assert "the last line is torn and was left out" in result.stdout
    assert json.loads(call("show", path, "--json").stdout)["torn"] is True


def test_json_is_strict_and_holds_the_last_step(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    data = json.loads(call("show", path, "--json").stdout, parse_constant=refuse)
    assert data["step"] == 1950 and data["entries"] == STEPS and data["loss"] == "NaN"
    assert [_run_file.number(v) for v in data["series"]["encoder.rnn.l0"]["grad_h"]] == pytest.approx(
        norms(STEPS - 1), nan_ok=True
    )
    assert [finding["rule"] for finding in data["findings"]] == ["Vanishing", "Exploding", "NonFinite"]


def test_check_ends_with_one_on_an_error_and_not_on_a_warning(path, tmp_path):
    assert call("show", path, "--check").exit_code == 1
    assert call("show", write(tmp_path / "early.jsonl", 10), "--check").exit_code == 0


def test_many_findings_are_counted_and_not_all_shown(tmp_path):
    past = history()
    past.findings *= 5
    past.save(tmp_path / "run.jsonl")
    result = call("show", tmp_path / "run.jsonl")
    assert f"{15 - _show.SHOWN} earlier findings are left out" in result.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no file .*run\.jsonl; a training writes one with sinks=\[seqgrad\.sinks\.JSONL\("),
        (b"", "is empty; a run file starts with a header line"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not a run file; expected what seqgrad.sinks.JSONL or History.save wrote"),
        (b'{"seqg', "is not a run file"),
        (b'{"a": 1}\n', "is not a run file"),
        (b"[1]\n", "is not a run file"),
        (
            b'{"seqgrad": "9.0", "format": 2, "kind": "run"}\n',
            "has format 2, written by seqgrad 9.0; .*upgrade seqgrad",
        ),
        (b'{"seqgrad": "0.1", "format": 1, "kind": "run"}\n{"kind": "step"}\n', "is damaged at line 2"),
        (b'{"seqgrad": "0.1", "format": 1, "kind": "run"}\n{nonsense}\n', "is damaged at line 2"),
    ],
)
def test_a_file_that_is_no_run_file_is_a_usage_error(tmp_path, content, message):
    path = tmp_path / "run.jsonl"
    if content is not None:
        path.write_bytes(content)
    commands = [("show", path), ("show", path, "--json"), ("report", path)]
    if content:  # else it is waited for
        commands.append(("show", path, "--follow"))
    for arguments in commands:
        result = call(*arguments)
        assert result.exit_code == 2, arguments
        assert re.search(message, " ".join(result.stderr.split())), result.stderr
        assert result.stdout == ""


def test_a_saved_record_is_sent_to_the_command_that_shows_it(tmp_path):
    rnn = sg.RNN(2, 3)
    with sg.record(rnn) as record:
        rnn(torch.zeros(4, 1, 2))[0][-1].sum().backward()
    record.save(tmp_path / "one.npz")
    told = " ".join(call("show", tmp_path / "one.npz").stderr.split())
    assert f"is an archive, perhaps a saved record, and not a run file; `seqgrad report {tmp_path / 'one.npz'}`" in told
    with pytest.raises(ValueError, match=r"seqgrad\.GradientRecord\.load reads it"):
        sg.History.load(tmp_path / "one.npz")


def test_a_folder_is_a_usage_error(tmp_path):
    result = call("show", tmp_path)
    assert result.exit_code == 2 and "cannot read" in result.stderr


def test_check_and_follow_exclude_each_other(path):
    assert call("show", path, "--check", "--follow").exit_code == 2


# -- live --------------------------------------------------------------------------------------------------------------
def test_follow_prints_a_line_a_step_and_ends_cleanly(tmp_path, capsys):
    path = write(tmp_path / "run.jsonl", 3)
    tail = Tail(path)
    tail.poll()
    rounds = iter(range(3, 6))

    def wait(seconds):
        k = next(rounds, None)
        if k is None:
            raise KeyboardInterrupt
        with open(path, "a", encoding="utf-8") as file:
            file.write(_run_file.encode(entry(k).to_dict()))
            if k == 4:
                file.write(_run_file.encode({"kind": "finding", **FINDINGS[0].to_dict()}))

    for as_json in (False, True):
        with pytest.raises(KeyboardInterrupt):
            _show.follow(tail, as_json=as_json, interval=0, wait=wait)
    text, *_ = capsys.readouterr().out.split("{", 1)
    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["step 100", "step 150"]
    assert lines[3].startswith("warning Vanishing at step 300: encoder.rnn l0: below 1e-3")
    assert "loss 0.25  encoder.rnn.l0 ratio" in lines[1]
    assert len(lines) == 5


def test_follow_waits_for_a_file_that_is_not_there_yet(tmp_path):
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "seqgrad", "show", str(path), "--follow", "--json", "--interval", "0.05"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == f"waiting for {path}\n"
        path.touch()
        time.sleep(0.2)
        write(path, 3)
        assert json.loads(process.stdout.readline())["step"] == 100
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


def test_follow_does_not_wait_in_a_folder_that_does_not_exist(tmp_path):
    result = call("show", tmp_path / "typo" / "run.jsonl", "--follow")
    assert result.exit_code == 2 and "there is no file" in result.stderr


def test_ctrl_c_ends_follow_with_zero(tmp_path):
    path = write(tmp_path / "run.jsonl", 3)
    command = [sys.executable, "-m", "seqgrad", "show", str(path), "--follow", "--json", "--interval", "0.05"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        assert first["step"] == 100
        with open(path, "a", encoding="utf-8") as file:
            file.write(_run_file.encode(entry(3).to_dict()))
        assert json.loads(process.stdout.readline())["step"] == 150
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


def terminal(arguments, until, **environment):
    """Run the command on a pseudo-terminal of 110 columns, interrupt it at ``until``; its output and exit code."""
    handle, slave = pty.openpty()
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "110", "LINES": "40"}
    settings.pop("NO_COLOR", None)
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    command = [sys.executable, "-m", "seqgrad", *arguments]
    with started(command, env={**settings, **environment}, **streams) as process:
        os.close(slave)
        seen, deadline, pressed = b"", time.monotonic() + 120, False
        while time.monotonic() < deadline:
            if not select.select([handle], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(handle, 65536)
            except OSError:  # the other end is closed
                break
            seen += data
            if not pressed and until.encode() in seen:
                process.send_signal(signal.SIGINT)
                pressed = True
        os.close(handle)
    return seen.decode(), process.returncode


def test_on_a_terminal_follow_redraws_in_colour_and_gives_the_cursor_back(path):
    seen, code = terminal(["show", str(path), "--follow", "--interval", "0.1"], "seqgrad.check_grads(model).")
    assert code == 0
    assert "\x1b[31m" in seen and "\x1b[?25l" in seen  # red, cursor hidden
    assert seen.rstrip().endswith("\x1b[?25h")  # and shown again
    assert "Traceback" not in seen and "encoder.rnn.l0_reverse" in seen


def test_no_color_is_honoured_on_a_terminal(path):
    seen, code = terminal(["show", str(path)], "\0never", NO_COLOR="1")
    assert code == 0 and "encoder.rnn.l0" in seen
    assert "\x1b[" not in seen


def test_without_colours_the_width_of_the_terminal_is_kept_to_all_the_same(path):
    for columns in (70, 140):
        seen, code = terminal(["show", str(path)], "\0never", NO_COLOR="1", COLUMNS=str(columns))
        lines = seen.replace("\r", "").splitlines()
        assert code == 0 and "\x1b[" not in seen
        assert 0.7 * columns < max(map(len, lines)) <= columns


def test_show_speaks_spanish(path):
    text = call("show", path, "--lang", "es").stdout
    assert "paso 1950, pérdida NaN  (40 pasos registrados desde el paso 0)" in text
    assert "encoder.rnn.l0_reverse (inversa)" in text and "12 de 59" in text and "0,5" in text
    assert "· exactamente 0   × NaN o Inf" in text
    assert "aviso Gradiente que se desvanece en el paso 300: encoder.rnn l0" in text  # its message knows no Spanish
    assert "sin hallazgos" in call("show", write(path.with_name("none.jsonl"), 0), "--lang", "es").stdout


def test_a_terminal_without_unicode_gets_ascii(path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "seqgrad", "show", str(path)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("ascii")
    assert "xxxx" in text and "0 exactly 0   x NaN or Inf" in text


def test_without_rich_a_terminal_gets_plain_text(path, monkeypatch, capsys):
    monkeypatch.setattr(_show, "interactive", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    tail = Tail(path)
    tail.poll()
    _show.once(tail, as_json=False)
    assert "encoder.rnn.l0" in capsys.readouterr().out


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_narrow_terminal_goes_without_columns_and_keeps_every_cell_whole(path, width, lang):
    rich = pytest.importorskip("rich.console")
    tail = Tail(path)
    tail.poll()
    view = _show.View(tail, unicode=True, width=width, lang=lang)
    assert view.rows
    console = rich.Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(_show.rich_view(view))
    lines = captured.get().splitlines()
    for row in view.rows:
        assert any(line.startswith(row[0]) and row[4] in line and row[5] in line for line in lines)
    assert any(say("show.trend", lang) in line for line in lines) is (width == 200)
