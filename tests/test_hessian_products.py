"""Hessian-vector products of every layer and cell: both roads of torch, the difference of gradients, torch.nn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import functional
from torch.func import functional_call

import seqgrad as sg
from seqgrad.clip import Norm

D = torch.float64
T, N, I, H = 5, 3, 4, 6  # noqa: E741
# name: class, its options, those of the call
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    **{name: (name, {}, {}) for name in ("RNN", "GRU", "LSTM", "ResidualRNN")},
    **{name: (name, {}, {}) for name in ("RNNCell", "GRUCell", "LSTMCell", "ResidualRNNCell")},
    "deep GRU both ways": ("GRU", {"num_layers": 2, "bidirectional": True}, {}),
    "ragged LSTM both ways": ("LSTM", {"bidirectional": True}, {"lengths": [5, 0, 3]}),
    "projected LSTM": ("LSTM", {"proj_size": 2, "num_layers": 2}, {}),
    "GRU without bias, batch first": ("GRU", {"bias": False, "batch_first": True}, {}),
    "scaled ResidualRNN": ("ResidualRNN", {"residual_scale": 0.3}, {"lengths": [2, 5, 1]}),
}


def flat(found: Any) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [t for part in found for t in flat(part)]


def problem(case: str, library: Any = sg) -> tuple[Any, tuple[Tensor, ...], tuple[Tensor, ...], nn.Module]:
    """A loss of the input and all parameters, a point, and a direction."""
    name, options, call = CASES[case]
    torch.manual_seed(0)
    module = getattr(library, name)(I, H, dtype=D, **options)
    names = [key for key, _ in module.named_parameters()]
    x = torch.randn(
        (N, I) if name.endswith("Cell") else (N, T, I) if options.get("batch_first") else (T, N, I), dtype=D
    )

    def loss(x: Tensor, *weights: Tensor) -> Tensor:
        outs = flat(functional_call(module, dict(zip(names, weights, strict=True)), (x,), call))
        return sum((out.sin() * (k + 1)).sum() for k, out in enumerate(outs))

    point = (x, *(p.detach() for p in module.parameters()))
    return loss, point, tuple(torch.randn_like(p) for p in point), module


@pytest.mark.parametrize("case", CASES)
def test_products_agree_with_each_other_and_with_differences_of_gradients(case: str) -> None:
    loss, point, v, module = problem(case)

    def gradient(point: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        leaves = tuple(p.detach().requires_grad_() for p in point)
        return torch.autograd.grad(loss(*leaves), leaves)

    leaves = tuple(p.clone().requires_grad_() for p in point)
    with sg.record(module):  # the norms are constants of it
        first = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    found = torch.autograd.grad(sum((g * d).sum() for g, d in zip(first, v, strict=True)), leaves)
    for product in (functional.hvp(loss, point, v)[1], functional.vhp(loss, point, v)[1]):
        torch.testing.assert_close(product, found, rtol=1e-10, atol=1e-12)
    step = 1e-6
    ahead, behind = (
        gradient(tuple(p + sign * step * d for p, d in zip(point, v, strict=True))) for sign in (1.0, -1.0)
    )
    for h, a, b in zip(found, ahead, behind, strict=True):
        torch.testing.assert_close(h, (a - b) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "case", [case for case, (name, _, call) in CASES.items() if "Residual" not in name and not call]
)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch.nn's
def test_products_are_those_of_torch_nn(case: str) -> None:
    loss, point, v, module = problem(case)
    theirs, _, _, peer = problem(case, nn)
    peer.load_state_dict(module.state_dict())
    expected = functional.hvp(theirs, point, v)[1]
    torch.testing.assert_close(functional.hvp(loss, point, v)[1], expected, rtol=1e-10, atol=1e-12)


def test_a_clipped_layer_differentiates_the_gradient_it_hands_out() -> None:
    """Not the Hessian of the loss: the derivative of the clipped gradient, by differences of that."""
    torch.manual_seed(0)
    rnn, x = sg.GRU(I, H, state_clip=Norm(0.05), dtype=D), torch.randn(T, N, I, dtype=D)
    v = torch.randn_like(x)

    def gradient(x: Tensor) -> Tensor:
        return torch.autograd.grad(rnn(x)[0].sin().sum(), x, create_graph=True)[0]

    leaf = x.clone().requires_grad_()
    with sg.record(rnn) as rec:
        rnn(leaf)[0].sin().sum().backward()
    assert rec["l0"].clip_hits.sum() > 0
    found = functional.vjp(gradient, x, v)[1]
    step, rows = 1e-5, []
    for k in (0, 7, 33):
        unit = torch.zeros(x.numel(), dtype=D)
        unit[k] = step
        there, back = (gradient((x + s * unit.view_as(x)).requires_grad_()).detach() for s in (1.0, -1.0))
        rows.append(((there - back) / (2 * step) * v).sum())
    torch.testing.assert_close(found.flatten()[[0, 7, 33]], torch.stack(rows), rtol=1e-6, atol=1e-8)
