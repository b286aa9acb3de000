"""The command line: exit codes, JSON, languages, wrong names."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import tiny
from click.testing import CliRunner
from processes import started

from seqgrad import _bench, _commands, _doctor, experiments, report
from seqgrad.cli import main


def call(*arguments, **options):
    return CliRunner().invoke(main, list(arguments), **options)


@pytest.fixture
def small(monkeypatch):
    """The registry with experiments of a few seconds in all: the commands run as they are."""
    few = ("decay", "gradient_flow", "residual", "truncation")  # they stand for the others
    entries = {name: replace(experiments.EXPERIMENTS[name], quick=tiny.TINY[name]) for name in few}
    monkeypatch.setattr(experiments, "EXPERIMENTS", entries)
    monkeypatch.setattr(_commands, "_processors", lambda: 1)  # starting processes takes longer than the work
    monkeypatch.setattr(report, "SECTIONS", report.SECTIONS[:2])  # a few figures are enough here


def test_list_names_every_experiment_in_both_languages():
    english, spanish = call("list"), call("list", "--lang", "es")
    assert english.exit_code == spanish.exit_code == 0
    for name in experiments.EXPERIMENTS:
        assert name in english.stdout
    assert "recordar el primer elemento" in spanish.stdout
    assert "The lesson" in english.stdout and "La lección" in spanish.stdout
    data = json.loads(call("list", "--json").stdout)
    assert {name: one["group"] for name, one in data.items()} == {
        name: entry.group for name, entry in experiments.EXPERIMENTS.items()
    }


def test_run_prints_claims_and_ends_with_zero():
    result = call("run", "decay", "--seeds", "2")
    assert result.exit_code == 0
    assert "decay.four_factors" in result.stdout
    assert "4 reproduced, 1 corrected, 0 not reproduced" in result.stdout
    assert "[  0%]" in result.stderr


def test_run_speaks_spanish():
    result = call("run", "decay", "--seeds", "1", "--lang", "es")
    assert "4 reproducidas, 1 corregidas, 0 no reproducidas" in result.stdout
    assert "0,0625" in result.stdout


def test_run_json_is_the_only_thing_on_stdout():
    data = json.loads(call("run", "decay", "--json", "--seeds", "1").stdout)
    assert data["name"] == "decay"
    assert data["claims"][0] == {**data["claims"][0], "id": "decay.four_factors", "verdict": "reproduced"}


def test_run_saves_figures_and_table(tmp_path):
    assert call("run", "decay", "--seeds", "1", "--out", str(tmp_path / "new")).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["decay.json", "decay_toy_en.png", "finished"]


def test_run_uses_a_finished_result_again_on_request(tmp_path, monkeypatch):
    arguments = ("run", "decay", "--seeds", "1", "--out", str(tmp_path), "--json")
    first = json.loads(call(*arguments).stdout)
    monkeypatch.setattr(experiments, "run", lambda *names, **options: pytest.fail("it was measured anew"))
    assert json.loads(call(*arguments, "--resume").stdout) == first


def test_resume_without_a_folder_says_where_it_would_look():
    result = call("run", "decay", "--resume")
    assert result.exit_code == 2 and "name it with --out" in result.stderr


def test_failed_claim_ends_with_one(monkeypatch):
    from seqgrad.experiments import claims, decay

    def unlucky(**options):
        result = decay(seeds=1)
        result.claims = [claims.judge("decay.four_factors", 0.07)]
        return result

    monkeypatch.setitem(experiments.EXPERIMENTS, "decay", experiments.Experiment("decay", unlucky, 1, {}))
    result = call("run", "decay")
    assert result.exit_code == 1
    assert "not reproduced" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nope"), "no experiment is called 'nope'; there are: decay, gradient_flow, explosion"),
        (("run", "char_model", "--seeds", "2"), "char_model runs one seed"),
        (("run", "decay", "--set", "sedes=3"), "--set: decay has no option 'sedes'; there are: factor, hidden, seeds"),
        (("run", "decay", "--set", "seeds"), "--set takes OPTION=VALUE, got 'seeds'"),
        (("run", "decay", "--set", "seeds=many"), "decay: seeds must be a whole number, got str 'many'"),
        (("run", "long_dependency", "--set", "lengths=1"), "long_dependency: lengths must be at least 2, got 1"),
        (("run", "decay", "--workers", "2"), "decay runs in one process; leave --workers out"),
        (("run", "decay", "--seeds", "0"), "--seeds"),
        (("lesson", "--lang", "fr"), "'fr' is not one of 'en', 'es'"),
        (("lessons",), "No such command 'lessons'"),
    ],
)
def test_usage_errors_end_with_two_and_say_what_exists(arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_out_that_is_a_file_is_a_usage_error(tmp_path):
    (tmp_path / "taken").write_text("")
    result = call("lesson", "--out", str(tmp_path / "taken" / "deeper"))
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_lesson_writes_the_report_and_reports_itself_as_json(small, tmp_path):
    result = call("lesson", "--quick", "--json", "--lang", "es", "--out", str(tmp_path))
    data = json.loads(result.stdout)
    assert result.exit_code == (0 if data["ok"] else 1)
    assert data["report"] == str(tmp_path / "lesson_es.html")
    assert (tmp_path / "lesson_es.html").stat().st_size > 100_000
    assert {claim["verdict"] for claim in data["claims"]} <= {"reproduced", "corrected", "not reproduced"}


def test_lesson_summary_names_the_report(small, tmp_path):
    result = call("lesson", "--quick", "--out", str(tmp_path), env={"NO_COLOR": "1"})
    assert f"Report: {tmp_path / 'lesson_en.html'}" in result.stdout
    assert "\x1b[" not in result.output


def test_options_of_a_function_are_set_by_name():
    arguments = ("--set", "factor=2.0", "--set", "steps=3", "--seeds", "1", "--json")
    data = json.loads(call("run", "decay", *arguments).stdout)
    assert [row["value"] for row in data["rows"] if row["curve"] == "toy"] == [1.0, 2.0, 4.0, 8.0]
    arguments = ("--set", "cells=lstm", "--set", "steps=5", "--set", "hidden=4", "--set", "seeds=1", "--json")
    data = json.loads(call("run", "gradient_flow", *arguments).stdout)
    assert {row["setup"] for row in data["rows"]} == {"lstm"}


def test_an_interrupted_lesson_keeps_what_has_finished_and_goes_on_from_there(small, tmp_path, monkeypatch):
    def interrupted(**options):
        raise KeyboardInterrupt

    entries = experiments.EXPERIMENTS
    whole = entries["truncation"]
    monkeypatch.setitem(entries, "truncation", replace(whole, function=interrupted))
    first = call("lesson", "--quick", "--out", str(tmp_path))
    assert first.exit_code == 130 and "--resume" in first.stderr
    before = list(entries)[: list(entries).index("truncation")]
    assert sorted(path.stem for path in (tmp_path / "finished").iterdir()) == sorted(before)

    counted = []
    monkeypatch.setitem(entries, "truncation", whole)
    original = experiments.run
    monkeypatch.setattr(experiments, "run", lambda name, **options: counted.append(name) or original(name, **options))
    second = call("lesson", "--quick", "--resume", "--json", "--out", str(tmp_path))
    assert counted == list(entries)[len(before) :]
    assert json.loads(second.stdout)["claims"]
    assert (tmp_path / "lesson_en.html").exists()

    counted.clear()  # other settings, other results
    monkeypatch.setitem(entries, "decay", replace(entries["decay"], quick={"seeds": 2}))
    call("lesson", "--quick", "--resume", "--json", "--lang", "es", "--out", str(tmp_path))
    assert counted == ["decay"]


def test_doctor_checks_every_cell():
    data = json.loads(call("doctor", "--json").stdout)
    assert data["ok"]
    names = {check["name"] for check in data["checks"]}
    assert {"rnn_tanh float32 cpu", "gru float64 cpu", "lstm float32 cpu"} <= names


def test_doctor_ends_with_one_when_a_check_fails(monkeypatch):
    monkeypatch.setattr(_doctor, "_worst_error", lambda *_: (0.5, "out"))
    result = call("doctor")
    assert result.exit_code == 1
    assert "FAIL" in result.stdout


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "seqgrad", "list"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert "long_dependency" in done.stdout


def test_missing_click_prints_the_pip_line():
    code = "import sys; sys.modules['click'] = None; from seqgrad.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "pip install 'seqgrad[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


COMMANDS = ("lesson", "list", "run", "show", "report", "bench", "doctor", "exercises", "check")


def test_help_names_every_command_and_teaches_by_example():
    text = call("--help").stdout
    assert set(COMMANDS) == set(main.commands)
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S.*[^.]\.$", text, re.MULTILINE), name  # a short help that is not cut off
        own = call(name, "--help")
        assert own.exit_code == 0 and "--json" in own.stdout
        if name != "list":
            assert f"seqgrad {name}" in own.stdout, "an example to copy"
    assert "_SEQGRAD_COMPLETE=bash_source seqgrad" in text and "Exit codes" in text
    assert call("-h").stdout == text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_works_as_the_help_says(shell, monkeypatch):
    """What the shell would run: the script that defines it, then one question."""
    question = {"COMP_WORDS": "seqgrad sh", "COMP_CWORD": "1" if shell != "fish" else "sh"}
    answers = {}
    for what in ("source", "complete"):
        monkeypatch.setattr("shutil.which", lambda name: None)  # asks no bash for its version
        settings = {**question, "_SEQGRAD_COMPLETE": f"{shell}_{what}"}
        answers[what] = CliRunner().invoke(main, prog_name="seqgrad", env=settings).stdout
    assert "_SEQGRAD_COMPLETE" in answers["source"]
    assert "show" in answers["complete"] and "bench" not in answers["complete"]


def test_version_is_that_of_the_build():
    from seqgrad import build_info

    assert call("--version").stdout == f"seqgrad {build_info().version}\n"


def test_bench_compares_both_in_one_table(monkeypatch):
    monkeypatch.setattr(_bench, "SHAPES", ((2, 3, 4, 5),))
    result = call("bench", "--seconds", "0.01", "--threads", "1")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines[3:9]] == [[cell, mode] for cell in _bench.PAIRS for mode in ("infer", "train")]
    assert "geometric mean of the ratios" in result.stdout and "threads 1" in result.stdout
    data = json.loads(call("bench", "--seconds", "0.01", "--cell", "gru", "--json").stdout)
    assert [row["cell"] for row in data["rows"]] == ["gru", "gru"]
    for row in data["rows"]:
        assert row["rounds"] >= _bench.LEAST
        for spent in row["milliseconds"].values():
            assert 0 < spent["low"] <= spent["median"] <= spent["high"]
        assert row["ratio"] == row["milliseconds"]["torch"]["median"] / row["milliseconds"]["seqgrad"]["median"]
    assert data["environment"]["torch"]


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_bench_on_a_device_that_is_not_there_is_a_usage_error(device):
    result = call("bench", "--device", device)
    assert result.exit_code == 2 and "--device" in result.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_with_130_and_leaves_no_half_written_file(tmp_path, workers):
    """As at a terminal: the signal goes to the command and to the processes that it started."""
    code = (
        "from seqgrad import _commands, cli\n"
        f"_commands._processors = lambda: {workers}\n"
        f"cli.main(['run', 'long_dependency', '--out', {str(tmp_path / 'out')!r}])"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with started([sys.executable, "-c", code], **pipes) as process:
        assert "[" in process.stderr.readline()  # it is at work
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "interrupted; files written so far are whole"
    assert "Traceback" not in errors and out == ""
    assert list((tmp_path / "out").iterdir()) == []


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    from pathlib import Path

    from seqgrad import _page

    target = tmp_path / "page.html"
    target.write_text("old")

    def interrupted(self, other):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _page.write_whole(target, "new")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
