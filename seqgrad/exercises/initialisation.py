"""Exercise: choose an initialisation that lets the gradient through a hundred steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong
from seqgrad.exercises._networks import copy_of, moved, reach

FUNCTION = "initialise"
STARTER = """
import seqgrad as sg


def initialise(rnn):
    sg.init.orthogonal_(rnn)
"""
STEPS, LOW, HIGH = 100, 0.05, 20.0  # an orthogonal W_hh with zero biases keeps 0.2 to 0.5, whatever the seed and size


def judge(answer: Callable[..., Any]) -> Facts:
    """Three fresh tanh networks of different sizes; what arrives at the first step must lie between 0.05 and 20."""
    kept = []
    for seed, hidden in enumerate((32, 64, 48)):
        torch.manual_seed(seed)
        rnn = sg.RNN(10, hidden)
        before = copy_of(rnn)
        returned = answer(rnn)
        kept.append(_one(rnn, before, returned))
    return {"ratio": kept[0], "steps": STEPS - 1}


def _one(rnn: Any, before: dict[str, torch.Tensor], returned: Any) -> float:
    if not moved(rnn, before):
        raise Wrong("elsewhere" if isinstance(returned, torch.nn.Module) and returned is not rnn else "untouched")
    ratio, spread = reach(rnn, STEPS)
    facts = {"ratio": ratio, "steps": STEPS - 1, "low": LOW, "high": HIGH}
    spectrum = sg.init.recurrent_spectrum(rnn)["l0"]["h"]
    facts |= {"largest": spectrum.largest, "smallest": spectrum.smallest}
    if ratio != ratio or spectrum.largest == 0:
        raise Wrong("dead", **facts)
    if ratio > HIGH:
        raise Wrong("explodes", **facts)
    if ratio < LOW:
        level = abs(spectrum.largest - 1) < 1e-3 and abs(spectrum.smallest - 1) < 1e-3
        bias = float((rnn.bias_ih_l0 + rnn.bias_hh_l0).detach().abs().max())
        raise Wrong("biases" if level and bias > 1e-3 else "vanishes", **facts, bias=bias)
    if spread < 1e-4:
        raise Wrong("deaf", spread=spread, **facts)
    return ratio
