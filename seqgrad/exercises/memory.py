"""Exercise: give an LSTM a memory of a hundred steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong
from seqgrad.exercises._networks import copy_of, moved, reach, signal_at_start

FUNCTION = "remember"
STARTER = """
import seqgrad as sg


def remember(lstm, steps):
    sg.init.forget_bias_(lstm, 1.0)
"""
STEPS, LOW, HIGH = 100, 0.05, 1000.0  # chrono_ keeps 0.16 to 0.22, a forget gate near .99 gives 2 to 50


def judge(answer: Callable[..., Any]) -> Facts:
    """Three fresh LSTMs; dL/dc at the first of 100 steps against the last, and gates that can still move."""
    kept, gate = 1.0, 0.0
    for seed, hidden in enumerate((32, 48, 32)):
        torch.manual_seed(seed)
        lstm = sg.LSTM(10, hidden)
        before = copy_of(lstm)
        returned = answer(lstm, STEPS)
        if not moved(lstm, before):
            raise Wrong("elsewhere" if isinstance(returned, torch.nn.Module) and returned is not lstm else "untouched")
        kept, gate = _one(lstm)
    return {"ratio": kept, "gate": gate, "steps": STEPS - 1}


def _one(lstm: Any) -> tuple[float, float]:
    ratio, spread = reach(lstm, STEPS, "grad_c")
    with torch.no_grad():
        gates = sg.analysis.gates(lstm, signal_at_start(STEPS, 4, 10))
    mean = {name: float(gates[name].mean()) for name in ("i", "f", "o")}
    facts = {"ratio": ratio, "steps": STEPS - 1, "low": LOW, "high": HIGH, "gate": mean["f"], **mean}
    if ratio != ratio or not bool(lstm.weight_ih_l0.any()):
        raise Wrong("dead", **facts)
    if ratio < LOW:
        if mean["f"] < 0.6 and max(mean["i"], mean["o"]) > 0.65:
            raise Wrong("wrong_gate", **facts)
        if mean["f"] < 0.4:
            raise Wrong("forgets_more", **facts)
        raise Wrong("too_short" if mean["f"] > 0.6 else "forgets", **facts)
    if float(gates["f"].min()) > 0.9999:
        raise Wrong("stuck", **facts)
    if ratio > HIGH:
        raise Wrong("explodes", **facts)
    if spread < 1e-7:
        raise Wrong("dead", **facts)
    return ratio, mean["f"]
