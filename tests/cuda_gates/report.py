"""A Markdown table of what the gates measured, for people: registers, and what the machine code is made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from .compiling import Unit
from .resources import Usage
from .sass import Counts

COLUMNS = {
    "all": r".*",
    "HMMA": r"HMMA.*",
    "FFMA": r"FFMA.*",
    "double": r"D(ADD|MUL|FMA|SETP|MNMX)\b.*",
    "MUFU": r"MUFU.*",
    "div, mod calls": r"CALL.*(rem|div)_[us]64",
    "shuffle calls": r"CALL.*sync.*|WARPSYNC\.COLLECTIVE.*",
    "LDS": r"LDS.*|LDSM.*",
    "LDG": r"LDG.*",
    "STG": r"STG.*",
    "BAR": r"BAR.*",
    "SHFL": r"SHFL.*",
}


def cell(opcodes: Counter[str], pattern: str) -> int:
    """How many instructions match."""
    return sum(n for opcode, n in opcodes.items() if re.fullmatch(pattern, opcode))


def markdown(used: Usage, counts: Counts) -> str:
    """One line per kernel and architecture."""
    heads = ["kernel", "sm", "registers", "shared", "barriers", *COLUMNS]
    rows = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for (kernel, architecture), resources in sorted(used.items()):
        opcodes = counts.get((kernel, architecture), Counter())
        numbers = [architecture, *resources[:3], *(cell(opcodes, pattern) for pattern in COLUMNS.values())]
        rows.append(f"| {kernel.source} `{kernel.name}` | " + " | ".join(map(str, numbers)) + " |")
    return "\n".join(rows) + "\n"


def times(units: Iterable[Unit]) -> list[str]:
    """Seconds of compilation per file, over all architectures."""
    seconds: Counter[str] = Counter()
    for unit in units:
        seconds[unit.source] += round(unit.seconds * 1000)
    return [f"  {source:28} {milli / 1000:6.1f} s" for source, milli in seconds.most_common()]
