"""Recurrent layers whose backward hands out the norm of the gradient at every timestep."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqgrad import clip, init
from seqgrad.nn import GRU, LSTM, RNN, ResidualRNN
from seqgrad.record import GradientRecord, record

if TYPE_CHECKING:
    from seqgrad import experiments

__all__ = ["GRU", "LSTM", "RNN", "GradientRecord", "ResidualRNN", "clip", "experiments", "init", "record"]


def __getattr__(name: str) -> Any:
    if name == "experiments":  # loaded when first asked for: training code has no use for it
        return import_module("seqgrad.experiments")
    raise AttributeError(f"module 'seqgrad' has no attribute {name!r}")
