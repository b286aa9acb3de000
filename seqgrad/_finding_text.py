"""Findings put into words: their key and facts, filled into the texts of ``_finding_words`` in a language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from seqgrad._finding_words import BODIES, HEADS, TITLES, WORDS
from seqgrad._speech import checked, fill

if TYPE_CHECKING:
    from seqgrad._finding import Finding

Fact = float | int | str


class Said(NamedTuple):
    """A text of ``_finding_words`` by its key, with the facts that the finding's own fields do not hold."""

    case: str
    facts: Mapping[str, Fact]


def said(case: str, **facts: Fact) -> Said:
    """What a rule says, in whatever language it will be read.

    Raises:
        KeyError: there is no such text.
    """
    if case not in BODIES:
        raise KeyError(f"there is no text {case!r} in seqgrad/_finding_words.py")
    return Said(case, facts)


def body(case: str, fields: Mapping[str, Any], lang: str) -> str:
    """The text ``case`` filled from ``fields``.

    Raises:
        KeyError: no such text or word, or a field is missing. ValueError: a field is not of the kind it should be.
    """
    return fill(BODIES[case], lang, fields, WORDS)


def whole(finding: Finding, text: str, lang: str) -> str:
    """Place, ``text`` and the call to try, as every message is built."""
    place = " ".join(part for part in (finding.module, finding.series) if part) or getattr(HEADS["model"], lang)
    if finding.direction:
        place += f" ({getattr(HEADS[finding.direction], lang)})"
    if finding.step is not None:
        place = f"{getattr(HEADS['step'], lang).format(step=finding.step)}, {place}"
    return f"{place}: {text}: {finding.action}" if finding.action else f"{place}: {text}"


def message_of(finding: Finding) -> str:
    """The English message of a finding, from its ``case`` and ``facts``; empty for a case of another version."""
    if finding.case not in BODIES:
        return ""
    return whole(finding, body(finding.case, _fields(finding), "en"), "en")


def _fields(finding: Finding) -> dict[str, Any]:
    return {**vars(finding), **finding.facts}


def text_of(finding: Finding, lang: str) -> str:
    """The message in a language; the English one where no other is known, as for rules of one's own and old files."""
    if checked(lang) == "en" or finding.case not in BODIES:
        return finding.message
    try:
        return whole(finding, body(finding.case, _fields(finding), lang), lang)
    except (KeyError, ValueError, TypeError):  # a file of another version, whose facts have other names
        return finding.message


def title_of(finding: Finding, lang: str) -> str:
    """The rule's name in a language; as it is where no other is known."""
    return str(getattr(TITLES[finding.rule], checked(lang))) if finding.rule in TITLES else finding.rule
