"""Clipping: what it does to a gradient's length and direction, which networks it saves, and what it cannot cure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments import _exploding
from seqgrad.experiments._exploding import ARMS, GAIN, LENGTH, STEPS, Training
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._remember import BATCH, CLIPS, HIDDEN, remember, success
from seqgrad.experiments._result import Progress, Result, above_zero, median, positive, reporter, seeded, spread_out
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.tasks import first_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLODING = Setup("rnn", "orthogonal", GAIN, zero_bias=True)
VANISHING = {"default": Setup("rnn"), "orthogonal": Setup("rnn", "orthogonal", zero_bias=True)}
SCALES = tuple(10 ** (k / 4) for k in range(-8, 13))  # of the loss, and with it of the gradient


@dataclass
class Clipped:
    """One gradient, ``norm`` long, after one way of clipping: its length, its cosine to what it was."""

    seed: int
    how: str  # norm, value, or both: first one, then the other
    norm: float
    after: float
    cosine: float
    touched: float  # share of the elements that the value clip changed; 0 for norm


@dataclass
class Clipping(Result):
    """``gradients``: one gradient at many scales, clipped; ``trainings``: a network that explodes, saved or not.

    ``vanishing[start, clip]``: accuracy per seed of a network whose gradient vanishes, clipped in every way.
    """

    name: ClassVar[str] = "clipping"
    kinds: ClassVar[tuple[str, ...]] = ("rule", "training", "vanishing")

    max_norm: float
    clip_value: float
    seeds: int
    steps: int
    gradients: list[Clipped]
    rule: float  # largest relative distance of clipping by norm to g * max_norm / ||g||
    negative: float  # cosine of torch's result for a negative max_norm to the true gradient
    refused: float  # share of negative max_norms that seqgrad refuses
    after_nan: float  # largest share of finite weights after a clipped step on a gradient with NaN
    trainings: list[Training]
    vanishing: dict[tuple[str, str], list[float]]

    def of(self, how: str) -> list[Clipped]:
        """The gradients clipped in one way, by scale and seed."""
        return [one for one in self.gradients if one.how == how]

    def runs(self, arm: str, clip: str) -> list[Training]:
        """The trainings of one arm, ``relu`` or ``tanh``, with one way of clipping, one per seed."""
        return [run for run in self.trainings if (run.arm, run.clip) == (arm, clip)]

    def finished(self, clip: str) -> float:
        """Share of seeds whose relu network trains to the end and ends at a fifth of its first loss or less."""
        return sum(run.finished for run in self.runs("relu", clip)) / self.seeds

    def broken(self, clip: str) -> float:
        """Share of seeds whose relu network ends in NaN or Inf."""
        return sum(run.broken_at is not None for run in self.runs("relu", clip)) / self.seeds

    def tanh(self, clip: str) -> float:
        """Median accuracy of the tanh network."""
        return median([run.accuracy for run in self.runs("tanh", clip)])

    def behind(self) -> float:
        """Share of seeds whose tanh network is more accurate clipped by norm than by its state's gradient."""
        pairs = zip(self.runs("tanh", "norm"), self.runs("tanh", "state"), strict=True)
        return sum(norm.accuracy > state.accuracy for norm, state in pairs) / self.seeds

    def rows(self) -> list[dict[str, Any]]:
        """One row per clipped gradient, per training and per vanishing network."""
        rows: list[dict[str, Any]] = [{"part": "gradient", **vars(one)} for one in self.gradients]
        for run in self.trainings:
            rows.append(
                {"part": "training", "arm": run.arm, "seed": run.seed, "how": run.clip, "steps": len(run.losses),
                 "broken_at": run.broken_at, "first_loss": run.losses[0], "last_loss": run.tail,
                 "accuracy": run.accuracy}
            )  # fmt: skip
        for (start, clip), values in self.vanishing.items():
            rows += [
                {"part": "vanishing", "start": start, "how": clip, "seed": seed, "accuracy": value}
                for seed, value in enumerate(values)
            ]
        return rows

    def facts(self) -> dict[str, Any]:
        """How far each way goes, and how the trainings ended."""
        large = {how: [one for one in self.of(how) if one.norm > 10 * self.max_norm] for how in ("value", "both")}
        return {
            "max_norm": self.max_norm, "clip_value": self.clip_value, "seeds": self.seeds, "steps": self.steps,
            "length": LENGTH, "gain": GAIN, "negative": self.negative,
            "cosine_norm": min(one.cosine for one in self.of("norm")),
            "cosine_value": min(one.cosine for one in large["value"]),
            "touched": max(one.touched for one in large["both"]),
            "longest": max(one.after for one in self.of("norm")),
            **{f"finished_{clip}": self.finished(clip) for clip in CLIPS},
            **{f"tanh_{clip}_clip": self.tanh(clip) for clip in CLIPS},
            **{f"{start}_learnt": max(success(self.vanishing[start, clip]) for clip in CLIPS) for start in VANISHING},
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``rule`` (lengths and directions), ``training`` (losses) or ``vanishing`` (accuracy)."""
        from seqgrad.experiments import _draw_lesson, _figures

        if kind == "rule":
            return _draw_lesson.clip_rule(figure, self, say)
        if kind == "training":
            runs = {how: [run.losses for run in self.runs("relu", how)] for how in CLIPS}
            return _figures.losses(figure, runs, say)
        return _draw_lesson.strips(figure, self.vanishing, say, "clipping", "clip")


def clipping(
    max_norm: float = 1.0, clip_value: float = 0.5, *, seeds: int = 5, steps: int = STEPS, workers: int = 1,
    progress: bool | Progress = False,
) -> Clipping:  # fmt: skip
    """Clip real gradients by norm, by value and by both; train exploding and vanishing networks with every way.

    One gradient of the lesson's task (tanh RNN, W_hh = 1.2 Q, T=50) is scaled over five decades and clipped. Then a
    relu RNN (W_hh = 1.2 times the identity, plain SGD 0.01) and a tanh RNN (1.2 Q, SGD 0.05) train without clipping, by
    norm 1, by value 0.5, and with the carried gradient of every timestep clipped to norm 1. A default tanh RNN, whose
    gradient vanishes, trains with Adam 1e-3 in the same four ways, an orthogonal one beside it. H=32, batches of 32.
    Norm clipping: Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.clipping(seeds=1, steps=2)
        >>> round(max(one.after for one in run.of("norm")), 3)
        1.0
    """
    above_zero("max_norm", max_norm), above_zero("clip_value", clip_value)
    positive("seeds", seeds), positive("steps", steps), positive("workers", workers)
    start, tell = time.perf_counter(), reporter(progress, "clipping")
    tell(0.0, "gradients at many scales")
    models = [_exploded(seed) for seed in range(seeds)]
    gradients = [one for seed in range(seeds) for one in _compare(models[seed], seed, max_norm, clip_value)]
    jobs: list[tuple[Any, ...]] = [(arm, clip, seed, steps) for arm in ARMS for clip in CLIPS for seed in range(seeds)]
    split = len(jobs)
    jobs += [(name, clip, seed, steps) for name in VANISHING for clip in CLIPS for seed in range(seeds)]
    values = spread_out(_job, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks"))
    vanishing: dict[tuple[str, str], list[float]] = {}
    for (name, clip, _, _), value in zip(jobs[split:], values[split:], strict=True):
        vanishing.setdefault((name, clip), []).append(value)
    result = Clipping(
        max_norm, clip_value, seeds, steps, gradients, max(_rule(model, max_norm) for model in models),
        median([_negative(model) for model in models]), _refused(models[0]), max(_after_nan(model) for model in models),
        values[:split], vanishing,
    )  # fmt: skip
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def _job(name: str, clip: str, seed: int, steps: int) -> Any:
    if name in VANISHING:
        return remember(VANISHING[name], LENGTH, seed, steps=steps, clip=clip)
    return _exploding.train(name, clip, seed, steps)


def _exploded(seed: int) -> nn.Module:
    """A network right after a backward whose gradient is far too long."""
    with seeded(seed):
        model = nn.ModuleList([build(EXPLODING, hidden=HIDDEN, steps=LENGTH), nn.Linear(HIDDEN, 2)])
        x, y = first_element(LENGTH, BATCH, scale=0.1)
    layer, head = model
    nn.functional.cross_entropy(head(layer(x)[0][-1]), y).backward()
    return model


def _slab(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])


def _put(model: nn.Module, slab: Tensor) -> None:
    rest = slab
    for parameter in model.parameters():
        here, rest = rest.split([parameter.numel(), rest.numel() - parameter.numel()])
        parameter.grad = here.view_as(parameter).to(parameter.dtype)


def _compare(model: nn.Module, seed: int, max_norm: float, clip_value: float) -> list[Clipped]:
    """The model's gradient, scaled so that its norm is 1 times each of ``SCALES``, clipped in three ways."""
    true = _slab(model)
    found = []
    for scale in SCALES:
        for how in ("norm", "value", "both"):
            _put(model, true * scale / true.norm())
            if how != "value":
                sg.clip.grad_norm_(model, max_norm)
            before = _slab(model)
            if how != "norm":
                sg.clip.grad_value_(model, clip_value)
            after = _slab(model)
            cosine = float(nn.functional.cosine_similarity(after, true, dim=0))
            touched = float((after != before).double().mean())
            found.append(Clipped(seed, how, scale, float(after.norm()), cosine, touched))
    _put(model, true)
    return found


def _rule(model: nn.Module, max_norm: float) -> float:
    """Relative distance of ``grad_norm_`` to the rule, the gradient being 100 times too long."""
    true = _slab(model)
    true = true * 100 * max_norm / true.norm()
    _put(model, true)
    sg.clip.grad_norm_(model, max_norm)
    rule = true * max_norm / true.norm()
    return float((_slab(model) - rule).norm() / rule.norm())


def _negative(model: nn.Module) -> float:
    """Cosine to the true gradient of what torch makes of ``max_norm=-1``: it turns the gradient round."""
    true = _slab(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), -1.0)
    turned = float(nn.functional.cosine_similarity(_slab(model), true, dim=0))
    _put(model, true)
    return turned


def _refused(model: nn.Module) -> float:
    """Share of calls with a bound that makes no sense that seqgrad refuses."""
    calls: list[Callable[[], Any]] = [
        lambda: sg.clip.grad_norm_(model, -1.0), lambda: sg.clip.grad_norm_(model, math.nan),
        lambda: sg.clip.grad_value_(model, -0.5), lambda: sg.clip.Norm(-1.0),
    ]  # fmt: skip
    refused = 0
    for call in calls:
        try:
            call()
        except ValueError:
            refused += 1
    return refused / len(calls)


def _after_nan(model: nn.Module) -> float:
    """Share of the recurrent layer's weights that are finite after a clipped step on a gradient with one NaN."""
    true = _slab(model)
    broken = true.clone()
    broken[0] = math.nan
    copies = [parameter.detach().clone() for parameter in model.parameters()]
    for copy, parameter in zip(copies, model.parameters(), strict=True):
        count = parameter.numel()
        copy.grad, broken = broken[:count].view_as(copy).to(copy.dtype), broken[count:]
    torch.nn.utils.clip_grad_norm_(copies, 1.0)
    torch.optim.SGD(copies, 0.1).step()
    return float(torch.cat([copy.flatten() for copy in copies]).isfinite().double().mean())


def _judge(result: Clipping) -> list[Claim]:
    facts = result.facts()
    claims = [judge("clipping.rule", result.rule)]
    if (result.max_norm, result.clip_value) == (1.0, 0.5):
        claims += [
            judge("clipping.bounded", facts["longest"]),
            judge("clipping.norm_direction", facts["cosine_norm"]),
            judge("clipping.value_direction", facts["cosine_value"]),
            judge("clipping.both", facts["touched"]),
        ]
    claims += [
        judge("clipping.negative", result.refused),
        judge("clipping.turned", result.negative),
        judge("clipping.after_nan", result.after_nan),
    ]
    if result.steps == STEPS:
        claims += [
            judge("clipping.saves", result.finished("norm")),
            judge("clipping.value", 1 - result.broken("value")),
            judge("clipping.state", result.broken("state")),
            judge("clipping.state_tanh", max(max(run.norms) for run in result.runs("tanh", "state"))),
            judge("clipping.state_less", result.behind()),
            judge("clipping.vanishing", max(success(result.vanishing["default", clip]) for clip in CLIPS)),
            judge("clipping.orthogonal", min(success(result.vanishing["orthogonal", clip]) for clip in CLIPS)),
        ]
    return claims
