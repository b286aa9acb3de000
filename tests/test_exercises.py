"""Exercises: right answers pass, starters and known mistakes get their hint, whatever else is told clearly."""

from __future__ import annotations

import json
import re
import string

import matplotlib.pyplot as plt
import pytest
from click.testing import CliRunner
from exercise_answers import ANSWERS, STARTERS

from seqgrad.cli import main
from seqgrad.exercises import EXERCISES
from seqgrad.exercises._answer import judge_file
from seqgrad.exercises._process import check as in_process
from seqgrad.exercises.texts import say, starter, texts
from seqgrad.experiments.texts import LANGUAGES

CASES = [(name, hint) for name, answers in ANSWERS.items() for hint in answers]


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    plt.close("all")


def judged(name, source, tmp_path):
    path = tmp_path / "answer.py"
    path.write_text(source, encoding="utf-8")
    return judge_file(EXERCISES[name], path)


@pytest.mark.parametrize(("name", "hint"), CASES)
def test_every_answer_gets_the_hint_meant_for_it(name, hint, tmp_path):
    outcome = judged(name, ANSWERS[name][hint], tmp_path)
    assert outcome.hint == hint, outcome
    assert outcome.right == (hint == "right")
    for lang in LANGUAGES:
        assert "{" not in say(EXERCISES[name], outcome.hint, lang, **outcome.facts)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", EXERCISES)
def test_starters_run_and_are_wrong_in_the_way_the_exercise_is_about(name, lang, tmp_path):
    source = starter(EXERCISES[name], lang, "answer.py")
    assert judged(name, source, tmp_path).hint == STARTERS[name]
    assert say(EXERCISES[name], "title", lang) in source


@pytest.mark.parametrize("name", EXERCISES)
def test_every_hint_has_an_answer_that_earns_it(name):
    hints = set(texts(EXERCISES[name].words)) - {"title", "task"}
    assert hints - set(ANSWERS[name]) - {STARTERS[name]} == set()


@pytest.mark.parametrize("words", ["shared", *(one.words for one in EXERCISES.values())])
def test_both_languages_quote_the_same_facts(words):
    for key, text in texts(words).items():
        fields = [sorted({f[1] for f in string.Formatter().parse(spoken) if f[1]}) for spoken in text]
        assert fields[0] == fields[1], key


@pytest.mark.parametrize(
    ("source", "hint", "text"),
    [
        ("def horizon(rnn, x, eps):\n    return (\n", "syntax", "'(' was never closed, line 2"),
        ("horizon = 3\ndef other(): ...\n", "missing", "a function called horizon; the functions in it: other"),
        ("import nothing_of_that_name\n", "load", "line 1: ModuleNotFoundError: No module named"),
        ("def horizon(rnn): ...\n", "exception", "horizon() takes 1 positional argument but 3 were given"),
        ("def horizon(rnn, x, eps):\n    return 1 / 0\n", "exception", "at line 2 of your file: ZeroDivisionError"),
        ("import sys\ndef horizon(rnn, x, eps):\n    sys.exit(0)\n", "exception", "SystemExit: 0"),
        ("def horizon(rnn, x, eps):\n    return [1]\n", "wrong_type", "has to return int; it returned list"),
    ],
)  # fmt: skip
def test_garbage_is_told_clearly(source, hint, text, tmp_path):
    outcome = judged("exercise-2", source, tmp_path)
    assert outcome.hint == hint
    assert text in say(EXERCISES["exercise-2"], hint, "en", **outcome.facts)


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "answer.py").write_bytes(b"\xff\xfe\x00")
    assert judge_file(EXERCISES["exercise-2"], tmp_path / "answer.py").hint == "not_text"


def test_an_endless_loop_is_ended(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text("while True: ...\n")
    outcome = in_process(EXERCISES["exercise-2"], path, seconds=3)
    assert (outcome.hint, outcome.facts) == ("timeout", {"seconds": 3})


def test_a_process_that_dies_is_told(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    outcome = in_process(EXERCISES["exercise-2"], path)
    assert (outcome.hint, outcome.facts) == ("died", {"how": "SIGSEGV"})


def test_the_command_runs_an_answer_from_start_to_right(tmp_path):
    path = tmp_path / "answer.py"
    begun = call("check", "exercise-3", path, "--start", "--lang", "es")
    assert (begun.exit_code, begun.stdout) == (0, f"{path}\n")
    wrong = call("check", "exercise-3", path, "--lang", "es")
    assert wrong.exit_code == 1
    assert "✗ exercise-3: Elegir una inicialización" in wrong.stdout
    assert re.search(r"solo \d[\d,·⁻⁰¹²³⁴⁵⁶⁷⁸⁹]* llega 99 pasos atrás", " ".join(wrong.stdout.split()))
    path.write_text(f"print('hello')\n{ANSWERS['exercise-3']['right']}")
    right = call("check", "exercise-3", path, "--json")
    told = json.loads(right.stdout)
    assert right.exit_code == 0
    assert (told["right"], told["hint"], told["printed"]) == (True, "right", "hello\n")
    assert 0.05 < told["facts"]["ratio"] < 20


def test_exercises_are_listed_and_told():
    listed, data = call("exercises"), json.loads(call("exercises", "--json", "--lang", "es").stdout)
    assert list(data) == list(EXERCISES)
    assert all(name in listed.stdout for name in EXERCISES)
    assert data["exercise-6"]["title"] == "BPTT truncado, completo"
    assert "Write initialise(rnn)" in call("exercises", "exercise-3").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "exercise-99", "a.py"), "no exercise is called 'exercise-99'; there are: exercise-1, exercise-2"),
        (("exercises", "nope"), "no exercise is called 'nope'"),
        (("check", "exercise-1", "missing.py"), "there is no file missing.py; `seqgrad check exercise-1 missing.py"),
        (("check", "exercise-1", "no/folder.py", "--start"), "cannot write no/folder.py"),
        (("check", "exercise-1"), "Missing argument 'ANSWER'"),
    ],
)
def test_usage_errors_end_with_two_and_say_what_to_do(arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_start_does_not_overwrite(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text("mine")
    result = call("check", "exercise-1", path, "--start")
    assert (result.exit_code, path.read_text()) == (2, "mine")
    assert "exists already" in result.stderr
