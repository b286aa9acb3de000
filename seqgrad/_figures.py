"""Numbers drawn from one norm per timestep and sample. Pure functions on CPU float64 tensors, no state.

A curve is one norm per timestep or lag: as plain floats, where a dozen comparisons are all that is asked of it.

Two orders are in play. ``t`` is the input's timestep, as stored. ``k``, the *lag*, counts steps in the order in which
backprop visits them, sample by sample: ``k = length - 1 - t`` forward, ``k = t`` in the reverse direction. Every figure
is taken against the lag, so a short sample in a padded batch neither shifts nor dilutes a long one.
"""

from __future__ import annotations

import math
import statistics

import torch
from torch import Tensor

_ROUNDING = 1e-6  # relative; norms are right to 1e-5, so an edge case must not hang on the last bit
_FIT_POINTS = 400  # Theil-Sen compares every pair: 400 points are 80 000 slopes


def alive(steps: int, batch: int, lengths: Tensor | None, device: torch.device | None = None) -> Tensor:
    """``[T, N]`` bool: True where step t lies inside sample n. Stays on the device of ``lengths``."""
    if lengths is None:
        return torch.ones(steps, batch, dtype=torch.bool, device=device)
    return torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths.unsqueeze(0)


def all_finite(values: Tensor) -> bool:
    """Whether no element is NaN or Inf. A finite sum settles it with a single operation."""
    return math.isfinite(float(values.sum(dtype=torch.float64))) or bool(torch.isfinite(values).all())


def finite(curve: list[float]) -> bool:
    """Whether no value is NaN or Inf."""
    return math.isfinite(sum(curve)) or all(map(math.isfinite, curve))


def batch_norm(values: Tensor, *, mean: bool = False, counts: Tensor | None = None) -> Tensor:
    """``[..., T, N] -> [..., T]`` float64: root of the sum (or mean over ``counts``) of squares along the batch.

    float64 is scaled by each row's largest element, because 1e-200 has a square of 0; what narrower types hold has
    squares that fit. NaN and Inf come through.
    """
    if values.shape[-1] == 0:
        return values.new_zeros(values.shape[:-1], dtype=torch.float64)
    if values.dtype != torch.float64:
        size = torch.linalg.vector_norm(values, dim=-1, dtype=torch.float64)
        return (
            size if not mean else size / (counts.to(torch.float64) if counts is not None else values.shape[-1]) ** 0.5
        )
    top = values.abs().amax(dim=-1)
    scale = torch.where((top > 0) & torch.isfinite(top), top, torch.ones_like(top))
    total = (values / scale.unsqueeze(-1)).square().sum(dim=-1)
    if mean:
        total = total / (counts if counts is not None else values.shape[-1])
    return total.sqrt() * scale


def by_lag(values: Tensor, lengths: Tensor | None, reverse: bool) -> tuple[Tensor, Tensor]:
    """``values [T, N]`` in input-time order -> (``[K, N]`` in backprop order with 0 where absent, alive ``[K, N]``)."""
    steps, batch = values.shape
    mask = alive(steps, batch, lengths)  # also right against the lag: sample n has exactly lengths[n] of them
    if lengths is None:
        return values if reverse else values.flip(0), mask
    if not reverse:
        index = (lengths.unsqueeze(0) - 1 - torch.arange(steps).unsqueeze(1)).clamp(min=0)
        values = values.gather(0, index)
    values = torch.where(mask, values, torch.zeros_like(values))
    longest = int(mask.any(dim=1).sum())
    return values[:longest], mask[:longest]


def profile(values: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
    """``[K]`` root mean square over the samples that are that long, against the lag."""
    lagged, mask = by_lag(values, lengths, reverse)
    return batch_norm(lagged, mean=True, counts=mask.sum(dim=1))


def start(curve: list[float]) -> int | None:
    """Lag at which backprop starts: the first value that is not exactly 0 (NaN counts); None if all are 0."""
    return next((lag for lag, value in enumerate(curve) if value != 0), None)


def ratio(curve: list[float]) -> float:
    """Value at the largest lag over the value at the start of backprop; nan if either is not finite."""
    first = start(curve)
    if first is None or not (math.isfinite(curve[first]) and math.isfinite(curve[-1])):
        return math.nan
    log = math.log(curve[-1]) - math.log(curve[first]) if curve[-1] > 0 else -math.inf
    return math.exp(log) if log < 709.0 else math.inf


def decay(curve: list[float], tiny: float) -> float:
    """Factor per step back: exp of the median slope of log(norm) over all pairs of lags (Theil-Sen).

    Takes the steps from the start of backprop up to the first that is not finite, and of those the ones of at least
    ``tiny`` (below it the stored number has lost digits). nan with fewer than two steps; 0 if all but one died.
    """
    first = start(curve)
    if first is None:
        return math.nan
    tail = torch.tensor(curve[first:], dtype=torch.float64)
    bad = (~torch.isfinite(tail)).nonzero()
    if len(bad):
        tail = tail[: int(bad[0])]
    lags = (tail >= tiny).nonzero().squeeze(1)
    if len(lags) < 2:
        return 0.0 if len(lags) == 1 and len(tail) > 1 else math.nan
    if len(lags) > _FIT_POINTS:
        lags = lags[torch.linspace(0, len(lags) - 1, _FIT_POINTS, dtype=torch.float64).round().long()]
    logs = tail[lags].log()
    i, j = torch.triu_indices(len(lags), len(lags), offset=1)
    return math.exp(median((logs[j] - logs[i]) / (lags[j] - lags[i])))


def half_life(factor: float) -> float:
    """Steps back until the norm halves at ``factor`` per step; inf if it does not shrink."""
    if math.isnan(factor):
        return math.nan
    if factor >= 1:
        return math.inf
    return 0.0 if factor <= 0 else math.log(2) / -math.log(factor)


def horizon(curve: list[float], eps: float) -> float:
    """How many steps back from the start of backprop the norm stays finite and >= eps x its value there."""
    first = start(curve)
    if first is None or not math.isfinite(curve[first]):
        return math.nan
    limit = curve[first] * eps * (1 - _ROUNDING)
    tail = curve[first:]
    lost = next((lag for lag, value in enumerate(tail) if not limit <= value < math.inf), len(tail))
    return lost - 1


def transmission(total: Tensor, carried: Tensor, lengths: Tensor | None, reverse: bool, tiny: float) -> float:
    """Median over the lags of norm(carry at k + 1) / norm(total at k), both over the samples that reach k + 1."""
    total, mask = by_lag(total, lengths, reverse)
    carried, _ = by_lag(carried, lengths, reverse)
    if len(total) < 2:
        return math.nan
    reaching = total[:-1] if lengths is None else torch.where(mask[1:], total[:-1], torch.zeros_like(total[:-1]))
    return carried_share(batch_norm(reaching).tolist(), batch_norm(carried[1:]).tolist(), tiny)


def carried_share(before: list[float], after: list[float], tiny: float) -> float:
    """Median of ``after / before``, norms ``[K - 1]`` of the total at lag k and of what is carried to k + 1."""
    pairs = zip(before, after, strict=True)
    shares = [b / a for a, b in pairs if tiny <= a < math.inf and (tiny <= b < math.inf or b == 0)]
    return statistics.median(shares) if shares else math.nan


def contribution(total: Tensor, states: Tensor | None, lengths: Tensor | None) -> Tensor:
    """``[T, N]`` gradient norms, times the norms of the states before (``[T, N]``) -> ``[T]`` float64, sum 1.

    All NaN where there is nothing to share out: everything 0, or anything NaN or Inf.
    """
    mask = None if lengths is None else alive(total.shape[0], total.shape[1], lengths)

    def scaled(values: Tensor) -> Tensor:  # the product and the sum must neither overflow nor underflow
        if mask is not None:
            values = torch.where(mask, values, torch.zeros_like(values))
        if values.dtype != torch.float64:
            return values.double()  # products of what narrower types hold have room
        top = values.max() if values.numel() else values.new_zeros(())
        return values / torch.where(top > 0, top, torch.ones_like(top))

    shares = scaled(total) if states is None else scaled(total) * scaled(states)
    per_step = shares.sum(dim=1)
    return per_step / per_step.sum()


def median(values: Tensor) -> float:
    """Middle value, the mean of the two middle ones for an even count (torch.median takes the lower)."""
    ordered = values.sort().values
    n = len(ordered)
    return float((ordered[(n - 1) // 2] + ordered[n // 2]) / 2)
