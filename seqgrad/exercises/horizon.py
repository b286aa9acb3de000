"""Exercise: how many steps back does the gradient reach?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong, need_number
from seqgrad.exercises._networks import signal_at_start

FUNCTION = "horizon"
STARTER = """
import seqgrad as sg


def horizon(rnn, x, eps):
    with sg.record(rnn) as rec:
        out, _ = rnn(x)
        out[-1].sum().backward()
    norms = rec[""].l0.norm("grad_h").tolist()
    for t, norm in enumerate(norms):
        if norm >= eps:
            return t
"""


def judge(answer: Callable[..., Any]) -> Facts:
    """Networks whose gradient fades slowly, quickly, not at all, and one where it dips and comes back."""
    for build in (_slow, _quick, _dip, _whole):
        torch.manual_seed(0)
        rnn, x, eps = build()
        norms = _norms(rnn, x)
        rnn.zero_grad()
        got = need_number(answer(rnn, x, eps), "int")
        _compare(int(got) if got == got and abs(got) < 1e9 else -1, norms, eps)
    return {}


def _compare(got: int, norms: Tensor, eps: float) -> None:
    steps = len(norms)
    kept = norms >= eps * norms[-1]
    lag = next((k for k in range(1, steps) if not kept[steps - 1 - k]), steps) - 1
    if got == lag:
        return
    furthest = steps - 1 - int(kept.nonzero()[0])
    absolute = norms >= eps
    loose = next((k for k in range(1, steps) if not absolute[steps - 1 - k]), steps) - 1
    known = {
        "off_by_one": {lag + 1},
        "index": {steps - 1 - lag, steps - 1 - furthest},
        "gap": {furthest},
        "absolute": {loose, int(absolute.nonzero()[0]) if bool(absolute.any()) else -1},
    }
    hint = next((name for name, values in known.items() if got in values), "other")
    raise Wrong(hint, got=got, expected=lag, steps=steps, eps=eps, last=float(norms[-1]))


def _norms(rnn: nn.Module, x: Tensor) -> Tensor:
    with sg.record(rnn) as rec:
        rnn(x)[0][-1].sum().backward()
    return rec[""].l0.norm("grad_h")


def _orthogonal(gain: float, hidden: int = 24) -> Any:
    rnn = sg.init.orthogonal_(sg.RNN(3, hidden), gain)
    for name, value in rnn.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(value)
    return rnn


def _slow() -> tuple[nn.Module, Tensor, float]:
    return _orthogonal(0.97), 0.05 * torch.randn(80, 3, 3), 0.2


def _quick() -> tuple[nn.Module, Tensor, float]:
    return sg.RNN(3, 24), torch.randn(60, 5, 3), 1e-3


def _dip() -> tuple[nn.Module, Tensor, float]:
    """One loud input flattens tanh for a step; the gain above 1 then lifts the gradient over the bar again."""
    x = 0.001 * signal_at_start(40, 2, 3)
    rnn = _orthogonal(1.25)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.ones_like(rnn.weight_ih_l0))
    x[30] = 1.2
    return rnn, x, 0.5


def _whole() -> tuple[nn.Module, Tensor, float]:
    return _orthogonal(1.0), 0.001 * torch.randn(30, 4, 3), 0.5
