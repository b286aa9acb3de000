"""Rules on how the data lie and are read: axes swapped, padding taken for data, outputs read too early."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seqgrad import _figures
from seqgrad._facts import Facts
from seqgrad._finding import Finding
from seqgrad._finding_text import said
from seqgrad._observation import Observation, Pass
from seqgrad._rules_check import LAYOUT_STEPS, share, submodule
from seqgrad._series import Series


@dataclass(frozen=True)
class SwappedAxes:
    """Batch and time in each other's place: ``batch_first`` and the data do not agree.

    Two signs. Only the first or the last sample gets any gradient, and gets it afresh at every timestep: the output is
    read at one sample instead of one timestep. Or the input's neighbours along the batch are alike and those along
    time are not: correlations above ``along_batch`` and below ``along_time`` (in little data: below what noise has by
    chance), what all samples share taken out. Both are looked at in the first three observed steps.
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
        text = said("SwappedAxes.read", samples=series.batch, steps=series.steps, gradient=float(total[t]))
        return entry.finding(
            self.name, "warning", series, t=t, sample=n, value=1.0, threshold=float(series.batch), text=text,
            action="x.transpose(0, 1)", phase="backward",
        )  # fmt: skip

    def _correlated(self, entry: Observation, facts: Facts) -> Finding | None:
        axes = facts.tensors.get("x_axes")
        if axes is None or not _figures.all_finite(axes):
            return None
        time, batch, chance = axes.tolist()
        if batch <= self.along_batch or abs(time) >= max(self.along_time, min(3 * chance, batch / 2)):
            return None
        text = said("SwappedAxes.alike", along_time=time)
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
                text = said("Padding.counted", gradient=value)
                return entry.finding(
                    self.name, "warning", series, t=t, sample=n, value=padded, threshold=self.frac, text=text,
                    action=f"{submodule(facts.layer)}(x, lengths=lengths)", phase="forward",
                )  # fmt: skip
        return None


@dataclass(frozen=True)
class ReadTooEarly:
    """An output that is read only where its run begins, so that it knows a single timestep of the sequence.

    ``out[-1]`` of a bidirectional layer does so: of the reverse direction it takes the state after one step. So does
    the first timestep of a forward direction.
    """

    name = "ReadTooEarly"

    def check(self, entry: Observation) -> list[Finding]:
        found = []
        for key in entry.keys:
            if all(_at_first_step_only(seen) for seen in entry.passes(key)):
                found.append(self._read(entry, entry.last(key).series))
        return found

    def _read(self, entry: Observation, series: Series) -> Finding:
        longest = series.steps if series.lengths is None else int(series.lengths.max())
        t, end = (longest - 1, "last") if series.reverse else (0, "first")
        text = said("ReadTooEarly.read", steps=longest, end=end)
        both = any(key.endswith("_reverse") for key in entry.keys if entry.last(key).series.layer == series.layer)
        action = "torch.cat((h_n[-2], h_n[-1]), dim=-1)" if both else "h_n.select(0, -1)"
        return entry.finding(
            self.name, "warning", series, t=t, value=1.0, threshold=float(longest), text=text, action=action,
            phase="backward",
        )  # fmt: skip


def _at_first_step_only(seen: Pass) -> bool:
    series = seen.series
    if series.name == "cell" or series.steps < 3 or not series.batch:
        return False
    if not series.reverse or series.lengths is None:
        first = series.steps - 1 if series.reverse else 0
        return seen.norms[first] != 0 and not any(norm for t, norm in enumerate(seen.norms) if t != first)
    reached = series.grad_h != 0
    first_steps = reached.gather(0, (series.lengths - 1).clamp(min=0).unsqueeze(0))[0]
    return bool(first_steps.any()) and int(reached.sum()) == int(first_steps.sum())
