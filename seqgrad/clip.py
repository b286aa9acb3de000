"""Gradient clipping: of parameters, and of the carried state gradient inside the backward."""

from __future__ import annotations

import math
from dataclasses import dataclass


def _check_limit(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a positive number, got {type(value).__name__} {value!r}")
    if not value > 0 or math.isnan(value):
        raise ValueError(f"{name} must be a positive number, got {value!r}; to switch clipping off pass state_clip=None")


@dataclass(frozen=True)
class Norm:
    """Rescale dL/dh_t of each sample to L2 norm at most ``max_norm`` before step t's cell backward.

    Example:
        >>> import seqgrad as sg
        >>> sg.RNN(10, 32, state_clip=sg.clip.Norm(1.0))
        RNN(10, 32, state_clip=Norm(max_norm=1.0))
    """

    max_norm: float

    def __post_init__(self) -> None:
        _check_limit("max_norm", self.max_norm)


@dataclass(frozen=True)
class Value:
    """Clamp every element of dL/dh_t to ``[-clip_value, clip_value]`` before step t's cell backward.

    Example:
        >>> import seqgrad as sg
        >>> sg.RNN(10, 32, state_clip=sg.clip.Value(0.5))
        RNN(10, 32, state_clip=Value(clip_value=0.5))
    """

    clip_value: float

    def __post_init__(self) -> None:
        _check_limit("clip_value", self.clip_value)
