"""Every text the lesson speaks, in English and Spanish. Claims carry their own two texts in ``_claim_table.py``."""

from __future__ import annotations

from string import Formatter
from typing import Any

from seqgrad.experiments import _texts_en, _texts_es
from seqgrad.experiments.claims import number

CATALOGUE: dict[str, dict[str, str]] = {"en": _texts_en.TEXTS, "es": _texts_es.TEXTS}
LANGUAGES = tuple(CATALOGUE)


class _Numbers(Formatter):
    """``{x:n}`` writes x as people do, with the language's decimal sign."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def format_field(self, value: Any, format_spec: str) -> str:
        return number(float(value), self.lang) if format_spec == "n" else str(super().format_field(value, format_spec))


def say(key: str, lang: str = "en", **facts: Any) -> str:
    """The text ``key`` in ``lang``, its ``{fields}`` filled from ``facts``.

    Raises:
        ValueError: no such language. KeyError: no such text, or a fact is missing.

    Example:
        >>> say("verdict.corrected", "es")
        'corregido'
    """
    if lang not in CATALOGUE:
        raise ValueError(f"lang must be one of {', '.join(LANGUAGES)}; got {lang!r}")
    if key not in CATALOGUE[lang]:
        raise KeyError(f"the {lang} catalogue has no text {key!r}")
    text = CATALOGUE[lang][key]
    return _Numbers(lang).vformat(text, (), facts) if facts else text  # labels hold mathtext braces and no fields
