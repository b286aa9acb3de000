"""The gradient at every timestep of many set-ups side by side: where it vanishes, where it grows, what keeps it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments._measure import Flow, Setup, build, flow, signal_at_start
from seqgrad.experiments._result import Progress, Result, median, one_of, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TENTH = 10 ** (-1 / 10)  # .794: one decade every ten steps, the lesson's drawing of section 6

SETUPS: dict[str, Setup] = {
    "rnn": Setup("rnn"),
    "rnn_orthogonal": Setup("rnn", "orthogonal"),
    "rnn_orthogonal_zero_bias": Setup("rnn", "orthogonal", zero_bias=True),
    "rnn_tenth": Setup("rnn", "orthogonal", TENTH, zero_bias=True),
    "residual": Setup("residual"),
    "gru": Setup("gru"),
    "lstm": Setup("lstm"),
    "lstm_forget_one": Setup("lstm", keep=1.0),
    "lstm_forget_99": Setup("lstm", keep=0.99),
    "lstm_chrono": Setup("lstm", keep="chrono"),
}
PANELS = {
    "default": ("rnn", "gru", "lstm"),
    "gates": ("lstm", "lstm_forget_one", "lstm_forget_99", "lstm_chrono"),
}
EPSILON = torch.finfo(torch.float32).eps  # a share below this is lost when float32 adds it to the others


@dataclass
class GradientFlow(Result):
    """``flows[setup][seed]``; for an LSTM the curves are dL/dc_t, the highway, and dL/dh_t stays in the rows."""

    name: ClassVar[str] = "gradient_flow"
    kinds: ClassVar[tuple[str, ...]] = ("default", "share", "bars", "gates")

    steps: int
    hidden: int
    flows: dict[str, list[Flow]]
    shares: list[list[float]] = field(default_factory=list)  # of each t in ||dL/dW_hh|| of a default RNN, per seed
    extra: dict[str, float] = field(default_factory=dict)

    def curve(self, setup: str) -> list[float]:
        """Median over seeds at every t = 1..T, relative to t = T."""
        return [median(values) for values in zip(*(relative(run) for run in self.flows[setup]), strict=True)]

    def at_lag(self, setup: str, lag: int) -> float:
        """The relative norm ``lag`` steps before the last."""
        return self.curve(setup)[self.steps - 1 - lag]

    def rows(self) -> list[dict[str, Any]]:
        """One row per set-up, seed and timestep."""
        rows = []
        for setup, runs in self.flows.items():
            for seed, run in enumerate(runs):
                for t in range(self.steps):
                    row: dict[str, Any] = {"setup": setup, "seed": seed, "t": t + 1, "lag": self.steps - 1 - t}
                    row |= {"grad_h": run.grad_h[t], "grad_c": run.grad_c[t] if run.grad_c else None}
                    rows.append(row)
        return rows

    def facts(self) -> dict[str, Any]:
        """The first timestep's relative gradient of every set-up, and the extras."""
        facts: dict[str, Any] = {
            "steps": self.steps, "hidden": self.hidden, "seeds": max(len(runs) for runs in self.flows.values())
        }  # fmt: skip
        for setup in self.flows:
            facts[f"{setup}_first"] = self.curve(setup)[0]
        if self.shares:
            lost = [sum(share < EPSILON for share in shares) for shares in self.shares]
            facts |= {"lost": round(median([float(count) for count in lost])), "epsilon": EPSILON}
        return facts | self.extra

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``default``, ``gates`` (curves), ``share`` (of each step in the weights' gradient), the lesson's ``bars``."""
        from seqgrad.experiments import _figures

        if kind == "bars":
            return _figures.bars(figure, self.curve("rnn_tenth"), say)
        if kind == "share":
            shares = [median(values) for values in zip(*self.shares, strict=True)]
            return _figures.shares(figure, shares, EPSILON, say)
        curves = {setup: self.curve(setup) for setup in PANELS[kind] if setup in self.flows}
        return _figures.flow_curves(figure, curves, say)


def relative(run: Flow) -> list[float]:
    """A run's curve divided by its value at t = T: dL/dc_t for an LSTM, dL/dh_t for the others."""
    curve = run.grad_c or run.grad_h
    return [value / curve[-1] for value in curve]


def gradient_flow(
    cells: Sequence[str] = tuple(SETUPS), *, forget_bias: float | Literal["chrono"] | None = None, steps: int = 100,
    hidden: int = 128, batch: int = 32, seeds: int = 5, progress: bool | Progress = False,
) -> GradientFlow:  # fmt: skip
    """Record one backward of each set-up in ``cells`` (names of ``SETUPS``): signal at t=1, loss on the last state.

    No training: this is what a network has before its first step. LSTMs use half of ``hidden``. ``forget_bias`` sets
    the gate that keeps the state, in an LSTM's forget gate or a GRU's update gate: a value for the bias, or
    ``"chrono"`` for biases spread over time scales up to ``steps``.

    Example:
        >>> import seqgrad as sg
        >>> flow = sg.experiments.gradient_flow(("rnn",), steps=50, hidden=16, seeds=1)
        >>> flow.curve("rnn")[0] < 1e-4
        True
    """
    for cell in cells:
        one_of("cells", cell, tuple(SETUPS))
    if not cells:
        raise ValueError(f"cells must name at least one of {', '.join(SETUPS)}, got none")
    positive("steps", steps, at_least=2), positive("seeds", seeds), positive("hidden", hidden, at_least=2)
    positive("batch", batch)
    start, tell = time.perf_counter(), reporter(progress, "gradient_flow")
    flows: dict[str, list[Flow]] = {}
    for k, cell in enumerate(cells):
        tell(k / len(cells), cell)
        setup, width = SETUPS[cell], hidden // 2 if SETUPS[cell].cell == "lstm" else hidden
        if forget_bias is not None and setup.cell in ("gru", "lstm"):
            setup = replace(setup, keep=forget_bias)
        flows[cell] = [flow(setup, steps=steps, hidden=width, batch=batch, seed=s) for s in range(seeds)]
    result = GradientFlow(steps, hidden, flows)
    if "rnn" in cells:
        result.shares = [step_shares(hidden=hidden, batch=batch, seed=seed, steps=steps) for seed in range(seeds)]
    if forget_bias is None and set(cells) == set(SETUPS) and steps == 100:
        result.extra, result.claims = _judge(result, batch=batch)
    result.seconds = time.perf_counter() - start
    return result


def _judge(result: GradientFlow, *, batch: int) -> tuple[dict[str, float], list[Claim]]:
    """The claims need the lesson's length of 100, so that lag 99 exists."""
    rnn, last = result.flows["rnn"], result.steps - 1
    curve = result.curve("rnn")
    extra = {
        "old_share": median([old_share(hidden=result.hidden, batch=batch, seed=s) for s in range(len(rnn))]),
        "product_error": product_of_jacobians(seed=0),
        "forget_law": forget_law(),
        "every_step": median([_every_step(result.hidden, s) for s in range(len(rnn))]),
    }
    claims = [
        judge("flow.product", extra["product_error"]),
        judge("flow.every_step", extra["every_step"]),
        judge("flow.vanishes", result.at_lag("rnn", last)),
        judge("flow.mirrored", 1 + max(range(result.steps), key=curve.__getitem__)),
        judge("flow.early_steps", extra["old_share"]),
        judge("flow.share", median([float(sum(share < EPSILON for share in shares)) for shares in result.shares])),
        judge("flow.factor_ten", result.at_lag("rnn_tenth", 10)),
        judge("flow.forget_law", extra["forget_law"]),
        judge("flow.lstm_default", result.at_lag("lstm", last)),
        judge("flow.gru_default", result.at_lag("gru", last)),
        judge("flow.forget_one", result.at_lag("lstm_forget_one", last)),
        judge("flow.forget_99", result.at_lag("lstm_forget_99", last)),
        judge("flow.chrono", result.at_lag("lstm_chrono", last)),
    ]
    return extra, claims


def old_share(*, hidden: int, batch: int, seed: int, steps: int = 100, recent: int = 50) -> float:
    """Which part of dL/dW_hh comes from timesteps older than the ``recent`` last ones, in float64.

    The whole gradient against the one of the last ``recent`` steps started from the detached state before them.
    """
    with seeded(seed):
        layer: Any = build(Setup("rnn"), hidden=hidden, steps=steps, dtype=torch.float64)
        x = signal_at_start(steps, batch, dtype=torch.float64)
        direction = torch.randn(hidden, dtype=torch.float64)
    whole = torch.autograd.grad((layer(x)[0][-1] @ direction).mean(), layer.weight_hh_l0)[0]
    _, state = layer(x[:-recent])
    late = layer(x[-recent:], state.detach())[0][-1]
    part = torch.autograd.grad((late @ direction).mean(), layer.weight_hh_l0)[0]
    return float((whole - part).norm() / whole.norm())


def step_shares(*, hidden: int, batch: int, seed: int, steps: int = 100) -> list[float]:
    """Each timestep's share in the gradient of a default RNN's W_hh, t = 1..T; 0 at t = 1, where h_0 is."""
    with seeded(seed):
        layer: Any = build(Setup("rnn"), hidden=hidden, steps=steps, dtype=torch.float64)
        x = signal_at_start(steps, batch, dtype=torch.float64)
        direction = nn.functional.normalize(torch.randn(hidden, dtype=torch.float64), dim=0)
    out, _ = layer(x)
    found: list[float] = sg.analysis.contribution(layer, x, out, (out[-1] @ direction).mean()).tolist()
    return found


def product_of_jacobians(*, seed: int, cell: str = "rnn", steps: int = 20, hidden: int = 16, batch: int = 4) -> float:
    """Largest relative distance of the recorded norms to the lesson's product of Jacobians (line 18), in float64."""
    with seeded(seed):
        layer: Any = build(Setup(cell), hidden=hidden, steps=steps, dtype=torch.float64)
        x = torch.randn(steps, batch, 10, dtype=torch.float64)
        direction = torch.randn(hidden, dtype=torch.float64)
    with sg.record(layer) as rec:
        out, _ = layer(x)
        (out[-1] @ direction).mean().backward()
    recorded = rec[""].l0.grad_h.double()
    products = sg.analysis.products(sg.analysis.step_jacobians(layer, x))  # [T, N, H, H]: dh_T/dh_t
    norms = torch.einsum("i,tnij->tnj", direction / batch, products).norm(dim=2)
    return float(((recorded - norms) / norms).abs().max())


def forget_law(forget: float = 0.9, *, steps: int = 50, hidden: int = 8) -> float:
    """Worst relative distance of the recorded ||dL/dc_t|| to f^k in an LSTM with all weights zero."""
    with seeded(0):
        layer: Any = build(Setup("lstm"), hidden=hidden, steps=steps, dtype=torch.float64)
        direction = torch.randn(hidden, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[hidden : 2 * hidden] = math.log(forget / (1 - forget))
    with sg.record(layer) as rec:
        _, (_, cell) = layer(torch.zeros(steps, 1, 10, dtype=torch.float64))
        (cell[-1, 0] @ direction).backward()
    recorded = rec[""].l0.norm("grad_c").double()
    law = torch.tensor([forget**k for k in range(steps - 1, -1, -1)], dtype=torch.float64) * direction.norm()
    return float(((recorded - law) / law).abs().max())


def _every_step(hidden: int, seed: int) -> float:
    """||dL/dh_1|| relative to ||dL/dh_T|| of the same default RNN when the loss reads every state."""
    run = flow(Setup("rnn"), hidden=hidden, seed=seed, every_step=True)
    return run.grad_h[0] / run.grad_h[-1]
