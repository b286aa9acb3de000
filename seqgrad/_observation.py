"""Observation: all that one monitored step offers to the rules, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from seqgrad import _figures
from seqgrad._facts import Facts
from seqgrad._finding import Finding, Severity
from seqgrad._finding_text import Said, whole
from seqgrad._recorder import Log
from seqgrad._series import Series
from seqgrad._watch import gather
from seqgrad.history import Entry, History, SeriesEntry
from seqgrad.record import GradientRecord

HORIZON = 1e-3  # eps of the horizon that histories keep


class Pass:
    """One recorded pass of a series, its curves computed once.

    Attributes:
        curves: ``[T]`` norm over the batch of every recorded quantity, as ``series.norm(quantity)`` gives it.
        norms: that of grad_h as plain floats, in input-time order.
        profile: ``[K]`` of grad_h against the lag, as plain floats.
        start: lag at which the loss enters; None where no gradient is.
        finite: whether every recorded norm inside the samples is.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        names = [quantity for quantity in series.quantities if quantity != "clip_hits"]
        rows = series.data[: len(names)]  # clip_hits is the last row
        if series.lengths is not None:
            rows = torch.where(_figures.alive(series.steps, series.batch, series.lengths), rows, 0.0)
        norms = _figures.batch_norm(rows)
        self.curves: dict[str, Tensor] = dict(zip(names, norms, strict=True))
        self._lists: dict[str, list[float]] = dict(zip(names, norms.tolist(), strict=True))
        self.norms = self._lists["grad_h"]
        self.finite = all(map(_figures.finite, self._lists.values()))
        self.profile = self.quantity_profile("grad_h")
        self.start = _figures.start(self.profile)

    def quantity_profile(self, quantity: str) -> list[float]:
        """``[K]`` of any quantity; without lengths it follows from the norms."""
        series = self.series
        if series.lengths is not None or not series.batch:
            return series.profile(quantity).tolist()
        return _against_lag(self._lists[quantity], series.reverse, series.batch)

    @cached_property
    def order(self) -> range:
        """Timesteps in backprop order."""
        steps = self.series.steps
        return range(steps) if self.series.reverse else range(steps - 1, -1, -1)

    def timestep(self, lag: int) -> int:
        """Input timestep at a lag, of the longest sample."""
        if self.series.reverse:
            return lag
        lengths = self.series.lengths
        last = self.series.steps if lengths is None or not len(lengths) else int(lengths.max())
        return max(last - 1 - lag, 0)

    def worst_sample(self, t: int) -> int:
        """The sample with the largest grad_h at ``t``."""
        return int(self.series.grad_h[t].argmax()) if self.series.batch else 0

    @cached_property
    def transmission(self) -> float:
        """See Series.transmission; without lengths it follows from the norms."""
        series = self.series
        if series.lengths is not None or series.grad_carry is None or series.steps < 2:
            return series.transmission()
        return _transmission(self._lists, series.reverse, torch.finfo(series.data.dtype).tiny)

    @cached_property
    def ratio(self) -> float:
        """See Series.ratio."""
        return _figures.ratio(self.profile)

    @cached_property
    def peak(self) -> float:
        """Largest finite norm over the batch."""
        values = self.norms if self.finite else filter(math.isfinite, self.norms)
        return max(values, default=math.nan)

    @cached_property
    def decay(self) -> float:
        """See Series.decay."""
        return _figures.decay(self.profile, torch.finfo(self.series.data.dtype).tiny)

    def figures(self) -> Callable[[], dict[str, float]]:
        """What histories keep per step: as a call, which holds the curves and nothing larger."""
        series, tiny = self.series, torch.finfo(self.series.data.dtype).tiny
        if series.lengths is None and series.batch:
            return partial(_summary, self.curves, series.reverse, series.batch, tiny)
        profile = torch.tensor(self.profile, dtype=torch.float64)
        return partial(_figures_of, profile, self.transmission, tiny)  # with lengths it takes every sample

    @cached_property
    def amplifies(self) -> bool:
        """Whether the recurrence makes the gradient larger on its way back, and not just more losses that add up."""
        if self.start is None:
            return False
        values = self.profile if self.finite else filter(math.isfinite, self.profile)
        if not max(values, default=0.0) > 2 * self.profile[self.start]:
            return False
        if self.series.cell == "lstm" or self.series.grad_carry is None:
            return True  # what an LSTM carries in its cell state is not in transmission; a cell in a loop has none
        return not self.transmission <= 1.0


def _against_lag(norms: list[float], reverse: bool, batch: int) -> list[float]:
    """A profile from norms over the batch, of samples that all last T steps."""
    root = math.sqrt(batch)
    return [norm / root for norm in (norms if reverse else reversed(norms))]


def _transmission(norms: dict[str, list[float]], reverse: bool, tiny: float) -> float:
    """See Series.transmission, of samples that all last T steps."""
    total, carried = norms["grad_h"], norms.get("grad_carry")
    if carried is None or len(total) < 2:
        return math.nan
    before, after = (total[:-1], carried[1:]) if reverse else (total[1:], carried[:-1])
    return _figures.carried_share(before, after, tiny)


def _summary(curves: dict[str, Tensor], reverse: bool, batch: int, tiny: float) -> dict[str, float]:
    norms = {quantity: curve.tolist() for quantity, curve in curves.items()}
    return _named(_against_lag(norms["grad_h"], reverse, batch), _transmission(norms, reverse, tiny), tiny)


def _figures_of(profile: Tensor, transmission: float, tiny: float) -> dict[str, float]:
    return _named(profile.tolist(), transmission, tiny)


def _named(profile: list[float], transmission: float, tiny: float) -> dict[str, float]:
    factor = _figures.decay(profile, tiny)
    return {
        "ratio": _figures.ratio(profile),
        "horizon": float(_figures.horizon(profile, HORIZON)),
        "decay": factor,
        "half_life": _figures.half_life(factor),
        "transmission": transmission,
    }


@dataclass
class Observation:
    """What one monitored step offers to a :class:`~seqgrad.rules.Rule`. Everything is on the CPU.

    Attributes:
        step: training step, from 0; None outside a training.
        record: the :class:`~seqgrad.GradientRecord` of the step, norms divided by the loss scale; all its passes.
        history: the steps observed before this one.
        loss: what was handed to ``Monitor.step``, or None.
        scale: the loss scale that was divided out, 1.0 without.
        facts: one entry per forward of a layer and direction, in order: norms of the hidden state, saturation, gates,
            input; see ``seqgrad._facts.Facts``.
        gradients: norm of each parameter's gradient at the end of the block, by name; those that had one.
        weights: norm of each recurrent layer's parameters at the start of the block, by name.
        stale: gradients that already were there when backward reached the first layer, although the optimizer had
            moved the parameters since they were made: norms by name.
        updates: per layer, how far the optimizer moved its weights relative to their norm, at ``updates_step``.
        rank: of this process where torch.distributed runs, else None.
        running: findings of the step observed before, by identity.
    """

    step: int | None
    record: GradientRecord
    history: History = field(default_factory=History)
    loss: float | None = None
    scale: float = 1.0
    facts: list[Facts] = field(default_factory=list)
    gradients: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    stale: dict[str, float] = field(default_factory=dict)
    updates: dict[str, float] = field(default_factory=dict)
    updates_step: int | None = None
    rank: int | None = None
    running: Mapping[tuple[str, str, str], Finding] = field(default_factory=dict)
    _passes: dict[str, list[Pass]] = field(default_factory=dict, repr=False)

    @classmethod
    def of_record(cls, record: GradientRecord) -> Observation:
        """Of a record alone: no hidden states, no parameters, no history."""
        log = record._log
        data = gather([series.data for series in log.passes])
        lengths = [None if series.lengths is None else series.lengths.cpu() for series in log.passes]
        return cls(None, record_at_home(log, data, lengths, 1.0))

    def passes(self, key: str) -> list[Pass]:
        """All passes of a series, oldest first."""
        if key not in self._passes:
            self._passes[key] = [Pass(series) for series in self.record.all(key)]
        return self._passes[key]

    def last(self, key: str) -> Pass:
        """The last pass of a series: the one that figures and histories show."""
        return self.passes(key)[-1]

    @cached_property
    def keys(self) -> list[str]:
        """Names of the recorded series."""
        return self.record.keys()

    def facts_of(self, key: str) -> Facts | None:
        """The last forward of a series that was looked at."""
        return next((facts for facts in reversed(self.facts) if facts.key == key), None)

    def finding(
        self, rule: str, severity: Severity, where: Series | Facts | tuple[str, str], *, t: int | None, value: float,
        threshold: float, text: str | Said, action: str, sample: int | None = None, phase: str = "",
        step: int | None = None,
    ) -> Finding:  # fmt: skip
        """A :class:`~seqgrad.rules.Finding` with its message: place, ``text``, and the call to try.

        ``text`` is English, or what ``seqgrad._finding_text.said`` gives: then other languages know it, too.
        """
        direction = ""
        if isinstance(where, Series):
            module, series = where.layer, where.name
        elif isinstance(where, Facts):
            module, series = where.layer, where.series
        else:
            module, series = where
        if not isinstance(where, tuple):
            direction = "reverse" if where.reverse else "forward"
        step = self.step if step is None else step
        before = self.running.get((rule, module, series))
        case, facts = ("", {}) if isinstance(text, str) else text
        found = Finding(
            rule, severity, step, module, series, t, float(value), float(threshold), "", sample, direction, phase,
            step if before is None else before.since, action, self.rank, case, facts,
        )  # fmt: skip
        return replace(found, message=whole(found, text, "en")) if isinstance(text, str) else found

    def entry(self) -> Entry:
        """What a history keeps of this step."""
        if self.step is None:
            raise ValueError("an observation outside a training has no place in a history; it has no step")
        series = {key: self._series_entry(key) for key in self.keys}
        figures = {}
        if self.gradients:
            figures["grad_norm"] = math.hypot(*self.gradients.values())
        if self.weights:
            figures["weight_norm"] = math.hypot(*self.weights.values())
        if self.updates:
            figures["update"] = max(self.updates.values())
        if self.scale != 1.0:
            figures["scale"] = self.scale
        return Entry(self.step, series, self.loss, figures)

    def _series_entry(self, key: str) -> SeriesEntry:
        last = self.last(key)
        series = last.series
        norms = dict(last.curves)
        if series.clip_hits is not None:
            norms["clip_hits"] = series.clip_hits.sum(dim=1, dtype=torch.float64)
        facts = self.facts_of(key)
        if facts is not None and facts.steps == series.steps and facts.batch:
            norms["h"] = facts.sizes / (facts.batch * max(facts.hidden, 1)) ** 0.5
        return SeriesEntry(norms, last.figures(), series.reverse, series.cell)


def record_at_home(log: Log, data: list[Tensor], lengths: list[Tensor | None], scale: float) -> GradientRecord:
    """The record of a log whose passes' tensors were gathered, norms divided by ``scale``."""
    home = Log(keys=dict(log.keys), calls=dict(log.calls), untracked=dict(log.untracked), aliases=dict(log.aliases))
    home.unconverted, home.complex_layers = log.unconverted, log.complex_layers
    for series, values, length in zip(log.passes, data, lengths, strict=True):
        if values is series.data and length is series.lengths and scale == 1.0:
            home.passes.append(series)
            continue
        if scale != 1.0:
            rows = [values[i] if q == "clip_hits" else values[i] / scale for i, q in enumerate(series.quantities)]
            values = torch.stack(rows)
        home.passes.append(replace(series, data=values, lengths=length))
    return GradientRecord(home)
