"""Run files for the tests of what reads them: a training that vanishes, gets exact zeros, explodes and ends in NaN."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from seqgrad.history import Entry, History, SeriesEntry
from seqgrad.rules import Finding

STEPS = 40  # entries, 50 training steps apart
LENGTH = 60  # timesteps


def norms(k: int) -> list[float]:
    """The k-th entry's norm by timestep: ever steeper decay, zeros, then growth, then NaN in the early steps."""
    if k < 28:
        values = [math.exp(-(LENGTH - 1 - t) * (0.02 + 0.012 * k)) for t in range(LENGTH)]
    else:
        values = [1.1 ** (LENGTH - 1 - t) for t in range(LENGTH)]
    if 20 <= k < 28:
        values[: 40 - k] = [0.0] * (40 - k)
    if k >= 35:
        values[:30] = [math.nan] * 30
    return values[:35] if 5 <= k < 9 else values  # shorter batches for a while


def entry(k: int) -> Entry:
    """The k-th entry, with a healthy reverse direction beside."""
    values = norms(k)
    ratio = values[0] / values[-1]
    ill = SeriesEntry({"grad_h": torch.tensor(values, dtype=torch.float64)}, {"ratio": ratio, "horizon": 12.0})
    level = SeriesEntry(
        {"grad_h": torch.full((LENGTH,), 0.5, dtype=torch.float64)}, {"ratio": 1.0, "horizon": LENGTH - 1.0}, True
    )
    loss = math.nan if k >= 35 else 1 / (1 + k)
    return Entry(50 * k, {"encoder.rnn.l0": ill, "encoder.rnn.l0_reverse": level}, loss)


FINDINGS = (
    Finding("Vanishing", "warning", 300, "encoder.rnn", "l0", 20, 1e-4, 1e-3,
            "encoder.rnn l0: below 1e-3 of its start from t=20 down; try seqgrad.init.orthogonal_(model)."),
    Finding("Exploding", "error", 1400, "encoder.rnn", "l0", 2, 228.0, 100.0,
            "encoder.rnn l0 passes 100 at t=2; clip it: seqgrad.clip.grad_norm_(model, 1.0)."),
    Finding("NonFinite", "error", 1750, "encoder.rnn", "l0", 29, math.nan, math.inf,
            "encoder.rnn l0: <NaN> & born at t=29; look at what enters there: seqgrad.check_grads(model)."),
)  # fmt: skip


def history(entries: int = STEPS) -> History:
    """The training's first entries, with the findings that fall into them."""
    past = History(None, header={"device": "cpu", "every": 50})
    for k in range(entries):
        past.append(entry(k), [f for f in FINDINGS if f.step == 50 * k])
    return past


def write(path: Path, entries: int = STEPS) -> Path:
    """A run file of them."""
    history(entries).save(path)
    return path
