"""Recurrent layers for PyTorch whose backward hands out the norm of the gradient at every timestep.

Swap the class, keep the rest: ``seqgrad.LSTM`` takes what ``torch.nn.LSTM`` takes. Then look inside one backward:

    >>> import torch, seqgrad as sg
    >>> model = sg.RNN(3, 16)
    >>> with sg.record(model) as rec:
    ...     model(torch.randn(50, 4, 3))[0][-1].sum().backward()
    >>> rec[""].l0.grad_h.shape
    torch.Size([50, 4])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqgrad import _fakes as _fakes
from seqgrad import analysis, clip, display, init, onnx, regularizers, rules, sinks
from seqgrad._ext import build_info, has_cuda
from seqgrad.check import check_grads
from seqgrad.display import GradientFlowDisplay
from seqgrad.explain import explain
from seqgrad.history import History
from seqgrad.monitor import FindingError, FindingWarning, Monitor
from seqgrad.nn import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LSTMCell,
    ResidualRNN,
    ResidualRNNCell,
    RNNCell,
    convert_,
    revert_,
)
from seqgrad.record import GradientRecord, NonFinite, Series, record
from seqgrad.regularizers import omega
from seqgrad.rules import Finding
from seqgrad.suggest import Suggestion, suggest
from seqgrad.tbptt import detach, tbptt

if TYPE_CHECKING:
    from seqgrad import experiments

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Finding",
    "FindingError",
    "FindingWarning",
    "GRUCell",
    "GradientFlowDisplay",
    "GradientRecord",
    "History",
    "LSTMCell",
    "Monitor",
    "NonFinite",
    "RNNCell",
    "ResidualRNN",
    "ResidualRNNCell",
    "Series",
    "Suggestion",
    "analysis",
    "build_info",
    "check_grads",
    "clip",
    "convert_",
    "detach",
    "display",
    "experiments",
    "explain",
    "has_cuda",
    "init",
    "omega",
    "onnx",
    "record",
    "regularizers",
    "revert_",
    "rules",
    "sinks",
    "suggest",
    "tbptt",
]


def __getattr__(name: str) -> Any:
    if name == "experiments":  # loaded when first asked for: training code has no use for it
        return import_module("seqgrad.experiments")
    raise AttributeError(f"module 'seqgrad' has no attribute {name!r}")
