"""The zoo: networks broken in one known way each, and healthy ones, trained a few steps under a monitor.

Every specimen is built so that place and timestep of its trouble follow from arithmetic, not from a run.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.rules import Finding

T, N, I, H = 40, 4, 3, 16  # noqa: E741 - the letters of the formulas


@dataclass(frozen=True)
class Specimen:
    """``run`` trains it and gives the findings of the step at which the trouble shows, the worst first."""

    name: str
    run: Callable[[], list[Finding]]
    rule: str
    module: str
    series: str
    t: int | None
    sample: int | None = None
    severity: str = "warning"


class Model(nn.Module):
    """A recurrent layer ``rnn``, and what ``read`` takes of its output ``[T, N, H]``."""

    def __init__(self, rnn: nn.Module, read: Callable[[Tensor], Tensor] = lambda out: out[-1]) -> None:
        super().__init__()
        self.rnn, self.read = rnn, read

    def forward(self, x: Tensor, **options: Any) -> Tensor:
        return self.read(self.rnn(x, **options)[0])


def orthogonal(gain: float, size: int = H) -> Tensor:
    return gain * torch.linalg.qr(torch.randn(size, size))[0]


def quiet_rnn(gain: float, **options: Any) -> sg.RNN:
    """At x = h = 0 its Jacobian is ``gain`` times an orthogonal matrix at every timestep: norms are gain^lag."""
    rnn = sg.RNN(I, H, **options)
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            p.copy_(orthogonal(gain)) if "weight_hh" in name else p.zero_() if "bias" in name else None
    return rnn


def observed(
    model: nn.Module,
    batch: Callable[[], Tensor],
    *,
    loss: Callable[[Tensor], Tensor] = lambda y: y.square().mean(),
    steps: int = 1,
    optimizer: torch.optim.Optimizer | None = None,
    clear: bool = True,
    **options: Any,
) -> list[Finding]:
    """Train some steps, each one observed; the last step's findings."""
    mon = sg.Monitor(model, every=1, on_finding=None)
    found: list[Finding] = []
    for _ in range(steps):
        with mon:
            value = loss(model(batch(), **options))
            value.backward()
        found = mon.step(loss=value)
        if optimizer is not None:
            optimizer.step()
        if clear:
            model.zero_grad()
    return found


def zeros() -> Tensor:
    return torch.zeros(T, N, I)


def noise(scale: float = 1.0) -> Callable[[], Tensor]:
    return lambda: scale * torch.randn(T, N, I)


def first_unit(y: Tensor) -> Tensor:
    """A loss whose gradient has norm 1 in every sample."""
    return y[..., 0].sum()


# -- broken: gradients -------------------------------------------------------------------------------------------------
def vanishing_tanh() -> list[Finding]:
    return observed(Model(quiet_rnn(0.5)), zeros, loss=first_unit)  # 0.5^10 < 1e-3


def vanishing_gru_in_a_deep_model() -> list[Finding]:
    gru = sg.GRU(I, H, num_layers=2)
    with torch.no_grad():
        for name, p in gru.named_parameters():
            p.zero_() if "bias" in name or "weight_hh" in name else None
        for layer, z in (("l0", 0.9), ("l1", 0.25)):  # oracle C1: at zero weights the norm is z^lag
            getattr(gru, f"bias_ih_{layer}")[H : 2 * H] = math.log(z / (1 - z))
    return observed(nn.Sequential(Model(gru)), zeros, loss=first_unit)


def vanishing_reverse_direction() -> list[Finding]:
    rnn = quiet_rnn(1.0, bidirectional=True)
    with torch.no_grad():
        rnn.weight_hh_l0_reverse.mul_(0.5)
    # Read where the reverse direction ends; the forward one has made a single step there.
    return observed(Model(rnn, lambda out: out[0, :, H:]), zeros, loss=first_unit)


def exploding_gain() -> list[Finding]:
    return observed(Model(quiet_rnn(1.5)), zeros, loss=first_unit)  # 2 * 1.5^10 > 100, N = 4 samples


def state_that_only_adds() -> list[Finding]:
    rnn = sg.ResidualRNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        for p in rnn.parameters():
            p.zero_()
        rnn.bias_ih_l0.fill_(30.0)  # h is 30 (t + 1): 120 at t = 3
    return observed(Model(rnn), zeros, loss=lambda y: 1e-5 * first_unit(y))


def exploding_cell_in_a_loop() -> list[Finding]:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = sg.RNNCell(I, H)
            with torch.no_grad():
                self.step.weight_hh.copy_(orthogonal(1.5))
                self.step.bias_ih.zero_()
                self.step.bias_hh.zero_()

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(x.shape[1], H)
            for now in x:
                h = self.step(now, h)
            return h

    return observed(Loop(), zeros, loss=first_unit)


def lr_too_high() -> list[Finding]:
    torch.manual_seed(1)
    model = Model(quiet_rnn(1.0))
    return observed(model, noise(), steps=2, optimizer=torch.optim.SGD(model.parameters(), lr=500.0))


def loss_summed_and_scaled() -> list[Finding]:
    return observed(Model(quiet_rnn(1.0)), zeros, loss=lambda y: 1e4 * first_unit(y))


def loss_scaled_away() -> list[Finding]:
    return observed(Model(quiet_rnn(1.0)), zeros, loss=lambda y: 1e-12 * first_unit(y))


def half_precision_underflow() -> list[Finding]:
    rnn = quiet_rnn(1.0).half()
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.5 * torch.eye(H))
    # 2^-20 where the loss enters, halved with every step: below 2^-24 after five.
    return observed(Model(rnn), lambda: zeros().half(), loss=lambda y: first_unit(y.float()) * 2.0**-20)


# -- broken: NaN and Inf -----------------------------------------------------------------------------------------------
def nan_in_the_input() -> list[Finding]:
    def batch() -> Tensor:
        x = torch.randn(T, N, I)
        x[7, 2, 1] = math.nan
        return x

    return observed(Model(sg.LSTM(I, H)), batch)


def two_nan_in_the_input() -> list[Finding]:
    def batch() -> Tensor:
        x = torch.randn(T, N, I)
        x[5, 1], x[9, 3] = math.nan, math.nan
        return x

    class FromTheEnd(Model):
        """Reads its input from the end, so that it meets t = 9 of the data before t = 5."""

        def forward(self, x: Tensor, **options: Any) -> Tensor:
            return super().forward(x.flip(0), **options)

    return observed(FromTheEnd(sg.LSTM(I, H)), batch)


def nan_born_in_the_backward() -> list[Finding]:
    def root(out: Tensor) -> Tensor:
        return out[-1].sum() + (0 * out[11, 1]).sum().sqrt()  # d sqrt(0) = inf, and 0 * inf = NaN

    return observed(Model(sg.GRU(I, H), root), noise(), loss=lambda y: y)


def inf_born_in_the_state() -> list[Finding]:
    rnn = sg.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(1e6 * torch.eye(H))
        rnn.weight_ih_l0.fill_(1.0)
        rnn.bias_ih_l0.zero_()
        rnn.bias_hh_l0.zero_()
    # h_t = 3 * 1e6^t after an input of 1 at t = 0: beyond 3.4e38 at t = 7.
    return observed(Model(rnn), lambda: torch.cat([torch.ones(1, N, I), torch.zeros(T - 1, N, I)]), loss=first_unit)


def nan_in_a_weight() -> list[Finding]:
    model = Model(sg.GRU(I, H, num_layers=2))
    with torch.no_grad():
        model.rnn.weight_hh_l1[3, 4] = math.nan
    return observed(model, noise())


# -- broken: states ----------------------------------------------------------------------------------------------------
def dead_relu() -> list[Finding]:
    rnn = sg.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        rnn.weight_ih_l0.abs_()
        rnn.weight_hh_l0.copy_(0.9 * torch.eye(H))
        rnn.bias_ih_l0.zero_()
        rnn.bias_hh_l0.zero_()

    def batch() -> Tensor:
        x = torch.rand(T, N, I)
        x[12:] -= 100.0  # from here on every unit's input is far below 0
        return x

    return observed(Model(rnn, lambda out: out), batch)


def saturated_tanh() -> list[Finding]:
    rnn = sg.RNN(I, H)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.randn(H, I).sign())

    def batch() -> Tensor:
        x = 0.01 * torch.randn(T, N, I)
        x[10:] += torch.tensor([100.0, 10.0, 30.0])  # no combination of signs cancels
        return x

    return observed(Model(rnn, lambda out: out), batch)


def output_gate_closed() -> list[Finding]:
    lstm = sg.LSTM(I, H)
    with torch.no_grad():
        lstm.bias_ih_l0[3 * H :] = -12.0
    return observed(Model(lstm, lambda out: out), noise())


def gates_torn_apart() -> list[Finding]:
    gru = sg.GRU(I, H, bidirectional=True)
    with torch.no_grad():
        gru.weight_ih_l0_reverse.mul_(1e4)
    return observed(Model(gru, lambda out: out), noise())


# -- broken: usage -----------------------------------------------------------------------------------------------------
def output_read_at_a_sample() -> list[Finding]:
    """Data [N, T, I] into a layer that expects [T, N, I]; the reader means the last timestep and gets a sample."""
    return observed(Model(sg.GRU(I, H), lambda out: out[:, -1]), lambda: torch.randn(12, T, I))


def last_output_of_both_directions() -> list[Finding]:
    """A classic: out[-1] takes of the reverse direction what it has after one step."""
    return observed(Model(sg.GRU(I, H, num_layers=2, bidirectional=True)), noise())


def first_output_of_a_ragged_batch() -> list[Finding]:
    lengths = torch.tensor([T, 9, 20, 31])
    return observed(Model(sg.LSTM(I, H), lambda out: out[0]), noise(), lengths=lengths)


def smooth_data_with_axes_swapped() -> list[Finding]:
    def batch() -> Tensor:
        phase, t = 7 * torch.rand(12, 1, I), torch.arange(T).view(1, T, 1)
        return torch.sin(0.3 * t + phase)  # [N, T, I]

    return observed(Model(sg.GRU(I, H), lambda out: out.mean(0)), batch)


def padding_counted_as_data() -> list[Finding]:
    def batch() -> Tensor:
        x = torch.randn(T, N, I)
        for n, length in enumerate((40, 31, 12, 22)):
            x[length:, n] = 0.5
        return x

    return observed(Model(sg.GRU(I, H)), batch)


def forgotten_zero_grad() -> list[Finding]:
    model = Model(sg.GRU(I, H))
    return observed(model, noise(), steps=3, clear=False, optimizer=torch.optim.SGD(model.rnn.parameters(), lr=1e-3))


def missing_detach() -> list[Finding]:
    """The state goes from one training step to the next with its graph: torch refuses the second backward."""
    rnn = sg.GRU(I, H)
    mon = sg.Monitor(nn.ModuleDict({"rnn": rnn}), every=1, on_finding=None)
    state, found = None, []
    for _ in range(2):
        with contextlib.suppress(RuntimeError), mon:
            out, state = rnn(torch.randn(T, N, I), state)
            out.square().mean().backward()
        found = mon.step()
    return found


def missing_detach_between_chunks() -> list[Finding]:
    """retain_graph=True silences torch, and every chunk's backward goes through all chunks before it."""
    rnn = sg.GRU(I, H)
    mon = sg.Monitor(nn.ModuleDict({"rnn": rnn}), every=1, on_finding=None)
    state = None
    with mon:
        for chunk, _, _, _ in sg.tbptt(torch.randn(T, N, I), size=10):
            out, state = rnn(chunk, state)
            out.square().mean().backward(retain_graph=True)
    return mon.step()


BROKEN = [
    Specimen("vanishing tanh", vanishing_tanh, "Vanishing", "rnn", "l0", T - 1 - 10),
    Specimen("vanishing GRU, second layer", vanishing_gru_in_a_deep_model, "Vanishing", "0.rnn", "l1", T - 1 - 5),
    Specimen("vanishing, reverse direction", vanishing_reverse_direction, "Vanishing", "rnn", "l0_reverse", 10),
    Specimen("exploding gain", exploding_gain, "Exploding", "rnn", "l0", T - 1 - 10, severity="error"),
    Specimen("exploding cell", exploding_cell_in_a_loop, "Exploding", "step", "cell", T - 1 - 10, severity="error"),
    Specimen("state that only adds", state_that_only_adds, "ExplodingState", "rnn", "l0", 3, 0),
    Specimen("lr too high", lr_too_high, "LearningRate", "rnn", "", None),
    Specimen("loss scaled up", loss_summed_and_scaled, "LossScale", "rnn", "l0", T - 1, severity="error"),
    Specimen("loss scaled away", loss_scaled_away, "LossScale", "rnn", "l0", T - 1),
    Specimen("fp16 underflow", half_precision_underflow, "Underflow", "rnn", "l0", T - 1 - 5, 0),
    Specimen("NaN in the input", nan_in_the_input, "NonFinite", "rnn", "l0", 7, 2, "error"),
    Specimen("two NaN in the input", two_nan_in_the_input, "NonFinite", "rnn", "l0", T - 1 - 9, 3, "error"),
    Specimen("NaN of the backward", nan_born_in_the_backward, "NonFinite", "rnn", "l0", 11, 1, "error"),
    Specimen("Inf of the state", inf_born_in_the_state, "NonFinite", "rnn", "l0", 7, 0, "error"),
    Specimen("NaN in a weight", nan_in_a_weight, "NonFinite", "rnn", "weight_hh_l1", 0, 0, "error"),
    Specimen("dead relu", dead_relu, "DeadUnits", "rnn", "l0", 12),
    Specimen("saturated tanh", saturated_tanh, "Saturation", "rnn", "l0", 10),
    Specimen("closed output gate", output_gate_closed, "Saturation", "rnn", "l0", 0),
    Specimen("gates torn apart, reverse", gates_torn_apart, "Saturation", "rnn", "l0_reverse", T - 1),
    Specimen("output read at a sample", output_read_at_a_sample, "SwappedAxes", "rnn", "l0", 11, T - 1),
    Specimen("batch and time swapped", smooth_data_with_axes_swapped, "SwappedAxes", "rnn", "l0", 0, 0),
    Specimen("reverse read at its start", last_output_of_both_directions, "ReadTooEarly", "rnn", "l1_reverse", T - 1),
    Specimen("read at t=0", first_output_of_a_ragged_batch, "ReadTooEarly", "rnn", "l0", 0),
    Specimen("padding as data", padding_counted_as_data, "Padding", "rnn", "l0", 12, 2),
    Specimen("forgotten zero_grad", forgotten_zero_grad, "StaleGradients", "rnn", "", None, None, "error"),
    Specimen("missing detach", missing_detach, "MissingDetach", "rnn", "l0", 0, None, "error"),
    Specimen("missing detach, chunks", missing_detach_between_chunks, "MissingDetach", "rnn", "l0", 9),
]
