"""Small things that all rules need."""

from __future__ import annotations

import math

LAYOUT_STEPS = 3  # observed steps at which SwappedAxes and Padding look at the layout of the data


def _number(name: str, value: float, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be {what}, got {type(value).__name__} {value!r}")


def above_zero(name: str, value: float) -> None:
    """Raise unless ``value`` is a positive number; inf switches a threshold off."""
    _number(name, value, "a positive number")
    if math.isnan(value) or not value > 0:
        raise ValueError(f"{name} must be a positive number (inf switches it off), got {value!r}")


def share(name: str, value: float) -> None:
    """Raise unless ``value`` lies in (0, 1)."""
    _number(name, value, "a number between 0 and 1")
    if not 0 < value < 1:
        raise ValueError(f"{name} must be a number between 0 and 1, got {value!r}")


def submodule(name: str) -> str:
    """Source of the module ``name`` of ``model``."""
    return f"model.get_submodule({name!r})" if name else "model"
