"""Texts in English and Spanish, and how numbers are written in each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
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
    told = []
    for literal, name, spec in _parts(getattr(text, lang)):
        told.append(literal)
        if name:
            value = places[int(name)] if name.isdigit() else fields[name]
            if spec.startswith("say:"):
                told.append(getattr((words or {})[f"{spec[4:]}.{value}"], lang))
            else:
                told.append(number(value, lang, spec) if isinstance(value, float) else format(value, spec))
    return "".join(told)


@lru_cache(maxsize=256)
def _parts(template: str) -> list[tuple[str, str, str]]:
    """Literal text, and the name and format of the field that follows it: parsed once, since rules speak often."""
    return [(literal, name or "", spec or "") for literal, name, spec, _ in Formatter().parse(template)]
