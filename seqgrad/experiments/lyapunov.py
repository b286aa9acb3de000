"""Lyapunov exponents: exact where theory is, and in a tanh network the rate at which recorded gradients grow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad import analysis
from seqgrad.analysis._lyapunov import growth_rates
from seqgrad.experiments._result import Progress, Result, median, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.mean_field import check_gains

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAINS = (0.6, 0.8, 0.9, 1.1, 1.3, 1.5, 1.8, 2.2)
WIDTH, BATCH, STEPS, WARM, DRIVE = 64, 4, 300, 100, 0.3
SMALL = 6  # units of the two networks with a closed form
F64 = torch.float64


@dataclass(frozen=True)
class Network:
    """One tanh network: the largest exponent, the growth of ln ||dL/dh_t|| per step back, and the horizon at 1e-3."""

    gain: float
    seed: int
    exponent: float
    growth: float
    horizon: float

    @property
    def predicted(self) -> float:
        """The horizon that the exponent foretells: ln(1e-3) / exponent; infinite where nothing vanishes."""
        return math.log(1e-3) / self.exponent if self.exponent < 0 else math.inf


@dataclass
class LyapunovSpectrum(Result):
    """``linear`` and ``gaussian``: pairs of measured and exact spectra; ``networks``: tanh networks across gains."""

    name: ClassVar[str] = "lyapunov"
    kinds: ClassVar[tuple[str, ...]] = ("gains", "spectrum", "horizon")

    seeds: int
    linear: tuple[list[float], list[float]]
    gaussian: tuple[list[float], list[float]]
    networks: list[Network]

    def middle(self, read: str) -> dict[float, float]:
        """Median over seeds of a field of ``Network``, by gain."""
        gains = dict.fromkeys(net.gain for net in self.networks)
        return {gain: median([getattr(net, read) for net in self.networks if net.gain == gain]) for gain in gains}

    def crossing(self, read: str) -> float:
        """The gain at which a median passes 0, by a straight line between gains; NaN if it does not."""
        points = sorted(self.middle(read).items())
        for (a, low), (b, high) in pairwise(points):
            if low <= 0 < high:
                return a + (b - a) * -low / (high - low)
        return math.nan

    def foretold(self) -> list[Network]:
        """Networks whose foretold horizon lies well within the sequence."""
        return [net for net in self.networks if net.predicted < STEPS / 2]

    def rows(self) -> list[dict[str, Any]]:
        """One row per exponent with a closed form, and per tanh network."""
        rows: list[dict[str, Any]] = []
        for name, (measured, exact) in (("linear", self.linear), ("gaussian", self.gaussian)):
            rows += [
                {"what": name, "index": k, "exponent": a, "exact": b}
                for k, (a, b) in enumerate(zip(measured, exact, strict=True))
            ]
        rows += [
            {"what": "tanh", "gain": net.gain, "seed": net.seed, "exponent": net.exponent, "growth": net.growth,
             "horizon": net.horizon, "predicted": net.predicted}
            for net in self.networks
        ]  # fmt: skip
        return rows

    def facts(self) -> dict[str, Any]:
        """Protocol, errors, and where exponent and gradient pass 0."""
        return {
            "seeds": self.seeds, "width": WIDTH, "steps": STEPS, "warm": WARM, "batch": BATCH, "drive": DRIVE,
            "linear_error": _worst(self.linear), "gaussian_error": _worst(self.gaussian),
            "crossing": self.crossing("exponent"), "crossing_growth": self.crossing("growth"),
            "gap": self.gap(), "ratio": self.ratio(), "small": SMALL,
        }  # fmt: skip

    def gap(self) -> float:
        """The largest distance, over gains, between median exponent and median growth of the recorded gradient."""
        exponent, growth = self.middle("exponent"), self.middle("growth")
        return max(abs(exponent[gain] - growth[gain]) for gain in exponent)

    def ratio(self) -> float:
        """Median of the measured horizon over the foretold one; NaN without a network to tell it of."""
        return median([net.horizon / net.predicted for net in self.foretold()] or [math.nan])

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``gains``, ``spectrum`` or ``horizon``."""
        from seqgrad.experiments import _draw_theory

        drawn = {"gains": _draw_theory.exponents, "spectrum": _draw_theory.spectra, "horizon": _draw_theory.horizons}
        return drawn[kind](figure, self, say)


def _worst(pair: tuple[list[float], list[float]]) -> float:
    return max(abs(a - b) for a, b in zip(*pair, strict=True))


def lyapunov(gains: Sequence[float] = GAINS, *, seeds: int = 5, progress: bool | Progress = False) -> LyapunovSpectrum:
    """Two spectra with a closed form, and the largest exponent of tanh networks beside their recorded gradients.

    A linear network has ``ln |eigenvalues of W_hh|``; independent Gaussian Jacobians have (ln 2 + digamma(m / 2)) / 2 -
    ln(S) / 2, m = S, S - 1 ... 1 (entries N(0, 1 / S)). The tanh networks (H=64, weights N(0, gain^2 / H), every unit
    hears N(0, 0.09)) run 300 steps of 4 sequences after 100 to warm up, in float64, without training.

    Raises:
        ValueError: a gain that is not positive and finite, or no gain.

    Source: Engelken, Wolf and Abbott 2023, "Lyapunov spectra of chaotic recurrent neural networks"; Newman 1986, "The
    distribution of Lyapunov exponents: exact results for random matrices".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.lyapunov((0.5, 3.0), seeds=1)
        >>> [net.exponent > 0 for net in run.networks]
        [False, True]
    """
    check_gains(gains)
    positive("seeds", seeds)
    start, tell = time.perf_counter(), reporter(progress, "lyapunov")
    networks = []
    for k, gain in enumerate(gains):
        tell(k / len(gains), f"gain {gain:g}")
        networks += [measure(gain, seed) for seed in range(seeds)]
    result = LyapunovSpectrum(seeds, linear_spectrum(), gaussian_spectrum(), networks)
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def measure(gain: float, seed: int) -> Network:
    """One network: the exponent after the warm-up, and one recorded backward over the same steps."""
    with seeded(seed):
        layer: Any = sg.RNN(WIDTH, WIDTH, bias=False, dtype=F64)
        nn.init.normal_(layer.weight_hh_l0, std=gain / math.sqrt(WIDTH))
        x = DRIVE * torch.randn(WARM + STEPS, BATCH, WIDTH, dtype=F64)
        direction = torch.randn(BATCH, WIDTH, dtype=F64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(WIDTH, dtype=F64))
    exponent = float(analysis.lyapunov(layer, x, 1, warmup=WARM).exponents[0])
    with sg.record(layer) as rec:
        out, _ = layer(x)
        (out[-1] * direction).sum().backward()
    series = rec[""].l0
    logs = series.grad_h[WARM:].double().log().mean(1)  # of each sample its own: a sum would show the loudest
    turned = STEPS // 10  # the first steps back turn the gradient into its own direction
    growth = float((logs[0] - logs[-1 - turned]) / (STEPS - 1 - turned))
    return Network(gain, seed, exponent, growth, series.horizon(1e-3))


def linear_spectrum(seed: int = 0) -> tuple[list[float], list[float]]:
    """Exponents of a tanh network at rest, where it is linear, and ln |eig W|."""
    with seeded(seed):
        layer: Any = sg.RNN(1, SMALL, bias=False, dtype=F64)
        basis = torch.randn(SMALL, SMALL, dtype=F64)
    eigenvalues = torch.tensor([1.2, -0.9, 0.7, 0.5, -0.3, 0.15], dtype=F64)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(basis @ eigenvalues.diag() @ torch.linalg.inv(basis))
    found = analysis.lyapunov(layer, torch.zeros(400, 1, 1, dtype=F64), SMALL, warmup=200)
    return found.exponents.tolist(), eigenvalues.abs().log().tolist()


def gaussian_spectrum(seed: int = 0, *, steps: int = 1000, batch: int = 20) -> tuple[list[float], list[float]]:
    """Exponents of independent N(0, 1 / S) Jacobians, and their closed form."""
    with seeded(seed):
        jacobians = torch.randn(steps, batch, SMALL, SMALL, dtype=F64) / math.sqrt(SMALL)

    def apply(t: int, change: Tensor) -> Tensor:
        return jacobians[t] @ change

    growth = growth_rates(apply, iter(range(steps)), batch, SMALL, SMALL, seed)
    freedom = torch.arange(SMALL, 0, -1, dtype=F64) / 2
    exact = (math.log(2 / SMALL) + torch.digamma(freedom)) / 2
    return growth[1:].mean((0, 1)).tolist(), exact.tolist()


def _judge(result: LyapunovSpectrum) -> list[Claim]:
    claims = [
        judge("lyapunov.linear", _worst(result.linear)),
        judge("lyapunov.gaussian", _worst(result.gaussian)),
        judge("lyapunov.growth", result.gap()),
    ]
    if not math.isnan(result.crossing("exponent")):
        claims.append(judge("lyapunov.crossing", result.crossing("growth") / result.crossing("exponent")))
        claims.append(judge("lyapunov.edge", result.crossing("exponent")))
    if result.foretold():
        claims.append(judge("lyapunov.horizon", result.ratio()))
    return claims
