"""The rule that finds where the first NaN or Inf was born."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from seqgrad import _figures
from seqgrad._facts import Facts
from seqgrad._finding import Finding
from seqgrad._finding_text import said
from seqgrad._observation import Observation
from seqgrad._rules_check import submodule


@dataclass(frozen=True)
class NonFinite:
    """The first NaN or Inf of the step, where it was born.

    Forward pass before backward; there the layer that ran first; there its first timestep in the order of that pass.

    In a backward that a GradScaler scaled, an overflow is routine: the scaler skips the step and lowers its scale. That
    is "info" until four observed steps in a row had one.
    """

    name = "NonFinite"

    def check(self, entry: Observation) -> list[Finding]:
        found = self._forward(entry) or self._backward(entry) or self._loss(entry) or self._parameter(entry)
        return [found] if found else []

    def _forward(self, entry: Observation) -> Finding | None:
        for facts in entry.facts:
            if facts.finite:
                continue
            bad = ~torch.isfinite(facts.extent[1])
            weight = next((n for n, v in entry.weights.items() if _belongs(n, facts) and not math.isfinite(v)), None)
            if weight is not None:
                text = said("NonFinite.weight")
                return entry.finding(
                    self.name, "error", (facts.layer, weight.rpartition(".")[2]), t=_first(bad, facts.reverse)[0],
                    sample=_first(bad, facts.reverse)[1], value=entry.weights[weight], threshold=math.inf, text=text,
                    action="model.load_state_dict(checkpoint)", phase="forward",
                )  # fmt: skip
            return self._born(entry, facts, bad)
        return None

    def _born(self, entry: Observation, facts: Facts, bad: torch.Tensor) -> Finding:
        t, n = _first(bad, facts.reverse)
        what, extent = facts.extent
        value = float(extent[t, n])
        source = facts.tensors.get("x_peak")
        if source is not None and not bool(torch.isfinite(source[t, n])):
            value = float(source[t, n])
            text = said("NonFinite.input")
            action = "torch.nan_to_num(x)"
        elif not math.isfinite(float(facts.tensors["start"][n])):
            text = said("NonFinite.start")
            action = "seqgrad.detach(state)"
        else:
            before = t + 1 if facts.reverse else t - 1
            grown = float(extent[before, n]) if 0 <= before < facts.steps else 0.0
            text = said("NonFinite.state", extent=what, before=grown)
            action = f"seqgrad.init.orthogonal_({submodule(facts.layer)})"
        return entry.finding(
            self.name, "error", facts, t=t, sample=n, value=value, threshold=math.inf, text=text, action=action,
            phase="forward",
        )  # fmt: skip

    def _backward(self, entry: Observation) -> Finding | None:
        if all(seen.finite for key in entry.keys for seen in entry.passes(key)):
            return None
        for series in entry.record._log.passes:  # in order of arrival, that is, of backprop
            hit = None if _figures.all_finite(series.data) else series.first_nonfinite()
            if hit is None:
                continue
            t = series.call if series.name == "cell" else hit.t
            routine = entry.scale != 1.0 and not self._lasting(entry, series.key)
            if routine:
                text = said("NonFinite.scaled", quantity=hit.quantity, scale=entry.scale)
                action = "scaler.update()"
            elif hit.quantity == "grad_h":
                text = said("NonFinite.loss_above")
                action = "torch.autograd.set_detect_anomaly(True)"
            else:
                text = said("NonFinite.overflow", quantity=hit.quantity)
                action = f"setattr({submodule(series.layer)}, 'state_clip', seqgrad.clip.Norm(1.0))"
            return entry.finding(
                self.name, "info" if routine else "error", series, t=t, sample=hit.n, value=hit.value,
                threshold=math.inf, text=text, action=action, phase="backward",
            )  # fmt: skip
        return None

    @staticmethod
    def _lasting(entry: Observation, key: str) -> bool:
        rows = [e.series[key].norms["grad_h"] for e in entry.history.recent(3) if key in e.series]
        return len(rows) == 3 and not any(map(_figures.all_finite, rows))

    def _loss(self, entry: Observation) -> Finding | None:
        if entry.loss is None or math.isfinite(entry.loss):
            return None
        text = said("NonFinite.loss")
        return entry.finding(
            self.name, "error", ("", ""), t=None, value=entry.loss, threshold=math.inf, text=text,
            action="torch.autograd.set_detect_anomaly(True)", phase="forward",
        )  # fmt: skip

    def _parameter(self, entry: Observation) -> Finding | None:
        bad = next((name for name, value in entry.gradients.items() if not math.isfinite(value)), None)
        if bad is None or entry.scale != 1.0:
            return None
        module, _, parameter = bad.rpartition(".")
        value = entry.gradients[bad]
        text = said("NonFinite.parameter")
        return entry.finding(
            self.name, "error", (module, parameter), t=None, value=value, threshold=math.inf, text=text,
            action='seqgrad.clip.grad_norm_(model.parameters(), 1.0, nonfinite="skip")', phase="backward",
        )  # fmt: skip


def _belongs(parameter: str, facts: Facts) -> bool:
    module, _, name = parameter.rpartition(".")
    suffix = "" if facts.series == "cell" else f"_{facts.series}"
    return module == facts.layer and name in {
        f"{kind}{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    }


def _first(bad: torch.Tensor, reverse: bool) -> tuple[int, int]:
    """First timestep in run order, and there the first sample, of ``bad [T, N]``."""
    steps = bad.any(dim=1).nonzero().squeeze(1)
    t = int(steps[-1] if reverse else steps[0])
    return t, int(bad[t].nonzero()[0])
