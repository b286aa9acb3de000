"""Results as JSON and back: what lets an interrupted lesson go on where it stopped.

Dataclasses become their fields, dicts whose keys are no strings become lists of pairs, NaN and Inf become words. Types
come back from the dataclasses' own annotations, claims from their ids: they are judged anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqgrad._page import environment, write_whole
from seqgrad.experiments._result import Result
from seqgrad.experiments.claims import Claim, judge


def save(result: Result, path: Path, settings: Mapping[str, Any]) -> None:
    """Write ``result`` with the ``settings`` it was made with; whole or not at all."""
    data = {**_origin(settings), "result": encode(result)}
    write_whole(path, json.dumps(data, ensure_ascii=False, allow_nan=False))


def load(kind: type[Result], path: Path, settings: Mapping[str, Any]) -> Result | None:
    """What :func:`save` wrote; None if there is nothing, or it came of other settings, versions or code."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return decode(kind, data["result"]) if {**data, **_origin(settings)} == data else None
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged, or of another time: it is measured anew
        return None


def _origin(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same for a result to be used again."""
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    return {"settings": encode(dict(settings)), "environment": environment(), "code": code.hexdigest()[:16]}


def encode(value: Any) -> Any:
    """``value`` in JSON's own types."""
    if isinstance(value, Claim):
        return {"id": value.id, "measured": encode(value.measured)}
    if dataclasses.is_dataclass(value):
        return {one.name: encode(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: encode(item) for key, item in value.items()}
        return [[encode(key), encode(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return str(value)
    return value


def decode(kind: Any, data: Any) -> Any:
    """What :func:`encode` made of a value of type ``kind``."""
    if kind is Claim:
        return judge(data["id"], float(data["measured"]))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        values = {one.name: decode(hints[one.name], data[one.name]) for one in dataclasses.fields(kind)}
        return typing.cast(Any, kind)(**values)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if data is None:
            return None
        kept = [option for option in inner if option is not type(None)]
        if len(kept) > 1:  # plain values, of which only what is no number in JSON was changed
            return float(data) if data in ("nan", "inf", "-inf") else data
        return decode(kept[0], data)
    if origin in (dict, Mapping):
        pairs = data.items() if isinstance(data, dict) else data
        return {decode(inner[0], key): decode(inner[1], item) for key, item in pairs}
    if origin is list:
        return [decode(inner[0], item) for item in data]
    if origin is tuple:
        each = inner[:1] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(decode(one, item) for one, item in zip(each, data, strict=True))
    return float(data) if kind is float else data
