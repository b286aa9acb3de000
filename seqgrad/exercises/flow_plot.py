"""Exercise: plot the norm of dL/dh_t against t."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong
from seqgrad.exercises._networks import Classifier

FUNCTION = "plot_gradient"
STARTER = """
import matplotlib.pyplot as plt
import torch


def plot_gradient(model, x, target):
    out, _ = model.rnn(x)
    out.retain_grad()
    loss = torch.nn.functional.cross_entropy(model.head(out[-1]), target)
    loss.backward()
    figure, ax = plt.subplots()
    ax.plot(out.grad.norm(dim=(1, 2)))
    return ax
"""


def judge(answer: Callable[..., Any]) -> Facts:
    """Two networks of different lengths; the drawn line must be the norm over the batch, on a logarithmic axis."""
    for seed, (steps, batch) in enumerate(((40, 4), (25, 7))):
        torch.manual_seed(seed)
        model = Classifier(sg.GRU(3, 16))
        x, target = torch.randn(steps, batch, 3), torch.randint(2, (batch,))
        axes, drawn = _drawn(answer(model, x, target))
        _compare(drawn, model, x, target)
        if axes.get_yscale() != "log":
            raise Wrong("linear_axis", scale=axes.get_yscale())
    return {"steps": steps}


def _drawn(returned: Any) -> tuple[Any, Tensor]:
    axes = returned.axes[0] if isinstance(getattr(returned, "axes", None), list) and returned.axes else returned
    if hasattr(returned, "ax_"):  # one of seqgrad's displays
        axes = returned.ax_
    if not hasattr(axes, "get_lines"):
        raise Wrong("wrong_type", expected="matplotlib Axes", got=type(returned).__name__)
    lines = [torch.as_tensor(line.get_xydata()).double() for line in axes.get_lines()]
    lines = [line for line in lines if len(line) > 2]  # two points are a guide to the eye
    if not lines:
        raise Wrong("no_line")
    line = lines[0]
    return axes, line[line[:, 0].argsort(), 1]  # left to right, however it was drawn


def _compare(drawn: Tensor, model: Classifier, x: Tensor, target: Tensor) -> None:
    series = _measured(model, x, target)
    right = series.norm("grad_h").double()
    if len(drawn) != len(right):
        raise Wrong("length", got=len(drawn), expected=len(right))
    if _same(drawn, right):
        return
    direct = torch.zeros_like(right)
    direct[-1] = right[-1]
    known = {
        "direct": direct,
        "mirrored": right.flip(0),
        "carry": series.norm("grad_carry").double(),
        "summed": series.grad_h.double().sum(1),
        "averaged": series.grad_h.double().mean(1),
        "one_sample": series.grad_h[:, 0].double(),
        "relative": right / right[-1],
        "log_of_norm": right.log10(),
    }
    hint = next((name for name, values in known.items() if _same(drawn, values)), "other")
    raise Wrong(hint, first=float(right[0]), last=float(right[-1]), got_first=float(drawn[0]), got=float(drawn[-1]))


def _measured(model: Classifier, x: Tensor, target: Tensor) -> Any:
    model.zero_grad()
    with sg.record(model) as rec:
        torch.nn.functional.cross_entropy(model(x), target).backward()
    return rec["rnn"].l0


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(torch.allclose(a, b, rtol=1e-4, atol=0))
