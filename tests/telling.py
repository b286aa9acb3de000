"""Whether a finding tells the same in both languages."""

from __future__ import annotations

import re

from seqgrad._speech import LANGUAGES
from seqgrad.rules import Finding


def numbers(text: str) -> list[str]:
    """Those in a message, the action at its end left out, with decimal points."""
    return sorted(re.findall(r"\d+(?:[.,]\d+)?(?:e[+-]\d+)?", text.replace(" %", "%")))


def same_numbers(found: Finding) -> bool:
    """Whether both languages tell the same."""
    english, spanish = (found.text(lang).removesuffix(f": {found.action}") for lang in LANGUAGES)
    return [n.replace(",", ".") for n in numbers(spanish)] == numbers(english)
