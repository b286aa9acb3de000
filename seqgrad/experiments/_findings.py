"""The lesson's detector: read one recorded series and say what is wrong with it, in the lesson's words.

A training is watched by ``seqgrad.Monitor``; this looks at a single series, and its messages count timesteps from 1 as
the lesson does.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from seqgrad.rules import Finding


def scan(
    series: Any, *, step: int, limit: float = 100.0, name: str = "l0", states: Tensor | None = None
) -> list[Finding]:
    """Findings of one recorded series: gradients above ``limit``, and states or gradients that are NaN or Inf.

    ``states [T, N, H]``, the layer's output, lets a NaN be traced to the forward pass, where it is usually born. The
    forward runs from t=1, so its first bad state is the one with the smallest t; backprop runs from the last timestep,
    so the first bad gradient is the one with the largest t.
    """
    norms: list[float] = series.norm("grad_h").double().tolist()
    found = []
    bad = _first_bad(norms, states)
    if bad:
        where, t, value = bad
        text = (
            f"training step {step}: {name} turns {value} in the {where} pass at timestep {t} of {len(norms)}; start "
            "again and clip from step 1: seqgrad.clip.grad_norm_(model, 1.0, nonfinite='raise')"
        )
        found.append(_finding("NonFinite", step, name, t, value, math.inf, text))
    big = [t for t, value in enumerate(norms, 1) if math.isfinite(value) and value > limit]
    if big:
        top = max(norms[t - 1] for t in big)
        text = (
            f"training step {step}: {name} passes {limit:g} at timestep {big[-1]} of {len(norms)} and reaches "
            f"{top:.3g} at timestep {1 + norms.index(top)}; clip it: seqgrad.clip.grad_norm_(model, 1.0)"
        )
        found.append(_finding("Exploding", step, name, big[-1], norms[big[-1] - 1], limit, text))
    return found


def _finding(rule: str, step: int, name: str, t: int, value: float, threshold: float, text: str) -> Finding:
    """``t`` from 1, as in the message; a Finding counts timesteps from 0."""
    action = text.rpartition(": ")[2]
    return Finding(rule, "error", step, "", name, t - 1, value, threshold, text, action=action)


def _first_bad(norms: list[float], states: Tensor | None) -> tuple[str, int, float] | None:
    if states is not None:
        largest = states.detach().abs().amax(dim=(1, 2)).tolist()
        t = next((t for t, value in enumerate(largest, 1) if not math.isfinite(value)), None)
        if t is not None:
            return "forward", t, largest[t - 1]
    bad = [t for t, value in enumerate(norms, 1) if not math.isfinite(value)]
    return ("backward", bad[-1], norms[bad[-1] - 1]) if bad else None
