"""Rules on the hidden states and gates: saturated, dead, or growing without end."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seqgrad import _figures
from seqgrad._facts import BOUNDED, Facts
from seqgrad._finding import Finding, Severity
from seqgrad._finding_text import said
from seqgrad._observation import Observation
from seqgrad._rules_check import above_zero, share, submodule
from seqgrad.init import KEEPS

_DEAD_BATCH = 4  # fewer samples may well leave a unit without work for half a sequence


def _run_order(facts: Facts) -> range:
    return range(facts.steps - 1, -1, -1) if facts.reverse else range(facts.steps)


@dataclass(frozen=True)
class Saturation:
    """Units, or gates, that sit at the flat end of their nonlinearity, where no gradient passes.

    A tanh RNN: ``|h|`` beyond ``level`` in more than ``frac`` of all units and timesteps. LSTM and GRU: a gate below
    ``1 - level`` or above ``level`` (its candidate: beyond +-``level``), recomputed at up to 32 timesteps of up to 4
    samples. A forget or update gate that stays open, and an input gate closed beside it, are how a long memory looks:
    that is "info".

    Args:
        level: activation that counts as saturated.
        frac: share of units and timesteps.
    """

    level: float = 0.99
    frac: float = 0.5
    name = "Saturation"

    def __post_init__(self) -> None:
        share("level", self.level)
        share("frac", self.frac)

    def check(self, entry: Observation) -> list[Finding]:
        found: list[Finding] = []
        latest = {facts.key: facts for facts in entry.facts}
        for facts in latest.values():
            hit = self._units(entry, facts)
            if hit:
                found.append(hit)
            if "gates_low" in facts.tensors:
                found += self._gates(entry, facts)
        return found

    def _units(self, entry: Observation, facts: Facts) -> Finding | None:
        saturated = facts.tensors.get("saturated")
        if saturated is None or not facts.batch:
            return None
        real = facts.steps * facts.batch if facts.lengths is None else int(facts.lengths.sum())
        whole = float(saturated.sum()) / max(real, 1)
        if whole <= self.frac:
            return None
        alive = _figures.alive(facts.steps, facts.batch, facts.lengths)
        each = saturated.sum(dim=1) / alive.sum(dim=1).clamp(min=1)
        t = next(t for t in _run_order(facts) if float(each[t]) > self.frac)
        n = int(saturated[t].argmax())
        text = said("Saturation.units", level=self.level)
        return entry.finding(
            self.name, "warning", facts, t=t, sample=n, value=whole, threshold=self.frac, text=text,
            action=f"seqgrad.init.xavier_({submodule(facts.layer)})", phase="forward",
        )  # fmt: skip

    def _gates(self, entry: Observation, facts: Facts) -> list[Finding]:
        shut, open_ = facts.gate_ends
        keeps = facts.gates.index(KEEPS[facts.cell])
        memory = open_[keeps] > self.frac  # open for long: chrono initialisation, or learnt
        found = []
        for k, gate in enumerate(facts.gates):
            closed = shut[k]
            value = closed + open_[k]
            if value <= self.frac:
                continue
            both = facts.tensors["gates_low"][k] + facts.tensors["gates_high"][k]
            wanted = (k == keeps and closed <= self.frac / 2) or (gate == "i" and memory and closed > value / 2)
            severity: Severity = "info" if wanted else "warning"
            at = range(len(facts.times) - 1, -1, -1) if facts.reverse else range(len(facts.times))
            t = facts.times[next(s for s in at if float(both[s]) > self.frac)]
            text = said(f"Saturation.{'memory' if wanted else 'gate'}", gate=gate, closed=closed, low=1 - self.level)
            cure = "forget_bias_({}, 1.0)" if wanted else "xavier_({})"
            found.append(
                entry.finding(
                    self.name, severity, facts, t=t, value=value, threshold=self.frac, text=text,
                    action=f"seqgrad.init.{cure.format(submodule(facts.layer))}", phase="forward",
                )
            )  # fmt: skip
        return _worst(found)


def closed(facts: Facts | None) -> bool:
    """Whether one of its gates is closed in most places, so that hardly any gradient can pass."""
    return facts is not None and any(share > 0.5 for share in facts.gate_ends[0])


def _worst(found: list[Finding]) -> list[Finding]:
    """One finding per layer: the gate that is furthest gone, warnings first."""
    return sorted(found, key=lambda f: (f.severity != "warning", -f.value))[:1]


@dataclass(frozen=True)
class DeadUnits:
    """relu units that are exactly 0 in every sample from some timestep on to the end of the run: they learn nothing.

    A warning where, at half the run at the latest, more than ``frac`` of the units have died (with fewer than four
    samples: where they were never alive).

    Args:
        frac: share of the units.
    """

    frac: float = 0.5
    name = "DeadUnits"

    def __post_init__(self) -> None:
        share("frac", self.frac)

    def check(self, entry: Observation) -> list[Finding]:
        latest = {facts.key: facts for facts in entry.facts if "dead" in facts.tensors}
        return [hit for facts in latest.values() if (hit := self._dead(entry, facts))]

    def _dead(self, entry: Observation, facts: Facts) -> Finding | None:
        order, dead = list(_run_order(facts)), facts.tensors["dead"]
        limit = order[len(order) // 2 if facts.batch >= _DEAD_BATCH else 0]
        value = float(dead[limit])
        if value <= self.frac:
            return None
        t = next(t for t in order if float(dead[t]) > self.frac)
        text = said("DeadUnits.dead")
        return entry.finding(
            self.name, "warning", facts, t=t, value=value, threshold=self.frac, text=text,
            action=f"seqgrad.init.identity_({submodule(facts.layer)})", phase="forward",
        )  # fmt: skip


_GROWTH = 10.0  # times the state of the first step
_LARGE = 10.0  # a state beyond it makes the gradients of the weights that read it as large, whatever the loss


def large_state(entry: Observation) -> bool:
    """Whether a hidden state is so large that parameters' gradients are large because of it."""
    return any(f.cell not in BOUNDED and bool((_peaks(f)[0] > _LARGE).any()) for f in entry.facts)


def _peaks(facts: Facts) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest finite |h| at every timestep, and the sample that has it; 0 without any."""
    peak = facts.tensors["peak"]
    if not facts.steps or not facts.batch:
        return peak.new_zeros(facts.steps), torch.zeros(facts.steps, dtype=torch.long)
    value, sample = torch.where(torch.isfinite(peak), peak, 0.0).max(dim=1)
    return value, sample


@dataclass(frozen=True)
class ExplodingState:
    """A hidden state that grows along the sequence past ``abs``, as relu and residual layers can.

    Gradients of the weights that read it grow with it, so it comes before :class:`Exploding`. A state that is handed on
    from chunk to chunk counts with what it brings along; one that is as large at the first timestep is the input's
    doing and not judged.

    Args:
        abs: the largest element of h that is fine.
    """

    abs: float = 100.0
    name = "ExplodingState"

    def __post_init__(self) -> None:
        above_zero("abs", self.abs)

    def check(self, entry: Observation) -> list[Finding]:
        latest = {facts.key: facts for facts in entry.facts if facts.cell not in BOUNDED}
        return [hit for facts in latest.values() if (hit := self._grown(entry, facts))]

    def _grown(self, entry: Observation, facts: Facts) -> Finding | None:
        peaks, samples = _peaks(facts)
        if not bool((peaks > self.abs).any()):
            return None
        order = list(_run_order(facts))
        t = next(t for t in order if float(peaks[t]) > self.abs)
        early, top = float(peaks[order[0]]), int(peaks.argmax())
        handed = float(facts.tensors["start"].nan_to_num(posinf=0.0).max()) / facts.hidden**0.5
        if float(peaks[top]) < _GROWTH * max(early, handed) and not handed > self.abs:
            return None
        residual = facts.cell.startswith("residual")
        layer = submodule(facts.layer)
        text = said(
            "ExplodingState.grows", early=early, first=order[0], peak=float(peaks[top]), peak_t=top,
            cure="add_less" if residual else "identity",
        )  # fmt: skip
        return entry.finding(
            self.name, "warning", facts, t=t, sample=int(samples[t]), value=float(peaks[t]), threshold=self.abs,
            text=text, phase="forward",
            action=f"setattr({layer}, 'residual_scale', {1 / facts.steps:.2g})" if residual
            else f"seqgrad.init.identity_({layer})",
        )  # fmt: skip
