"""Rules on gradients that are too large: exploding, or scaled wrongly where the loss enters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from seqgrad._finding import Finding
from seqgrad._finding_text import said
from seqgrad._observation import Observation, Pass
from seqgrad._rules_check import above_zero
from seqgrad._rules_state import closed, large_state

_RECENT = 64  # observed steps that a running median looks back on
_LEAST = 5  # and how many it needs
CLIP = "seqgrad.clip.grad_norm_(model.parameters(), 1.0)"


@dataclass(frozen=True)
class Exploding:
    """Gradients that grow on their way back past ``abs``, or jump to ``spike`` times their running median.

    The norm over the batch of any timestep counts, and of any parameter's gradient. Where the gradient is as large
    where the loss enters, the recurrence is not to blame: that is :class:`LossScale`. A spike (warning) needs five
    observed steps before it, and a norm above 1.

    Args:
        abs: norm that is too large; 100 as in the usual loop over the parameters.
        spike: multiple of the median of the largest norm over the last 64 observed steps.
    """

    abs: float = 100.0
    spike: float = 10.0
    name = "Exploding"

    def __post_init__(self) -> None:
        above_zero("abs", self.abs)
        above_zero("spike", self.spike)

    def check(self, entry: Observation) -> list[Finding]:
        found = []
        for key in entry.keys:
            hit = next((f for seen in reversed(entry.passes(key)) if (f := self._large(entry, seen))), None)
            hit = hit or self._jump(entry, key)
            if hit:
                found.append(hit)
        return found or self._parameters(entry)

    def _large(self, entry: Observation, seen: Pass) -> Finding | None:
        if not seen.amplifies:
            return None
        big = [t for t in seen.order if math.isfinite(seen.norms[t]) and seen.norms[t] > self.abs]
        if not big:
            return None
        t = big[0]
        top = max(big, key=lambda t: seen.norms[t])
        text = said("Exploding.grows", peak=seen.norms[top], peak_t=top, factor=seen.decay)
        return entry.finding(
            self.name, "error", seen.series, t=t, sample=seen.worst_sample(t), value=seen.norms[t], threshold=self.abs,
            text=text, action=CLIP, phase="backward",
        )  # fmt: skip

    def _jump(self, entry: Observation, key: str) -> Finding | None:
        seen = entry.last(key)
        now = seen.peak
        if not 1.0 < now < math.inf:
            return None
        kept = (e.series[key].peak for e in entry.history.recent(_RECENT) if key in e.series)
        past = [value for value in kept if math.isfinite(value)]
        if len(past) < _LEAST:
            return None
        usual = sorted(past)[len(past) // 2]
        if now <= self.spike * usual:
            return None
        t = next(t for t in seen.order if seen.norms[t] == now)
        times = now / usual if usual else math.inf
        text = said("Exploding.jumps", times=times, usual=usual, spike=self.spike)
        return entry.finding(
            self.name, "warning", seen.series, t=t, sample=seen.worst_sample(t), value=now,
            threshold=self.spike * usual, text=text, action=CLIP,
            phase="backward",
        )  # fmt: skip

    def _parameters(self, entry: Observation) -> list[Finding]:
        if not _may_grow(entry):
            return []  # LossScale's
        return _largest(entry, self.name, self.abs, lambda _: CLIP)


def _may_grow(entry: Observation) -> bool:
    """Whether gradients of parameters may be large because of a recurrent layer; of complex ones no norms are known."""
    grown = any(entry.last(key).amplifies for key in entry.keys) or large_state(entry)
    return grown or any(facts.dtype.is_complex for facts in entry.facts)


def _largest(entry: Observation, rule: str, limit: float, action: Callable[[float], str]) -> list[Finding]:
    """A finding about the parameter whose gradient is the largest, if that is above ``limit``."""
    finite = {name: value for name, value in entry.gradients.items() if math.isfinite(value)}
    name = max(finite, key=lambda name: finite[name], default="")
    if not name or finite[name] <= limit:
        return []
    module, _, parameter = name.rpartition(".")
    return [
        entry.finding(
            rule, "error", (module, parameter), t=None, value=finite[name], threshold=limit,
            text=said(f"{rule}.parameter"), action=action(finite[name]), phase="backward",
        )
    ]  # fmt: skip


def _divide(value: float) -> str:
    """The call that brings a loss down by ``value``, to the next power of ten."""
    return f"loss.div({10.0 ** math.ceil(math.log10(value)):g}).backward()"


def _nearest(entry: Observation) -> list[Pass]:
    """The series next to the loss: of the layer that backprop reached first, both directions of its highest level."""
    if not entry.record._log.passes:
        return []
    first = entry.record._log.passes[0]
    level = first.name.removesuffix("_reverse")
    latest = [entry.last(key) for key in entry.keys]
    return [s for s in latest if s.series.layer == first.layer and s.series.name.removesuffix("_reverse") == level]


@dataclass(frozen=True)
class LossScale:
    """A gradient that is far too large or small in the layer next to the loss, before any recurrence.

    A loss that is summed instead of averaged, multiplied by something, or scaled by a GradScaler that the monitor was
    not told of. Too small is only judged in the first observed steps: later it may mean that all is learnt.

    Args:
        high: norm over the batch at the first step of backprop.
        low: largest norm of any timestep in that layer.
        first: how many observed steps ``low`` is applied to.
    """

    high: float = 100.0
    low: float = 1e-8
    first: int = 3
    name = "LossScale"

    def __post_init__(self) -> None:
        above_zero("high", self.high)
        above_zero("low", self.low)

    def check(self, entry: Observation) -> list[Finding]:
        near = [seen for seen in _nearest(entry) if seen.start is not None]
        found = [hit for seen in near if (hit := self._high(entry, seen))]
        if not found and near and (hit := self._low(entry, max(near, key=lambda seen: seen.peak))):
            found = [hit]
        return found[:1] or self._parameters(entry)

    def _high(self, entry: Observation, seen: Pass) -> Finding | None:
        assert seen.start is not None
        t = seen.timestep(seen.start)
        value = seen.norms[t]
        if not math.isfinite(value) or value <= self.high:
            return None
        return entry.finding(
            self.name, "error", seen.series, t=t, sample=seen.worst_sample(t), value=value, threshold=self.high,
            text=said("LossScale.high"), action=_divide(value), phase="backward",
        )  # fmt: skip

    def _low(self, entry: Observation, seen: Pass) -> Finding | None:
        assert seen.start is not None
        t, value = seen.timestep(seen.start), seen.peak
        facts = entry.facts_of(seen.series.key)
        half = facts is not None and facts.dtype == torch.float16  # Underflow's
        if half or not 0 < value < self.low or len(entry.history) >= self.first or closed(facts):
            return None
        return entry.finding(
            self.name, "warning", seen.series, t=t, value=value, threshold=self.low, text=said("LossScale.low"),
            action=f"loss.mul({10.0 ** -math.floor(math.log10(value)):g}).backward()", phase="backward",
        )  # fmt: skip

    def _parameters(self, entry: Observation) -> list[Finding]:
        if _may_grow(entry):
            return []  # Exploding's
        return _largest(entry, self.name, self.high, _divide)
