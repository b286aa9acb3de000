"""Mixed precision: autocast over fp32 weights errs no more than twice as much as torch.nn in that dtype, and scales."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracle import assert_within_ratio
from torch import Tensor, nn

import seqgrad as sg
from seqgrad import _reference

T, N, I, H = 20, 8, 16, 33  # noqa: E741
DTYPES = (torch.bfloat16, torch.float16)
LAYERS = ("RNN", "GRU", "LSTM")
CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in (*LAYERS, *(f"{layer}Cell" for layer in LAYERS))]
CASES += [(name, {"num_layers": 2, "bidirectional": True}) for name in LAYERS]
CASES += [("RNN", {"nonlinearity": "relu"}), ("LSTM", {"proj_size": 9})]
both = pytest.mark.parametrize("dtype", DTYPES, ids=["bf16", "fp16"])


def flat(found: Any) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [t for part in found for t in flat(part)]


def solve(module: nn.Module, x: Tensor, autocast: torch.dtype | None = None) -> dict[str, Tensor]:
    """Outputs, and gradients of input and parameters for a fixed random gradient of each output."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        outs = flat(module(x))
    generator = torch.Generator().manual_seed(1)
    given = [torch.randn(out.shape, generator=generator).bfloat16().to(out.dtype) for out in outs]  # the same in all
    names = ["x", *(name for name, _ in module.named_parameters())]
    grads = torch.autograd.grad(outs, [x, *module.parameters()], given)
    return {f"out {k}": out.detach() for k, out in enumerate(outs)} | dict(zip(names, grads, strict=True))


@both
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{'-'.join(kw)}" for name, kw in CASES])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch.nn's
def test_autocast_errs_at_most_twice_as_much_as_torch_nn_in_that_dtype(
    name: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    """Weights and input are fp32 on our side, rounded on torch.nn's: the rounding is part of what autocast costs."""
    torch.manual_seed(0)
    ours = getattr(sg, name)(I, H, **options)
    x = torch.randn((N, I) if name.endswith("Cell") else (T, N, I))
    found = []
    for kind in (dtype, torch.float64):
        theirs = getattr(nn, name)(I, H, **options, dtype=kind)
        theirs.load_state_dict(ours.state_dict())
        found.append(solve(theirs, x.to(kind)))
    for key, value in solve(ours, x, dtype).items():
        assert value.dtype == (dtype if key.startswith("out") else torch.float32), key
        assert_within_ratio(value.to(dtype), found[0][key], found[1][key], k=2.0, ulps=0.5, what=f"{name} {key}")


@both
def test_autocast_of_a_residual_layer_errs_at_most_twice_as_much_as_its_loop_of_torch_ops(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    rnn, x = sg.ResidualRNN(I, H, residual_scale=0.3), torch.randn(T, N, I)

    class Loop(nn.Module):
        def __init__(self, kind: torch.dtype) -> None:
            super().__init__()
            for key, value in rnn.named_parameters():
                setattr(self, key, nn.Parameter(value.detach().to(kind)))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            h0 = x.new_zeros(N, H)
            found = _reference.layer(x, *self.parameters(), h0, cell="residual_tanh", scale=0.3)
            return found.out, found.hn.unsqueeze(0)

    peer, exact = (solve(Loop(kind), x.to(kind)) for kind in (dtype, torch.float64))
    for key, value in solve(rnn, x, dtype).items():
        assert_within_ratio(value.to(dtype), peer[key], exact[key], k=2.0, ulps=0.5, what=key)


class Reader(nn.Module):
    def __init__(self, cell: str) -> None:
        super().__init__()
        self.rnn, self.head = getattr(sg, cell)(I, H), nn.Linear(H, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][-1])


@both
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM", "ResidualRNN"])
def test_training_under_a_scaler_keeps_fp32_weights_and_reports_unscaled_norms(cell: str, dtype: torch.dtype) -> None:
    """Every step doubles the scale; each backward's norms are divided by its own."""
    torch.manual_seed(0)
    model, x, y = Reader(cell), torch.randn(T, N, I), torch.randint(3, (N,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=1)
    monitor = sg.Monitor(model, every=1, rules=[], on_finding=None)
    expected = []
    for step in range(3):
        with sg.record(model) as plain:  # the same weights in fp32, without a scale
            nn.functional.cross_entropy(model(x), y).backward()
        expected.append(plain["rnn"].l0.norm("grad_h"))
        optimizer.zero_grad()
        with monitor, torch.autocast("cpu", dtype=dtype):
            loss = nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
        monitor.step(loss, scaler=scaler)
        assert scaler.get_scale() == 2.0 ** (8 + step)
        scaler.step(optimizer)
        scaler.update()
        assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
    measured = monitor.history.matrix("rnn.l0", "grad_h")
    for k, exact in enumerate(expected):
        torch.testing.assert_close(measured[k], exact.to(measured.dtype), rtol=16 * torch.finfo(dtype).eps, atol=0)
