"""A curve in one line of text, on a log scale, for terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"
MARKS = {True: ("·", "×"), False: ("0", "x")}  # exactly 0, NaN or Inf; blocks can be written or not


def spark(values: Sequence[float], width: int = 32, *, blocks: bool = True) -> str:
    """One character a value, or a group of neighbours where there are more than ``width``.

    Low to high on a log scale that spans at least a decade. A group with a NaN or Inf shows as such, one of zeros as
    zero, any other by the geometric mean of what is above 0.

    Example:
        >>> spark([1e-6, 1e-4, 1e-2, 1.0, 0.0, float("nan")])
        '▁▃▆█·×'
    """
    zero, bad = MARKS[blocks]
    groups = _groups(values, width)
    logs = [_level(group) for group in groups]
    real = [level for level in logs if level is not None and math.isfinite(level)]
    low, high = (min(real), max(real)) if real else (0.0, 0.0)
    spare = max(1.0 - (high - low), 0.0) / 2
    low, span = low - spare, high - low + 2 * spare
    ramp = BLOCKS if blocks else ASCII
    signs = []
    for level in logs:
        if level is None:
            signs.append(bad)
        elif level == -math.inf:
            signs.append(zero)
        else:
            signs.append(ramp[min(round((level - low) / span * (len(ramp) - 1)), len(ramp) - 1)])
    return "".join(signs)


def _groups(values: Sequence[float], width: int) -> list[Sequence[float]]:
    count = min(len(values), width)
    edges = [round(i * len(values) / max(count, 1)) for i in range(count + 1)]
    return [values[a:b] for a, b in pairwise(edges)]


def _level(group: Sequence[float]) -> float | None:
    """Mean of log10; -inf for zeros alone, None with a NaN or Inf among them."""
    if not all(map(math.isfinite, group)):
        return None
    logs = [math.log10(abs(v)) for v in group if v != 0]
    return sum(logs) / len(logs) if logs else -math.inf
