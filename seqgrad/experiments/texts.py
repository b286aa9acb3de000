"""Say a text of the experiments in English or Spanish; the texts themselves are in ``_words/``, one module each."""

from __future__ import annotations

from string import Formatter
from typing import Any

from seqgrad.experiments import _words
from seqgrad.experiments._word import Text
from seqgrad.experiments.claims import number

LANGUAGES = Text._fields


class _Numbers(Formatter):
    """``{x:n}`` writes x as people do, with the language's decimal sign; Spanish sets a space before the per cent."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "n":
            return number(float(value), self.lang)
        text = str(super().format_field(value, format_spec))
        return text.replace("%", " %").replace(".", ",") if format_spec.endswith("%") and self.lang == "es" else text


def say(key: str, lang: str = "en", **facts: Any) -> str:
    """The text ``key`` in ``lang``, its ``{fields}`` filled from ``facts``.

    Raises:
        ValueError: no such language. KeyError: no such text, or a fact is missing.

    Example:
        >>> say("verdict.corrected", "es")
        'corregido'
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {', '.join(LANGUAGES)}; got {lang!r}")
    if key not in _words.texts():
        raise KeyError(f"there is no text {key!r}")
    text: str = getattr(_words.texts()[key], lang)
    return _Numbers(lang).vformat(text, (), facts) if facts else text  # labels hold mathtext braces and no fields
