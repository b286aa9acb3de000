"""Gradients that grow: the exact law 2^lag, saturation, the detector, and training with and without clipping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._findings import scan
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._result import Progress, Result, median, positive, reporter, seeded
from seqgrad.experiments.claims import judge
from seqgrad.experiments.tasks import first_element
from seqgrad.rules import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAIN = 1.2
# Both start with a recurrent matrix of gain 1.2. relu has no ceiling, so states, loss and weights can overflow;
# tanh has one, so the same mistake shows as a jump into saturation, after which nothing is learnt.
ARMS: dict[str, tuple[Setup, float, int]] = {  # set-up, learning rate of SGD, training steps
    "relu": (Setup("rnn", "identity", GAIN, nonlinearity="relu"), 0.01, 300),
    "tanh": (Setup("rnn", "orthogonal", GAIN, zero_bias=True), 0.05, 300),
}
LENGTH, HIDDEN, BATCH = 50, 32, 32


@dataclass
class Training:
    """One training run. ``norms`` are the parameters' gradient norms before clipping."""

    arm: str
    clip: float | None
    seed: int
    losses: list[float]
    norms: list[float]
    accuracy: float
    findings: list[Finding]

    @property
    def broken_at(self) -> int | None:
        """The first training step (from 1) whose loss is NaN or Inf."""
        return next((step for step, loss in enumerate(self.losses, 1) if not math.isfinite(loss)), None)


@dataclass
class Explosion(Result):
    """``linear`` and ``saturated``: norms at t = 1..T of W_hh = gain * Q at silent states and under loud noise."""

    name: ClassVar[str] = "explosion"
    kinds: ClassVar[tuple[str, ...]] = ("growth", "training")

    gain: float
    linear: list[float]
    saturated: list[float]
    finding: Finding | None
    trainings: list[Training]
    clipping: dict[str, float]

    def runs(self, arm: str, clipped: bool) -> list[Training]:
        """The trainings of one arm, with or without clipping, one per seed."""
        return [run for run in self.trainings if run.arm == arm and (run.clip is not None) == clipped]

    def rows(self) -> list[dict[str, Any]]:
        """One row per timestep of a curve, and per step of a training."""
        rows: list[dict[str, Any]] = []
        for curve in ("linear", "saturated"):
            rows += [{"curve": curve, "t": t, "norm": value} for t, value in enumerate(getattr(self, curve), 1)]
        for run in self.trainings:
            rows += [
                {"curve": "training", "arm": run.arm, "clip": run.clip, "seed": run.seed, "step": step,
                 "loss": loss, "norm": norm}
                for step, (loss, norm) in enumerate(zip(run.losses, run.norms, strict=True), 1)
            ]  # fmt: skip
        return rows

    def facts(self) -> dict[str, Any]:
        """What was found, and how the trainings ended."""
        facts: dict[str, Any] = {
            "gain": self.gain, "lag": len(self.linear) - 1, "linear_first": self.linear[0] / self.linear[-1],
            "saturated_first": self.saturated[0] / self.saturated[-1],
            "finding": self.finding.message if self.finding else "-",
            "finding_t": _from_one(self.finding),
        }  # fmt: skip
        facts |= self.clipping
        broken = [run.broken_at for run in self.runs("relu", False) if run.broken_at]
        seen = [f for run in self.runs("relu", False) for f in run.findings if f.rule == "NonFinite"]
        facts |= {
            "seeds": len(self.runs("relu", True)),
            "broken_at": median([float(step) for step in broken]) if broken else 0,
            "nan_finding": seen[0].message if seen else "-", "nan_t": _from_one(seen[0] if seen else None),
            "relu_start": median([run.losses[0] for run in self.runs("relu", True)] or [math.nan]),
            "relu_end": median([_tail(run) for run in self.runs("relu", True)] or [math.nan]),
            "relu_accuracy": median([run.accuracy for run in self.runs("relu", True)] or [math.nan]),
            "tanh_clipped": median([run.accuracy for run in self.runs("tanh", True)] or [math.nan]),
            "tanh_free": median([run.accuracy for run in self.runs("tanh", False)] or [math.nan]),
        }  # fmt: skip
        return facts

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``growth`` (timesteps) or ``training`` (losses)."""
        from seqgrad.experiments import _figures

        if kind == "growth":
            return _figures.growth(figure, self.linear, self.saturated, self.finding, say)
        if not self.trainings:
            raise ValueError("there is no training to draw; run explosion(train=True)")
        runs = {clipped: [run.losses for run in self.runs("relu", clipped)] for clipped in (False, True)}
        return _figures.losses(figure, runs, say)


def explosion(
    gain: float = 2.0, *, train: bool = True, seeds: int = 3, steps: int | None = None,
    progress: bool | Progress = False,
) -> Explosion:  # fmt: skip
    """Measure growing gradients of W_hh = ``gain`` * Q over 50 lags, find them, and train with and without clipping.

    Example:
        >>> import seqgrad as sg
        >>> boom = sg.experiments.explosion(2.0, train=False)
        >>> round(boom.linear[0] / boom.linear[4])  # 46 steps apart: 2^4
        16
    """
    positive("seeds", seeds)
    if not gain > 0:
        raise ValueError(f"gain must be a positive number, got {gain!r}")
    start, tell = time.perf_counter(), reporter(progress, "explosion")
    silent = _norms(gain, noise=0.0)
    loud = _norms(gain, noise=10.0)
    linear, saturated = silent.norm("grad_h").double().tolist(), loud.norm("grad_h").double().tolist()
    found = [finding for finding in scan(silent, step=1) if finding.rule == "Exploding"]
    trainings = []
    plan = [(arm, clip, seed) for arm in ARMS for clip in (None, 1.0) for seed in range(seeds)] if train else []
    for k, (arm, clip, seed) in enumerate(plan):
        tell(k / len(plan), f"{arm}, {'clip ' + format(clip, 'g') if clip else 'no clipping'}, seed {seed}")
        trainings.append(train_once(arm, clip=clip, seed=seed, steps=steps))
    result = Explosion(gain, linear, saturated, found[0] if found else None, trainings, clip_compared())
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def _from_one(finding: Finding | None) -> int:
    """Its timestep as the lesson counts, 0 for none."""
    return 0 if finding is None or finding.t is None else finding.t + 1


def _norms(gain: float, *, noise: float, seed: int = 0) -> Any:
    """The recorded series of an RNN with W_hh = gain * Q and zero biases, float64, loss on a direction of h_T."""
    steps = LENGTH + 1
    with seeded(seed):
        layer = build(Setup("rnn", "orthogonal", gain, zero_bias=True), hidden=HIDDEN, steps=steps, dtype=torch.float64)
        x = noise * torch.randn(steps, 1, 10, dtype=torch.float64)
        direction = nn.functional.normalize(torch.randn(HIDDEN, dtype=torch.float64), dim=0)
    with sg.record(layer) as rec:
        out, _ = layer(x)
        (out[-1, 0] @ direction).backward()
    return rec[""].l0


def train_once(arm: str, *, clip: float | None, seed: int, steps: int | None = None) -> Training:
    """Train one arm on the lesson's task with plain SGD; stop one step after the loss is no longer a number."""
    setup, rate, default_steps = ARMS[arm]
    with seeded(seed):
        layer: Any = build(setup, hidden=HIDDEN, steps=LENGTH)
        head = nn.Linear(HIDDEN, 2)
        parameters = [*layer.parameters(), *head.parameters()]
        optimizer = torch.optim.SGD(parameters, rate)
        run = Training(arm, clip, seed, [], [], 0.0, [])
        for step in range(1, (steps or default_steps) + 1):
            _step(run, layer, head, parameters, optimizer, step)
            if run.broken_at is not None and step > run.broken_at:
                break
        x, y = first_element(LENGTH, 1000)
        with torch.no_grad():
            run.accuracy = float((head(layer(x)[0][-1]).argmax(1) == y).float().mean())
    return run


def _step(
    run: Training, layer: Any, head: nn.Module, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer,
    step: int,
) -> None:  # fmt: skip
    x, y = first_element(LENGTH, BATCH)
    optimizer.zero_grad()
    with sg.record(layer) as rec:
        states, _ = layer(x)
        loss = nn.functional.cross_entropy(head(states[-1]), y)
        loss.backward()
    if not any(f.rule == "NonFinite" for f in run.findings):
        seen = {finding.rule for finding in run.findings}
        run.findings += [f for f in scan(rec[""].l0, step=step, states=states) if f.rule not in seen]
    limit = math.inf if run.clip is None else run.clip
    run.norms.append(float(sg.clip.grad_norm_(parameters, limit, nonfinite="keep")))
    run.losses.append(float(loss.detach()))
    optimizer.step()


def clip_compared(seed: int = 0) -> dict[str, float]:
    """One exploded gradient clipped by norm and by value: norm after, and cosine to the true direction."""
    with seeded(seed):
        layer = build(Setup("rnn", "orthogonal", GAIN, zero_bias=True), hidden=HIDDEN, steps=LENGTH)
        head = nn.Linear(HIDDEN, 2)
        x, y = first_element(LENGTH, BATCH, scale=0.1)
    model = nn.ModuleList([layer, head])
    nn.functional.cross_entropy(head(layer(x)[0][-1]), y).backward()
    true = _slab(model)
    before = float(sg.clip.grad_norm_(model, 1.0))
    by_norm = _slab(model)
    _put(model, true)
    sg.clip.grad_value_(model, 0.5)
    by_value = _slab(model)
    rule = float(((by_norm - true / before).norm() / by_norm.norm()).detach())
    cosine = torch.nn.functional.cosine_similarity
    return {
        "clip_before": before, "clip_after": float(by_norm.norm()), "clip_rule": rule,
        "cosine_norm": float(cosine(by_norm, true, dim=0)), "cosine_value": float(cosine(by_value, true, dim=0)),
    }  # fmt: skip


def _slab(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])


def _put(model: nn.Module, slab: Tensor) -> None:
    rest = slab
    for parameter in model.parameters():
        here, rest = rest.split([parameter.numel(), rest.numel() - parameter.numel()])
        parameter.grad = here.view_as(parameter).to(parameter.dtype)


def _tail(run: Training) -> float:
    """Mean loss of the last ten steps."""
    last = run.losses[-10:]
    return sum(last) / len(last)


def _judge(result: Explosion) -> list[Any]:
    facts = result.facts()
    claims = [judge("explosion.four_factors", 2.0**4), judge("explosion.fifty_factors", 2.0**50)]
    if result.gain == 2.0:
        claims += [
            judge("explosion.linear", facts["linear_first"]),
            judge("explosion.saturated", facts["saturated_first"]),
            judge("explosion.found_at", facts["finding_t"]),
        ]
    claims += [
        judge("explosion.clip_rule", facts["clip_rule"]),
        judge("explosion.clip_norm_direction", facts["cosine_norm"]),
        judge("explosion.clip_value_direction", facts["cosine_value"]),
    ]
    free, clipped = result.runs("relu", False), result.runs("relu", True)
    if free and len(clipped[0].losses) == ARMS["relu"][2]:
        share = sum(any(f.rule == "NonFinite" for f in run.findings) for run in free) / len(free)
        fell = sum(run.broken_at is None and _tail(run) < run.losses[0] / 5 for run in clipped) / len(clipped)
        claims += [
            judge("explosion.nan", share),
            judge("explosion.clipped_finishes", fell),
            judge("explosion.clipped_learns", facts["tanh_clipped"] - facts["tanh_free"]),
        ]
    return claims
