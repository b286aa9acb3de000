"""The run file: JSON Lines that a training writes as it goes, and that history, terminal and report read.

One object per line, each valid JSON: NaN and the infinities are the strings "NaN", "Infinity", "-Infinity". The first
line of a run is its header, ``{"seqgrad": version, "format": 1, "kind": "run", ...}``; then come lines of kind "step"
and "finding". A line is written with one write and flushed, so a killed run loses at most its last line. A file may
hold several runs, each with a header of its own.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

FORMAT = 1
ARCHIVE = b"PK"  # how a zip file begins, such as a saved record
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(entry: dict[str, Any]) -> str:
    """One line, newline included. Floats come back bit for bit."""
    return json.dumps(_strict(entry), allow_nan=False, separators=(",", ":")) + "\n"


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value


def number(value: Any) -> float:
    """A float of the file, or of its three words."""
    return float(_WORDS[value] if isinstance(value, str) and value in _WORDS else value)


def torn(line: bytes) -> bool:
    """Whether a kill cut this line short: it has no newline and is no JSON (what is cut never is)."""
    if line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The entries of a run file in order; the first is a header.

    A last line torn by a kill is left out and shows as ``{"kind": "torn"}``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a run file, written by a newer seqgrad, or damaged; names the line.
    """
    name = os.fspath(path)
    first = True
    with open(path, "rb") as file:
        for at, line in enumerate(file, 1):
            if torn(line):
                if first:
                    raise ValueError(foreign(name, line))
                yield {"kind": "torn", "line": at}
                return
            if not line.strip():
                continue
            yield parse(line, name, at, first)
            first = False
    if first:
        raise ValueError(f"{name} is empty; a run file starts with a header line")


def parse(line: bytes, name: str, at: int, first: bool) -> dict[str, Any]:
    """One complete line of the file ``name``, its number ``at``; the ``first`` must be a header we can read."""
    try:
        entry = json.loads(line)
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ValueError(foreign(name, line) if first else f"{name} is damaged at line {at} ({error})") from error
    if not isinstance(entry, dict) or (first and (entry.get("kind") != "run" or "seqgrad" not in entry)):
        raise ValueError(foreign(name) if first else f"{name} is damaged at line {at}: expected a JSON object")
    if entry.get("kind") == "run" and entry.get("format") != FORMAT:
        raise ValueError(
            f"{name} has format {entry.get('format')}, written by seqgrad {entry.get('seqgrad')}; this seqgrad reads "
            f"format {FORMAT}: upgrade seqgrad to read it"
        )
    return entry


def foreign(name: str, start: bytes = b"") -> str:
    """What to say of a file that is not ours, or of a saved record, by how it begins."""
    if start.startswith(ARCHIVE):
        return (
            f"{name} is an archive, perhaps a saved record, and not a run file; `seqgrad report {name}` shows one, "
            "seqgrad.GradientRecord.load reads it"
        )
    return f"{name} is not a run file; expected what seqgrad.sinks.JSONL or History.save wrote"
