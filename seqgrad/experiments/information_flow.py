"""Information on its way forward: what the state at step t still knows of the first input."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from seqgrad.experiments._measure import Setup, build, flow, signal_at_start, spread
from seqgrad.experiments._result import Progress, Result, median, one_of, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.tasks import first_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETUPS: dict[str, Setup] = {
    "rnn": Setup("rnn"),
    "rnn_orthogonal_zero_bias": Setup("rnn", "orthogonal", zero_bias=True),
    "lstm": Setup("lstm"),
    "lstm_chrono": Setup("lstm", keep="chrono"),
}
FITTED, PROBED = 512, 512  # samples that the probe learns from, and others that it is judged on
RIDGE = 1e-6  # relative to the largest variance of the state: weaker directions than a thousandth count as unreadable


@dataclass
class Flow:
    """One network, one seed; everything at t = 1..T."""

    sensitivity: list[float]  # ||dh_t / dx_1||, Frobenius, root mean square over four samples
    probe: dict[int, float]  # share of fresh samples whose first sign a linear readout of h_t tells, by t
    spread: list[float]  # largest difference between any two of 32 samples in any unit of h_t
    gradient: list[float]  # ||dL/dh_t|| of a loss on the last state, relative to t = T


@dataclass
class InformationFlow(Result):
    """``flows[set-up]``: one per seed. Forward quantities and the gradient stay in panels of their own."""

    name: ClassVar[str] = "information_flow"
    kinds: ClassVar[tuple[str, ...]] = ("forward", "both")

    steps: int
    hidden: int
    seeds: int
    flows: dict[str, list[Flow]]

    def curve(self, setup: str, what: str) -> list[float]:
        """Median over seeds of ``sensitivity``, ``spread`` or ``gradient`` at t = 1..T."""
        return [median(values) for values in zip(*(getattr(one, what) for one in self.flows[setup]), strict=True)]

    def probe(self, setup: str) -> dict[int, float]:
        """Median over seeds of the probe's accuracy, at the timesteps where it was fitted."""
        found = self.flows[setup]
        return {t: median([one.probe[t] for one in found]) for t in found[0].probe}

    def rows(self) -> list[dict[str, Any]]:
        """One row per set-up, seed and timestep; ``probe`` is None where none was fitted."""
        return [
            {"setup": setup, "seed": seed, "t": t, "sensitivity": one.sensitivity[t - 1], "probe": one.probe.get(t),
             "spread": one.spread[t - 1], "gradient": one.gradient[t - 1]}
            for setup, found in self.flows.items()
            for seed, one in enumerate(found)
            for t in range(1, self.steps + 1)
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """What is left at t = 10, 50 and the end."""
        facts: dict[str, Any] = {"steps": self.steps, "hidden": self.hidden, "seeds": self.seeds, "probed": PROBED}
        for setup in self.flows:
            apart, probe = self.curve(setup, "spread"), self.probe(setup)
            facts[f"{setup}_lost"] = next((t for t, share in probe.items() if share < 0.75), self.steps)
            facts[f"{setup}_probe"] = list(probe.values())[-1]
            facts[f"{setup}_spread_10"] = apart[min(9, self.steps - 1)]
            facts[f"{setup}_spread_50"] = apart[min(49, self.steps - 1)]
        return facts

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``forward`` (sensitivity, probe, spread) or ``both`` (forward beside the gradient)."""
        from seqgrad.experiments import _draw_lesson

        if kind == "forward":
            return _draw_lesson.forward(figure, self, say)
        return _draw_lesson.there_and_back(figure, self, say)


def information_flow(
    setups: Sequence[str] = tuple(SETUPS), *, steps: int = 60, hidden: int = 128, seeds: int = 5,
    progress: bool | Progress = False,
) -> InformationFlow:  # fmt: skip
    """Follow the first input forward through networks that nobody has trained yet: signal at t=1, silence after it.

    Three measures at every t: how far h_t moves when x_1 does (exact derivatives), with which accuracy a linear
    readout of h_t, fitted by ridge regression on 512 samples, tells the sign of the first element on 512 others, and
    how far apart 32 different first inputs keep the states. States are float32, as the network computes them. Beside
    them the gradient of a loss on the last state, which runs the other way. ``seqgrad.analysis.information_flow`` is
    the same question about the last state of a network and data of your own.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.information_flow(("rnn",), steps=20, hidden=16, seeds=1)
        >>> run.flows["rnn"][0].sensitivity[-1] < 1e-3 * run.flows["rnn"][0].sensitivity[0]
        True
    """
    for setup in setups:
        one_of("setups", setup, tuple(SETUPS))
    if not setups:
        raise ValueError(f"setups must name at least one of {', '.join(SETUPS)}, got none")
    positive("steps", steps, at_least=2), positive("hidden", hidden, at_least=2), positive("seeds", seeds)
    start, tell = time.perf_counter(), reporter(progress, "information_flow")
    flows: dict[str, list[Flow]] = {}
    for k, name in enumerate(setups):
        flows[name] = []
        for seed in range(seeds):
            tell((k + seed / seeds) / len(setups), f"{name}, seed {seed}")
            flows[name].append(measure(SETUPS[name], steps=steps, hidden=hidden, seed=seed))
    result = InformationFlow(steps, hidden, seeds, flows)
    if set(setups) == set(SETUPS) and steps >= 50 and hidden == 128:
        result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def measure(setup: Setup, *, steps: int, hidden: int, seed: int) -> Flow:
    """All curves of one network."""
    with seeded(seed):
        layer: Any = build(setup, hidden=hidden, steps=steps)
        x = signal_at_start(steps, 32)
        seen, signs = first_element(steps, FITTED + PROBED)
        with torch.no_grad():
            states, apart = layer(seen)[0], spread(layer(x)[0])
        sensitivity = _sensitivity(layer, x[:, :4])
        marks = sorted({*range(1, min(steps, 10) + 1, 3), *range(10, steps + 1, 4), steps})
        probe = {t: _told(states[t - 1], signs) for t in marks}
    run = flow(setup, steps=steps, hidden=hidden, seed=seed)
    curve = run.grad_c or run.grad_h
    return Flow(sensitivity.tolist(), probe, apart.tolist(), [value / curve[-1] for value in curve])


def _sensitivity(layer: nn.Module, x: Tensor) -> Tensor:
    """``[T]`` Frobenius norm of dh_t/dx_1, root mean square over the samples of ``x [T, N, I]``; float64."""
    double = layer.double()
    rest, first = x[1:].double(), x[0].double()
    squares = torch.zeros(len(x), dtype=torch.float64)
    for unit in range(first.shape[1]):
        direction = torch.zeros_like(first)
        direction[:, unit] = 1.0
        _, moved = torch.autograd.functional.jvp(lambda x1: double(torch.cat([x1[None], rest]))[0], first, direction)
        squares += moved.detach().square().sum(2).mean(1)
    return squares.sqrt()


def _told(states: Tensor, signs: Tensor) -> float:
    """Share of the last ``PROBED`` samples whose sign a ridge regression on the first ``FITTED`` tells; ``[N, H]``."""
    features = states.double() - states[:FITTED].double().mean(0)
    fitted, wanted = features[:FITTED], signs[:FITTED].double() * 2 - 1
    gram = fitted.T @ fitted
    top = float(gram.diagonal().max())
    if top == 0:
        return 0.5
    ridge = RIDGE * top * torch.eye(len(gram), dtype=torch.float64)
    weights = torch.linalg.solve(gram + ridge, fitted.T @ (wanted - wanted.mean()))
    guess = features[FITTED:] @ weights + wanted.mean() > 0
    return float((guess == (signs[FITTED:] > 0)).double().mean())


def _judge(result: InformationFlow) -> list[Claim]:
    def near(setup: str, t: int) -> float:
        probe = result.probe(setup)
        return probe[min(probe, key=lambda mark: abs(mark - t))]

    apart, sensitivity = result.curve("rnn", "spread"), result.curve("rnn", "sensitivity")
    return [
        judge("info.rich", near("rnn", 1)),
        judge("info.some", apart[9]),
        judge("info.nothing", apart[49]),
        judge("info.probe", near("rnn", 50)),
        judge("info.sensitivity", sensitivity[49] / sensitivity[0]),
        judge("info.orthogonal", near("rnn_orthogonal_zero_bias", 50)),
        judge("info.chrono", near("lstm_chrono", 50)),
    ]
