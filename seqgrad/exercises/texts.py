"""Every text of the exercises, in English and Spanish."""

from __future__ import annotations

import textwrap
from typing import Any

from seqgrad.exercises import _texts_en, _texts_es

CATALOGUE: dict[str, dict[str, str]] = {"en": _texts_en.TEXTS, "es": _texts_es.TEXTS}


def say(exercise: str, text: str, lang: str = "en", **facts: Any) -> str:
    """The text ``text`` of an exercise, or the one that all share, with its ``{fields}`` filled from ``facts``.

    Example:
        >>> say("exercise-1", "title", "es")
        'Dibujar dL/dh_t'
    """
    from seqgrad.experiments.claims import number

    catalogue = CATALOGUE[lang]
    template = catalogue.get(f"{exercise}.{text}") or catalogue[f"any.{text}"]
    spoken = {key: number(value, lang) if isinstance(value, float) else value for key, value in facts.items()}
    return template.format(exercise=exercise, **spoken) if facts else template


def starter(exercise: str, code: str, lang: str, path: str) -> str:
    """The file to begin with: what is asked for, then code that runs and is not right yet."""
    title, task = say(exercise, "title", lang), textwrap.fill(say(exercise, "task", lang), 100)
    return f'"""{title}\n\n{task}\n\n    seqgrad check {exercise} {path}\n"""\n{code}'
