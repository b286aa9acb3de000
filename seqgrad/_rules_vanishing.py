"""Rules on gradients that are lost on their way: vanishing, or below what float16 can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import torch

from seqgrad import _figures
from seqgrad._facts import Facts
from seqgrad._finding import Finding
from seqgrad._finding_text import said
from seqgrad._observation import Observation, Pass
from seqgrad._rules_check import share, submodule
from seqgrad._series import Series

_STRETCH = 0.1  # of all timesteps must be lost to speak of vanishing
HALF_TINY = 2.0**-24  # smallest number of float16; anything below half of it becomes 0


@dataclass(frozen=True)
class Underflow:
    """float16 gradients below 6e-8, which that type stores as 0: another thing than vanishing.

    Judged on the scaled gradient, as the backward had it. It is a matter of the loss scale where the gradient enters
    with less than 1000 times that headroom; else it vanishes first, and this is "info".
    """

    name = "Underflow"

    def check(self, entry: Observation) -> list[Finding]:
        found = []
        for key in entry.keys:
            facts = entry.facts_of(key)
            if facts is None or facts.dtype != torch.float16 or facts.truncated:
                continue
            hit = self._lost(entry, entry.last(key), facts)
            if hit:
                found.append(hit)
        return found

    def _lost(self, entry: Observation, seen: Pass, facts: Facts) -> Finding | None:
        series = seen.series
        if not seen.finite or not series.steps or not series.batch:
            return None
        alive = _figures.alive(series.steps, series.batch, series.lengths)
        scaled = series.grad_h.double() * entry.scale
        first = 0 if seen.start is None else seen.start
        lost = alive & (scaled < HALF_TINY)
        entered = seen.order[first:] if series.lengths is None else seen.order
        steps = [t for t in entered if bool(lost[t].any())]
        if not steps:
            return None
        t = steps[0]
        n = int(lost[t].nonzero()[0])
        top = float(scaled.max())
        tight = top < HALF_TINY * 1e3
        zeros = int((alive & (scaled == 0)).sum())
        factor = 2.0 ** math.ceil(math.log2(entry.scale * 2.0**14 / max(top, HALF_TINY)))
        text = said("Underflow.lost", lost=int(lost.sum()), steps=int(alive.sum()), zeros=zeros, largest=top)
        action = f"torch.amp.GradScaler({facts.device!r}, init_scale={min(factor, 2.0**24):g}).scale(loss).backward()"
        return entry.finding(
            self.name, "warning" if tight else "info", series, t=t, sample=n, value=float(scaled[t, n]),
            threshold=HALF_TINY, text=text, action=action, phase="backward",
        )  # fmt: skip


@dataclass(frozen=True)
class Vanishing:
    """A gradient that is gone before it has reached the early timesteps.

    Two tests, and both must fail: at the end of backprop the norm is below ``rel`` times the norm where the loss
    enters; and all the steps beyond that point together contribute less than ``eps`` of dW_hh, the contribution of
    step t being ||dL/dh_t|| ||h_{t-1}|| (dW_hh is the sum of the products delta_t h_{t-1}^T). What is lost must be a
    tenth of all timesteps. An LSTM is judged by the
    slower of dL/dh and dL/dc. With a loss at every step the norm stays up and hides it; there the share that is carried
    from step to step is judged, as "info": whether long memory is wanted only you know.

    Args:
        rel: end over start.
        eps: share of the weight gradient.
    """

    rel: float = 1e-3
    eps: float = 1e-3
    name = "Vanishing"

    def __post_init__(self) -> None:
        share("rel", self.rel)
        share("eps", self.eps)

    def check(self, entry: Observation) -> list[Finding]:
        found = []
        for key in entry.keys:
            seen, facts = entry.last(key), entry.facts_of(key)
            if seen.start is None or len(seen.profile) - seen.start < 3 or not seen.finite:
                continue
            if facts is not None and (facts.truncated or self._too_small(entry, seen, facts)):
                continue
            hit = self._gone(entry, seen, facts) or self._hidden(entry, seen)
            if hit:
                found.append(hit)
        return found

    def _too_small(self, entry: Observation, seen: Pass, facts: Facts) -> bool:
        """Whether float16's floor comes before ours: then it is Underflow's to judge."""
        return facts.dtype == torch.float16 and float(seen.series.grad_h.max()) * entry.scale < HALF_TINY * 1e3

    def _gone(self, entry: Observation, seen: Pass, facts: Facts | None) -> Finding | None:
        series = seen.series
        assert seen.start is not None
        quantities = [q for q in ("grad_h", "grad_c") if q in series.quantities]
        if not seen.ratio < self.rel:
            return None
        lags, values = [], []
        for quantity in quantities:
            curve = seen.quantity_profile(quantity)
            first = _figures.start(curve)
            if first is None or len(curve) - first < 3:
                continue
            reach = int(_figures.horizon(curve, self.rel))
            end = _figures.ratio(curve)
            if not end < self.rel or first + reach + 1 >= len(curve):
                return None
            lags.append(first + reach + 1)
            values.append(end)
        lag, value = max(lags), max(values)
        tails = self._contributions(seen, facts)
        rest = None
        if tails is not None:
            unseen = next((k for k, share in enumerate(tails) if share < self.eps), None)
            if unseen is None:
                return None
            lag = max(lag, unseen)
            rest = tails[lag]
        lost = len(seen.profile) - lag
        if lost < max(2.0, _STRETCH * len(seen.profile)):
            return None
        t = seen.timestep(lag)
        side = "after" if series.reverse else "before"
        tail = {} if rest is None else {"rest": rest}
        n = int(series.grad_h[t].argmin())
        text = said("Vanishing.gone" if rest is None else "Vanishing.share", side=side, cure=_cure_word(series), **tail)
        return entry.finding(
            self.name, "warning", series, t=t, sample=n, value=value, threshold=self.rel, text=text,
            action=cure(series), phase="backward",
        )  # fmt: skip

    @staticmethod
    def _contributions(seen: Pass, facts: Facts | None) -> list[float] | None:
        """By lag k, the share of dW_hh that the steps from lag k on contribute; None where the states are unknown."""
        series = seen.series
        if facts is None or facts.steps != series.steps or facts.batch != series.batch or not facts.batch:
            return None
        h, start = facts.tensors["norm"], facts.tensors["start"].unsqueeze(0)
        before = torch.cat([start, h[:-1]])
        if series.reverse:  # a short sample begins at its last step, from the initial state
            inside = _figures.alive(series.steps, series.batch, series.lengths)
            more = torch.cat([inside[1:], torch.zeros_like(inside[:1])])
            before = torch.where(more, torch.cat([h[1:], start]), start)
        delta = series.grad_h
        if series.grad_c is not None:
            delta = torch.maximum(delta, series.grad_c)
        if series.lengths is not None:
            delta, _ = _figures.by_lag(delta, series.lengths, series.reverse)
            before, _ = _figures.by_lag(before, series.lengths, series.reverse)
        shares = _figures.contribution(delta, before, None).tolist()
        if series.lengths is not None or series.reverse:  # by lag; else by timestep, where the farthest comes first
            shares.reverse()
        rest = list(accumulate(shares))
        return rest[::-1] if math.isfinite(rest[-1]) else None

    def _hidden(self, entry: Observation, seen: Pass) -> Finding | None:
        series, factor = seen.series, seen.transmission
        if series.cell == "lstm" or not 0 < factor < 1:
            return None
        reach = int(math.log(self.rel) / math.log(factor)) + 1
        if reach >= len(seen.profile) - 1:
            return None
        t = seen.timestep(reach)
        text = said("Vanishing.hidden", rel=self.rel, cure=_cure_word(series))
        return entry.finding(
            self.name, "info", series, t=t, value=factor, threshold=self.rel ** (1 / (len(seen.profile) - 1)),
            text=text, action=cure(series), phase="backward",
        )  # fmt: skip


def _cure_word(series: Series) -> str:
    return "gate" if series.cell in ("lstm", "gru") else "matrix"


def cure(series: Series) -> str:
    """The initialisation that lets gradients of this kind of cell travel."""
    if series.cell in ("lstm", "gru"):
        return f"seqgrad.init.chrono_({submodule(series.layer)}, T={max(series.steps, 2)})"
    if series.cell == "rnn_relu":
        return f"seqgrad.init.identity_({submodule(series.layer)})"
    return f"seqgrad.init.orthogonal_({submodule(series.layer)})"
