"""Rules on how the network is trained: gradients kept, graphs not cut, step size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqgrad._facts import Facts
from seqgrad._finding import Finding
from seqgrad._finding_text import Said, said
from seqgrad._observation import Observation
from seqgrad._rules_check import above_zero
from seqgrad._series import Series

_RECENT, _LEAST = 64, 5  # observed losses that a running median looks back on, and how many it needs


@dataclass(frozen=True)
class MissingDetach:
    """A state that is carried from step to step, or chunk to chunk, with its history still attached.

    Seen where the initial state's graph was made before the last ``Monitor.step``, or where a backward reaches a new
    call of a layer and, through it, one that an earlier backward had done already. torch answers the first with
    "Trying to backward through the graph a second time", or, with ``retain_graph=True``, with ever longer steps.
    """

    name = "MissingDetach"

    def check(self, entry: Observation) -> list[Finding]:
        found: dict[str, Finding] = {}
        for facts in entry.facts:
            if facts.attached and facts.layer not in found:
                found[facts.layer] = self._attached(entry, facts)
        for key in entry.keys:
            layer = entry.last(key).series.layer
            if layer not in found and (hit := self._again(entry, [p.series for p in entry.passes(key)])):
                found[layer] = hit
        return list(found.values())

    def _attached(self, entry: Observation, facts: Facts) -> Finding:
        t = facts.steps - 1 if facts.reverse else 0
        text = said("MissingDetach.attached", steps=facts.steps)
        return entry.finding(
            self.name, "error", facts, t=t, value=float(facts.steps), threshold=float(facts.steps), text=text,
            action="seqgrad.detach(state)", phase="backward",
        )  # fmt: skip

    def _again(self, entry: Observation, passes: list[Series]) -> Finding | None:
        if passes[0].name == "cell":
            return None  # every call of a cell is one timestep of the same loop
        done: set[int] = set()
        for number in sorted({series.backward for series in passes}):
            calls = {series.call: series for series in passes if series.backward == number}
            again = [series for call, series in calls.items() if call in done]
            if again and any(call not in done for call in calls) and done:
                series = again[-1]
                t = 0 if series.reverse else series.steps - 1
                steps = sum(s.steps for s in calls.values())
                text = said("MissingDetach.again", number=number, steps=steps, call=series.call)
                return entry.finding(
                    self.name, "warning", series, t=t, value=float(steps),
                    threshold=float(steps - sum(s.steps for s in again)), text=text, action="seqgrad.detach(state)",
                    phase="backward",
                )  # fmt: skip
            done |= set(calls)
        return None


@dataclass(frozen=True)
class StaleGradients:
    """Gradients that were not cleared: backward adds to what an earlier optimizer step had used already.

    Gradient accumulation, several backwards before one optimizer step, is none: the parameters did not move.
    """

    name = "StaleGradients"

    def check(self, entry: Observation) -> list[Finding]:
        stale = {name: value for name, value in entry.stale.items() if value > 0 or math.isnan(value)}
        if not stale:
            return []
        name = max(stale, key=lambda name: stale[name])
        module, _, parameter = name.rpartition(".")
        text = said("StaleGradients.kept", parameter=parameter)
        return [
            entry.finding(
                self.name,
                "error",
                (module, ""),
                t=None,
                value=stale[name],
                threshold=0.0,
                text=text,
                action="optimizer.zero_grad()",
                phase="backward",
            )
        ]


@dataclass(frozen=True)
class LearningRate:
    """Optimizer steps as long as the weights themselves, or a loss that jumps after them.

    How far a layer's weights move in one optimizer step, relative to their norm, is measured after each observed step
    (on up to 64 rows of each matrix) and reported at the next: about 1e-3 is usual. A loss
    (``Monitor.step(loss=...)``) of more than ``spike`` times its running median is blamed on moves of a tenth of
    ``update`` and more.

    Args:
        update: relative length of a step.
        spike: loss over the median of the last 64 observed ones.
    """

    update: float = 0.5
    spike: float = 5.0
    name = "LearningRate"

    def __post_init__(self) -> None:
        above_zero("update", self.update)
        above_zero("spike", self.spike)

    def check(self, entry: Observation) -> list[Finding]:
        moved = {layer: value for layer, value in entry.updates.items() if math.isfinite(value)}
        if not moved:
            return []
        layer = max(moved, key=lambda layer: moved[layer])
        value = moved[layer]
        if value > self.update:
            text = said("LearningRate.moved")
            return [self._found(entry, layer, value, self.update, text)]
        if entry.loss is None or not math.isfinite(entry.loss) or value <= self.update / 10:
            return []
        losses = [e.loss for e in entry.history.recent(_RECENT) if e.loss is not None and math.isfinite(e.loss)]
        if len(losses) < _LEAST:
            return []
        usual = sorted(losses)[len(losses) // 2]
        if usual <= 0 or entry.loss <= self.spike * usual:
            return []
        text = said("LearningRate.jumps", times=entry.loss / usual, spike=self.spike, moved=value)
        return [self._found(entry, layer, entry.loss, self.spike * usual, text)]

    def _found(self, entry: Observation, layer: str, value: float, threshold: float, text: Said) -> Finding:
        action = "optimizer.param_groups[0].update(lr=0.1 * optimizer.param_groups[0]['lr'])"
        return entry.finding(
            self.name, "warning", (layer, ""), t=None, value=value, threshold=threshold, text=text, action=action,
            step=entry.updates_step if value != entry.loss else None,
        )  # fmt: skip
