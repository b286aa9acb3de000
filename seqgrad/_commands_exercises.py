"""The commands about exercises: ``exercises`` lists them, ``check`` judges an answer."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import click

from seqgrad._commands import JSON, LANG, print_json
from seqgrad._terminal import no_color
from seqgrad.exercises import EXERCISES, Exercise, Outcome, find
from seqgrad.exercises import check as judge
from seqgrad.exercises.texts import say, starter


@click.command(short_help="The exercises that `check` knows.")
@click.argument("name", required=False)
@LANG
@JSON
def exercises(name: str | None, lang: str, as_json: bool) -> None:
    """List the exercises, or say what NAME asks for.

    \b
      seqgrad exercises
      seqgrad exercises exercise-3 --lang es
    """  # noqa: D301
    chosen = EXERCISES if name is None else {name: _find(name)}
    texts = {
        key: {"title": say(one, "title", lang), "function": one.function, "task": say(one, "task", lang)}
        for key, one in chosen.items()
    }
    if as_json:
        print_json(texts)
        return
    for key, text in texts.items():
        click.echo(f"{key:<12} {text['title']}")
        if name is not None:
            click.echo(f"\n{textwrap.fill(text['task'], 100)}")


@click.command(short_help="Judge the answer to an exercise.")
@click.argument("name")
@click.argument("answer", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--start", is_flag=True, help="Write ANSWER, a file to begin with; it must not exist yet.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Time limit of the answer."
)
@LANG
@JSON
def check(name: str, answer: Path, start: bool, seconds: float, lang: str, as_json: bool) -> None:
    """Run the function in the Python file ANSWER on networks built for exercise NAME, and judge what it does.

    \b
      seqgrad check exercise-3 answer.py --start    writes answer.py
      seqgrad check exercise-3 answer.py            right, or a hint

    The answer runs in a process of its own, for --seconds at most. Ends with 1 if it is not right.
    """  # noqa: D301
    exercise = _find(name)
    if start:
        _begin(exercise, answer, lang, as_json)
        return
    if not answer.exists():
        raise click.UsageError(
            f"there is no file {answer}; `seqgrad check {name} {answer} --start` writes one to begin with"
        )
    outcome = judge(exercise, answer, seconds=seconds)
    if as_json:
        print_json(_told(exercise, outcome, lang))
    else:
        _echo(exercise, outcome, lang)
    sys.exit(0 if outcome.right else 1)


def _find(name: str) -> Exercise:
    try:
        return find(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _begin(exercise: Exercise, answer: Path, lang: str, as_json: bool) -> None:
    text = starter(exercise, lang, str(answer))
    try:
        with open(answer, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(
            f"{answer} exists already; give another name, or leave --start out to judge it"
        ) from None
    except OSError as error:
        raise click.UsageError(f"cannot write {answer}: {error.strerror}") from None
    if as_json:
        print_json({"exercise": exercise.name, "written": str(answer)})
    else:
        click.echo(str(answer))


def _told(exercise: Exercise, outcome: Outcome, lang: str) -> dict[str, Any]:
    facts = {
        key: value if not isinstance(value, float) or abs(value) < float("inf") else str(value)
        for key, value in outcome.facts.items()
    }
    text = say(exercise, outcome.hint, lang, **outcome.facts)
    return {
        "exercise": exercise.name, "right": outcome.right, "hint": outcome.hint, "text": text, "facts": facts,
        "printed": outcome.printed,
    }  # fmt: skip


def _echo(exercise: Exercise, outcome: Outcome, lang: str) -> None:
    if outcome.printed:
        click.echo(outcome.printed.rstrip(), err=True)
    mark, colour = ("✓", "green") if outcome.right else ("✗", "yellow")
    title = f"{mark} {exercise.name}: {say(exercise, 'title', lang)}"
    click.echo(title if no_color() else click.style(title, fg=colour))
    click.echo(textwrap.fill(say(exercise, outcome.hint, lang, **outcome.facts), 100, break_on_hyphens=False))
