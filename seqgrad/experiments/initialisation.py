"""What each initialisation gives the gradient before the first training step: spectra, norms at three lags, spread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch

import seqgrad as sg
from seqgrad.experiments._measure import INPUTS, Setup, build, flow
from seqgrad.experiments._result import Progress, Result, median, one_of, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETUPS: dict[str, Setup] = {
    "rnn": Setup("rnn"),
    "rnn_xavier": Setup("rnn", xavier=True),
    "rnn_orthogonal": Setup("rnn", "orthogonal"),
    "rnn_orthogonal_zero_bias": Setup("rnn", "orthogonal", zero_bias=True),
    "rnn_identity": Setup("rnn", "identity", nonlinearity="relu"),
    "residual": Setup("residual"),
    "residual_orthogonal": Setup("residual", "orthogonal"),
    "gru": Setup("gru"),
    "gru_orthogonal": Setup("gru", "orthogonal"),
    "gru_chrono": Setup("gru", keep="chrono"),
    "lstm": Setup("lstm"),
    "lstm_orthogonal": Setup("lstm", "orthogonal"),
    "lstm_forget_one": Setup("lstm", keep=1.0),
    "lstm_forget_99": Setup("lstm", keep=0.99),
    "lstm_chrono": Setup("lstm", keep="chrono"),
}
DRAWN = ("rnn", "rnn_orthogonal", "rnn_orthogonal_zero_bias", "rnn_identity")
GATED = ("gru", "gru_orthogonal", "lstm_orthogonal", "gru_chrono")
LAGS = (9, 49, 99)


@dataclass
class Profile:
    """One set-up, one seed: W_hh's spectrum (over all gates), the curve, the spread of the last state."""

    radius: float
    sigma_max: float
    sigma_min: float
    curve: list[float]  # t = 1..T, relative to t = T; dL/dc_t for an LSTM, dL/dh_t for the others
    spread: float


@dataclass
class Initialisation(Result):
    """``profiles[set-up]``: one per seed. ``table()`` has the medians that the report shows."""

    name: ClassVar[str] = "initialisation"
    kinds: ClassVar[tuple[str, ...]] = ("rnn", "gated")

    steps: int
    hidden: int
    seeds: int
    profiles: dict[str, list[Profile]]
    small: list[float] = field(
        default_factory=list
    )  # a default RNN with H=32: relative norm at the first step, per seed
    per_gate: float = math.nan  # largest distance of any singular value of any gate to 1 after orthogonal_
    xavier: float = math.nan  # variance of W_ih over the rule's 2 / (I + H)
    memory: float = math.nan  # mean 1 / (1 - f) under chrono biases over the rule's (2 + T) / 2

    def curve(self, setup: str) -> list[float]:
        """Median over seeds at every t = 1..T, relative to t = T."""
        return [median(values) for values in zip(*(one.curve for one in self.profiles[setup]), strict=True)]

    def at_lag(self, setup: str, lag: int) -> float:
        """The relative norm ``lag`` steps before the last."""
        return self.curve(setup)[self.steps - 1 - lag]

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Column keys, and a row per set-up: its key, radius, singular values, norms at the lags, spread (medians)."""
        lags = [lag for lag in LAGS if lag < self.steps]
        rows = []
        for setup, found in self.profiles.items():
            spectrum = [median([getattr(one, what) for one in found]) for what in ("radius", "sigma_max", "sigma_min")]
            norms = [self.at_lag(setup, lag) for lag in lags]
            rows.append([setup, *spectrum, *norms, median([one.spread for one in found])])
        return ["setup", "radius", "sigma_max", "sigma_min", *(f"lag_{lag}" for lag in lags), "spread"], rows

    def rows(self) -> list[dict[str, Any]]:
        """One row per set-up and seed."""
        return [
            {"setup": setup, "seed": seed, "radius": one.radius, "sigma_max": one.sigma_max, "sigma_min": one.sigma_min,
             **{f"lag_{lag}": one.curve[self.steps - 1 - lag] for lag in LAGS if lag < self.steps},
             "spread": one.spread}
            for setup, found in self.profiles.items()
            for seed, one in enumerate(found)
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """The first timestep's relative gradient of every set-up."""
        facts: dict[str, Any] = {
            "steps": self.steps,
            "hidden": self.hidden,
            "seeds": self.seeds,
            "half": self.hidden // 2,
        }
        for setup in self.profiles:
            facts[f"init_{setup}"] = self.curve(setup)[0]
        return facts

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``rnn`` or ``gated``: the curves."""
        from seqgrad.experiments import _figures

        chosen = [setup for setup in (DRAWN if kind == "rnn" else GATED) if setup in self.profiles]
        return _figures.flow_curves(figure, {setup: self.curve(setup) for setup in chosen or self.profiles}, say)


def initialisation(
    setups: Sequence[str] = tuple(SETUPS), *, steps: int = 100, hidden: int = 128, batch: int = 32, seeds: int = 5,
    progress: bool | Progress = False,
) -> Initialisation:  # fmt: skip
    """Build every set-up, look at W_hh and record one backward: signal at t=1, loss on the last state, no training.

    LSTMs use half of ``hidden``. Orthogonal: Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics
    of learning in deep linear neural networks"; Xavier: Glorot, Bengio 2010; identity: Le, Jaitly, Hinton 2015, "A
    simple way to initialize recurrent networks of rectified linear units"; chrono: Tallec, Ollivier 2018, "Can
    recurrent neural networks warp time?".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.initialisation(("rnn", "rnn_orthogonal"), steps=50, hidden=16, seeds=1)
        >>> round(run.profiles["rnn_orthogonal"][0].sigma_max, 4)
        1.0
    """
    for setup in setups:
        one_of("setups", setup, tuple(SETUPS))
    if not setups:
        raise ValueError(f"setups must name at least one of {', '.join(SETUPS)}, got none")
    positive("steps", steps, at_least=2), positive("seeds", seeds), positive("hidden", hidden, at_least=2)
    positive("batch", batch, at_least=2)
    start, tell = time.perf_counter(), reporter(progress, "initialisation")
    profiles: dict[str, list[Profile]] = {}
    for k, name in enumerate(setups):
        tell(k / len(setups), name)
        width = hidden // 2 if SETUPS[name].cell == "lstm" else hidden
        profiles[name] = [_profile(SETUPS[name], steps, width, batch, seed) for seed in range(seeds)]
    result = Initialisation(steps, hidden, seeds, profiles)
    if set(setups) == set(SETUPS) and steps == 100:
        result.small = [_profile(SETUPS["rnn"], steps, 32, batch, seed).curve[0] for seed in range(seeds)]
        result.per_gate = max(gate_distance(seed) for seed in range(seeds))
        result.xavier = median([xavier_share(hidden, seed) for seed in range(seeds)])
        result.memory = median([chrono_share(hidden, seed) for seed in range(seeds)])
        result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def _profile(setup: Setup, steps: int, hidden: int, batch: int, seed: int) -> Profile:
    with seeded(seed):
        spectra = list(sg.init.recurrent_spectrum(build(setup, hidden=hidden, steps=steps))["l0"].values())
    run = flow(setup, steps=steps, hidden=hidden, batch=batch, seed=seed)
    curve = run.grad_c or run.grad_h
    return Profile(
        max(one.radius for one in spectra), max(one.largest for one in spectra), min(one.smallest for one in spectra),
        [value / curve[-1] for value in curve], run.spread,
    )  # fmt: skip


def gate_distance(seed: int, hidden: int = 64) -> float:
    """Largest distance of any singular value of any gate to 1, after ``orthogonal_`` of an RNN, a GRU and an LSTM."""
    worst = 0.0
    for cell in ("rnn", "gru", "lstm"):
        with seeded(seed):
            layer = build(Setup(cell, "orthogonal"), hidden=hidden, steps=1)
        for one in sg.init.recurrent_spectrum(layer)["l0"].values():
            worst = max(worst, abs(one.largest - 1), abs(one.smallest - 1))
    return worst


def xavier_share(hidden: int, seed: int) -> float:
    """Variance of an LSTM's Xavier W_ih over the rule's 2 / (I + H)."""
    with seeded(seed):
        layer: Any = build(Setup("lstm", xavier=True), hidden=hidden, steps=1)
    return float(layer.weight_ih_l0.detach().double().square().mean()) / (2 / (INPUTS + hidden))


def chrono_share(hidden: int, seed: int, steps: int = 100) -> float:
    """Mean time 1 / (1 - f) that a chrono LSTM's units keep, at zero input and state, over its expected (2 + T) / 2."""
    with seeded(seed):
        layer: Any = build(Setup("lstm", keep="chrono"), hidden=hidden, steps=steps)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().double()[hidden : 2 * hidden]
    return float((1 / (1 - torch.sigmoid(bias))).mean()) / ((2 + steps) / 2)


def _judge(result: Initialisation) -> list[Claim]:
    zero, biased = result.at_lag("rnn_orthogonal_zero_bias", 99), result.at_lag("rnn_orthogonal", 99)
    default = result.profiles["rnn"]
    claims = [
        judge("init.orthogonal", result.per_gate),
        judge("init.orthogonal_keeps", zero),
        judge("init.bias_cost", zero / biased),
        judge("init.xavier", result.xavier),
        judge("init.xavier_alone", result.at_lag("rnn_xavier", 99)),
        judge("init.radius", median([one.radius for one in default])),
        judge("init.lag_49", result.at_lag("rnn", 49)),
        judge("init.small", median(result.small)),
        judge("init.identity", result.at_lag("rnn_identity", 98)),
        judge("init.gates", result.at_lag("gru_orthogonal", 99)),
        judge("init.chrono", result.memory),
    ]
    if result.hidden == 128:
        claims.append(judge("init.spread", median([one.spread for one in default])))
    return claims
