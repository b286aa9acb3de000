"""Detecting trouble: the lesson's loop over the parameters, what it catches, and what it cannot see."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments._measure import Setup, build, signal_at_start
from seqgrad.experiments._result import Progress, Result, above_zero, median, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAINS = (0.4, 0.5, 0.577, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0)
LIMIT, STEPS, HIDDEN, BATCH = 100.0, 50, 128, 32


@dataclass
class Seen:
    """One network after one backward: what a loop over the parameters sees, and what happened in time."""

    gain: float
    seed: int
    weight: float  # ||dL/dW_hh||
    first_input: float  # ||dL/dx_1||
    fires: bool  # whether check_grads finds anything
    rules: list[str]  # what the rules find that look at the recorded timesteps


@dataclass
class Detection(Result):
    """``seen``: networks from vanishing to exploding. ``planted``: share of seeds in which each evil was named."""

    name: ClassVar[str] = "detection"
    kinds: ClassVar[tuple[str, ...]] = ("blind",)

    seeds: int
    seen: list[Seen]
    default: list[Seen]  # torch's own initialisation, one per seed
    planted: dict[str, float]
    same: float  # share of all gradients that the lesson's loop and check_grads judge alike
    message: str

    def curve(self, what: str) -> dict[float, float]:
        """Median over seeds of ``weight`` or ``first_input`` by gain."""
        gains = dict.fromkeys(one.gain for one in self.seen)
        return {gain: median([getattr(one, what) for one in self.seen if one.gain == gain]) for gain in gains}

    def rows(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [
            {"start": start, **vars(one), "rules": ", ".join(one.rules)}
            for start, group in (("gain", self.seen), ("default", self.default))
            for one in group
        ]

    def facts(self) -> dict[str, Any]:
        """The two norms of a default network, and what is caught."""
        large = [one for one in self.seen if one.weight > LIMIT]
        return {
            "seeds": self.seeds, "steps": STEPS, "hidden": HIDDEN, "limit": LIMIT,
            "weight": median([one.weight for one in self.default]),
            "first_input": median([one.first_input for one in self.default]),
            "fires_from": min((one.gain for one in large), default=math.nan),
            "lowest": min(self.curve("first_input").values()), "message": self.message,
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``blind``: both norms against the gain."""
        from seqgrad.experiments import _draw_lesson

        return _draw_lesson.blind(figure, self, say)


def detection(gains: Sequence[float] = GAINS, *, seeds: int = 5, progress: bool | Progress = False) -> Detection:
    """Run the lesson's detector on networks from vanishing to exploding, and on gradients with planted NaN and Inf.

    tanh RNNs with W_hh = gain * Q, Q orthogonal, and torch's biases; H=128, T=50, 32 samples, signal at t=1, loss on
    the last state; and a default RNN. ``check_grads`` looks at the parameters; a ``Monitor`` with the rules Vanishing
    and Exploding looks at the same backward timestep by timestep.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.detection((0.5, 3.0), seeds=1)
        >>> [one.fires for one in run.seen]
        [False, True]
    """
    for one in gains:
        above_zero("gains", one)
    if not gains:
        raise ValueError("gains must name at least one gain, got none")
    positive("seeds", seeds)
    start, tell = time.perf_counter(), reporter(progress, "detection")
    seen: list[Seen] = []
    default: list[Seen] = []
    agree: list[bool] = []
    everything: list[float | None] = [*gains, None]
    for k, gain in enumerate(everything):
        tell(k / len(everything), "default" if gain is None else f"gain {gain:g}")
        for seed in range(seeds):
            found, same = look(gain, seed)
            (default if gain is None else seen).append(found)
            agree.append(same)
    named = {evil: [plant(evil, seed) for seed in range(seeds)] for evil in ("nan", "inf", "large", "sound")}
    planted = {evil: sum(hit for hit, _, _ in hits) / seeds for evil, hits in named.items()}
    agree += [same for hits in named.values() for _, same, _ in hits]
    result = Detection(seeds, seen, default, planted, sum(agree) / len(agree), named["large"][0][2])
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def look(gain: float | None, seed: int) -> tuple[Seen, bool]:
    """One recorded backward, seen by the parameters and by the timesteps; and whether the lesson's loop agrees."""
    with seeded(seed):
        setup = Setup("rnn") if gain is None else Setup("rnn", "orthogonal", gain)
        layer: Any = build(setup, hidden=HIDDEN, steps=STEPS)
        x = signal_at_start(STEPS, BATCH).requires_grad_()
        direction = nn.functional.normalize(torch.randn(HIDDEN), dim=0)
    watch = sg.Monitor(layer, every=1, rules=[sg.rules.Vanishing(), sg.rules.Exploding()])
    with watch:
        loss = (layer(x)[0][-1] @ direction).mean()
        loss.backward()
    with warnings.catch_warnings():  # a monitor warns of what it finds
        warnings.simplefilter("ignore", sg.FindingWarning)
        rules = [finding.rule for finding in watch.step(loss)]
    found = sg.check_grads(layer, LIMIT)
    assert x.grad is not None
    first = float(torch.linalg.vector_norm(x.grad[0], dtype=torch.float64))  # in float32 small squares would be 0
    weight = float(layer.weight_hh_l0.grad.double().norm())
    seen = Seen(math.nan if gain is None else float(gain), seed, weight, first, bool(found), rules)
    return seen, _loop(layer) == bool(found)


def _loop(model: nn.Module) -> bool:
    """The lesson's loop, lines 96-104: whether it says anything."""
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    return any(bool(norm > LIMIT) or bool(torch.isnan(norm)) for norm in norms)


def plant(evil: str, seed: int) -> tuple[bool, bool, str]:
    """Put one evil into one gradient: whether check_grads names it and its parameter, as the loop does; its message."""
    with seeded(seed):
        model = build(Setup("lstm"), hidden=16, steps=5)
        model(torch.randn(5, 2, 10))[0].sum().backward()
    grad = model.get_parameter("weight_hh_l0").grad
    assert grad is not None
    if evil == "large":
        grad.mul_(2 * LIMIT / grad.norm())
    elif evil != "sound":
        grad[3, 1] = float(evil)
    found = sg.check_grads(model, LIMIT)
    wanted = {"nan": ["NonFinite"], "inf": ["NonFinite"], "large": ["Exploding"], "sound": []}[evil]
    named = [f.rule for f in found] == wanted and all(f.series == "weight_hh_l0" for f in found)
    return named, _loop(model) == bool(found), found[0].message if found else "-"


def _judge(result: Detection) -> list[Claim]:
    vanishing = [one for one in result.default if "Vanishing" in one.rules]
    exploding = [one for one in result.seen if one.weight > LIMIT]
    claims = [
        judge("detection.large", min(result.planted["large"], result.planted["sound"])),
        judge("detection.nan", min(result.planted["nan"], result.planted["inf"])),
        judge("detection.same", result.same),
        judge("detection.blind", median([one.weight / one.first_input for one in result.default])),
        judge("detection.silent", sum(one.fires for one in result.default) / len(result.default)),
        judge("detection.timesteps", len(vanishing) / len(result.default)),
    ]
    if exploding:
        claims.append(judge("detection.fires", sum(one.fires for one in exploding) / len(exploding)))
    return claims
