"""Texts in English and Spanish, and how numbers are written in each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any, NamedTuple


class Text(NamedTuple):
    """One text in both languages; its ``{fields}`` are filled by :func:`fill`."""

    en: str
    es: str


LANGUAGES = Text._fields


def checked(lang: str) -> str:
    """``lang``, if there are texts in it.

    Raises:
        ValueError: there are none.
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {', '.join(map(repr, LANGUAGES))}, got {lang!r}")
    return lang


class _Speaker(Formatter):
    def __init__(self, lang: str, words: Mapping[str, Text]) -> None:
        self._lang, self._words = lang, words

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec.startswith("say:"):
            return str(getattr(self._words[f"{format_spec[4:]}.{value}"], self._lang))
        return number(value, self._lang, format_spec) if isinstance(value, float) else format(value, format_spec)


def number(value: float, lang: str, spec: str = ".3g") -> str:
    """A number as the language writes it: 0.25, 0,25; 50%, 50 %; and NaN, Inf, -Inf."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
    text = format(value, spec)
    return text if lang == "en" else text.replace(".", ",").replace("%", " %")


def fill(
    text: Text,
    lang: str,
    fields: Mapping[str, Any],
    words: Mapping[str, Text] | None = None,
    places: Sequence[Any] = (),
) -> str:
    """``text`` in ``lang`` with its named fields and numbered ``places``.

    ``{x:say:what}`` is the one of ``words`` that is called ``what.<x>``.

    Raises:
        KeyError: a field or a word is missing. ValueError: a field is not of the kind that its format needs.
    """
    return _Speaker(lang, words or {}).vformat(getattr(text, lang), places, fields)
