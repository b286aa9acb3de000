"""Rules on how the network is used: data the wrong way round, padding, gradients kept or graphs not cut, step size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from seqgrad import _figures
from seqgrad._finding import Finding
from seqgrad._observation import Observation
from seqgrad._rules_check import LAYOUT_STEPS, above_zero, share, submodule
from seqgrad._series import Series
from seqgrad._watch import Facts

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
        text = (
            f"the state handed in at t={t} still hangs on the graph of an earlier training step, so backward runs on "
            f"beyond these {facts.steps} timesteps, further with every step; cut it before you hand it in"
        )
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
                text = (
                    f"backward {number} of this step runs through {steps} timesteps: it enters call {series.call} of "
                    f"the layer, at t={t}, which an earlier backward had done already; cut the state between the "
                    "chunks"
                )
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
        text = (
            f"gradients of an earlier step are still there when backward begins (the largest in {parameter}, norm "
            f"{stale[name]:.3g}; expected none), although the optimizer has stepped since, so they pile up; clear them "
            "after every optimizer step"
        )
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
class SwappedAxes:
    """Batch and time in each other's place: ``batch_first`` and the data do not agree.

    Two signs. Only the first or the last sample gets any gradient, and gets it afresh at every timestep: the output is
    read at one sample instead of one timestep. Or the input's neighbours along the batch are alike and those along
    time are not: correlations above ``along_batch`` and below ``along_time``, what all samples share taken out. Both
    are looked at in the first three observed steps.
    """

    along_batch: float = 0.5
    along_time: float = 0.1
    name = "SwappedAxes"

    def __post_init__(self) -> None:
        share("along_batch", self.along_batch)
        share("along_time", self.along_time)

    def check(self, entry: Observation) -> list[Finding]:
        found: dict[str, Finding] = {}
        if len(entry.history) >= LAYOUT_STEPS:
            return []
        for key in entry.keys:
            series = entry.last(key).series
            if series.name != "cell" and series.layer not in found and (hit := self._read_at_a_sample(entry, series)):
                found[series.layer] = hit
        for facts in entry.facts:
            if facts.layer not in found and facts.series == "l0" and (hit := self._correlated(entry, facts)):
                found[facts.layer] = hit
        return list(found.values())

    def _read_at_a_sample(self, entry: Observation, series: Series) -> Finding | None:
        carried = series.grad_carry
        if carried is None or series.batch < 2 or series.steps < 3 or not _figures.all_finite(series.data):
            return None
        alive = series.grad_h.amax(dim=0) > 0  # [N]
        if int(alive.sum()) != 1 or not bool(alive[0] | alive[-1]):
            return None
        n = int(alive.nonzero()[0])
        total, carry = series.grad_h[:, n], carried[:, n]
        fresh = (total - carry).abs() > 1e-6 * total
        if float(fresh.double().mean()) < 0.9:
            return None
        t = 0 if series.reverse else series.steps - 1
        text = (
            f"of {series.batch} samples only sample {n} gets a gradient, {float(total[t]):.3g} at t={t}, and it gets a "
            f"fresh one at each of the {series.steps} timesteps: batch and time are in each other's place (the layer "
            "was built with another batch_first than the data or the reading of its output has); swap them"
        )
        return entry.finding(
            self.name, "warning", series, t=t, sample=n, value=1.0, threshold=float(series.batch), text=text,
            action="x.transpose(0, 1)", phase="backward",
        )  # fmt: skip

    def _correlated(self, entry: Observation, facts: Facts) -> Finding | None:
        axes = facts.tensors.get("x_axes")
        if axes is None or not _figures.all_finite(axes):
            return None
        time, batch = float(axes[0]), float(axes[1])
        if batch <= self.along_batch or abs(time) >= self.along_time:
            return None
        text = (
            f"neighbouring samples of its input are alike (correlation {batch:.2f}, threshold {self.along_batch:g}) "
            f"and neighbouring timesteps, from t=0 and sample 0 on, are not ({time:.2f}): batch and time seem to be "
            "in each other's place; swap them"
        )
        return entry.finding(
            self.name, "warning", facts, t=0, sample=0, value=batch, threshold=self.along_batch, text=text,
            action="x.transpose(0, 1)", phase="forward",
        )  # fmt: skip


@dataclass(frozen=True)
class Padding:
    """Padding that is counted as data: no ``lengths``, sequences that end in one repeated vector, and gradient there.

    Judged where the repeated vector is the same for all samples, the tails differ in length by two steps or more, and
    they fill more than ``frac`` of all timesteps, in the first three observed steps. A loss that leaves padding out
    gives no gradient there and no finding, except that a reverse direction reads the padding first.
    """

    frac: float = 0.2
    name = "Padding"

    def __post_init__(self) -> None:
        share("frac", self.frac)

    def check(self, entry: Observation) -> list[Finding]:
        latest = {facts.layer: facts for facts in entry.facts if "x_tail" in facts.tensors}
        return [hit for facts in latest.values() if (hit := self._counted(entry, facts))]

    def _counted(self, entry: Observation, facts: Facts) -> Finding | None:
        tail = facts.tensors["x_tail"].clamp(max=facts.steps)
        padded = float(tail.sum()) / max(facts.steps * facts.batch, 1)
        if padded <= self.frac or float(tail.max() - tail.min()) < 2:
            return None
        inside = torch.arange(facts.steps).unsqueeze(1) >= facts.steps - tail  # [T, N]
        for key in (f"{facts.layer}.{name}" if facts.layer else name for name in ("l0", "l0_reverse", "cell")):
            if key not in entry.keys:
                continue
            series = entry.last(key).series
            if series.data.shape[1:] != inside.shape or series.lengths is not None:
                continue
            counted = torch.where(inside, series.grad_h.double(), 0.0)
            value = float(_figures.batch_norm(counted).max())
            if value > 0:
                n = int(tail.argmax())
                t = facts.steps - int(tail[n])
                text = (
                    f"padding is counted as data: {padded:.0%} of all timesteps are tails of one repeated vector, in "
                    f"sample {n} from t={t} on, threshold {self.frac:.0%}, and gradient flows there (up to "
                    f"{value:.3g}); hand the lengths over"
                )
                return entry.finding(
                    self.name, "warning", series, t=t, sample=n, value=padded, threshold=self.frac, text=text,
                    action=f"{submodule(facts.layer)}(x, lengths=lengths)", phase="forward",
                )  # fmt: skip
        return None


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
            text = (
                f"the optimizer moved its weights by {value:.3g} times their own norm in one step, threshold "
                f"{self.update:g}, usual 0.001: the learning rate is too high; lower it"
            )
            return [self._found(entry, layer, value, self.update, text)]
        losses = [e.loss for e in entry.history.recent(_RECENT) if e.loss is not None and math.isfinite(e.loss)]
        if entry.loss is None or not math.isfinite(entry.loss) or len(losses) < _LEAST or value <= self.update / 10:
            return []
        usual = sorted(losses)[len(losses) // 2]
        if usual <= 0 or entry.loss <= self.spike * usual:
            return []
        text = (
            f"the loss jumps to {entry.loss:.3g}, {entry.loss / usual:.3g} times its running median, threshold "
            f"{self.spike:g} times, and the optimizer moves these weights by {value:.3g} of their norm in one step: "
            "the learning rate is too high; lower it"
        )
        return [self._found(entry, layer, entry.loss, self.spike * usual, text)]

    def _found(self, entry: Observation, layer: str, value: float, threshold: float, text: str) -> Finding:
        action = "optimizer.param_groups[0].update(lr=0.1 * optimizer.param_groups[0]['lr'])"
        return entry.finding(
            self.name, "warning", (layer, ""), t=None, value=value, threshold=threshold, text=text, action=action,
            step=entry.updates_step if value != entry.loss else None,
        )  # fmt: skip
