"""The two shapes in which an experiment speaks: a text in both languages, and a claim before it is measured."""

from __future__ import annotations

from typing import NamedTuple

from seqgrad.experiments.claims import Relation, Spec


class Text(NamedTuple):
    """One text in both languages; ``{fields}`` are filled from an experiment's facts."""

    en: str
    es: str


def spec(
    id: str, *, line: int | None = None, item: int | None = None, expected: float, relation: Relation,
    tolerance: float = 0.0, en: str, es: str, right_en: str = "", right_es: str = "",
) -> Spec:  # fmt: skip
    """A claim. ``right_*`` say what the measurement shows where the claim itself is loose or wrong."""
    correction = {"en": right_en, "es": right_es} if right_en else None
    return Spec(id, line, item, expected, relation, tolerance, {"en": en, "es": es}, correction)
