"""Say a text of the exercises in English or Spanish; the texts themselves are in ``_words/``, one module each."""

from __future__ import annotations

import textwrap
from importlib import import_module
from typing import Any

from seqgrad.exercises._exercise import Exercise
from seqgrad.experiments._word import Text


def texts(of: str) -> dict[str, Text]:
    """All texts of one module of ``_words``: an exercise's own, or ``shared``."""
    found: dict[str, Text] = import_module(f"seqgrad.exercises._words.{of}").TEXTS
    return found


def say(exercise: Exercise, text: str, lang: str = "en", **facts: Any) -> str:
    """The text ``text`` of an exercise, or the one that all share, with its ``{fields}`` filled from ``facts``.

    Example:
        >>> from seqgrad.exercises import find
        >>> say(find("exercise-1"), "title", "es")
        'Dibujar dL/dh_t'
    """
    from seqgrad.experiments.claims import number

    own = texts(exercise.words)
    template: str = getattr(own[text] if text in own else texts("shared")[text], lang)
    spoken = {key: number(value, lang) if isinstance(value, float) else value for key, value in facts.items()}
    return template.format(**spoken) if facts else template


def starter(exercise: Exercise, lang: str, path: str) -> str:
    """The file to begin with: what is asked for, then code that runs and is not right yet."""
    title, task = say(exercise, "title", lang), textwrap.fill(say(exercise, "task", lang), 100)
    return f'"""{title}\n\n{task}\n\n    seqgrad check {exercise.name} {path}\n"""\n{exercise.starter}'
