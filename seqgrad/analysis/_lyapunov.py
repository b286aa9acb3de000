"""Lyapunov exponents: at which rates small changes of the state grow or die along a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqgrad.analysis import _trace
from seqgrad.analysis._gates import _pandas
from seqgrad.analysis._maps import step_maps
from seqgrad.analysis._trace import Lengths

if TYPE_CHECKING:
    import pandas

    from seqgrad.analysis._plots import LyapunovDisplay


@dataclass(frozen=True, eq=False)
class Lyapunov:
    """The largest Lyapunov exponents, in nats per timestep, largest first.

    A change of the state, and a gradient on its way back, grows by ``exp(exponents[0])`` per step in the long run:
    > 0 is chaos and exploding gradients, < 0 a memory that fades with time constant ``-1 / exponents[0]``.
    """

    layer: str
    exponents: Tensor  # [k] float64, over all samples, weighted by their steps
    stderr: Tensor  # [k] of the mean: over samples, or over stretches of time for a single sample
    per_sample: Tensor  # [N, k]; NaN for a sample without steps after the warm-up
    steps: Tensor  # [N] steps that count
    warmup: int

    def to_pandas(self) -> pandas.DataFrame:
        """One row per exponent: layer, index, exponent, stderr, factor (exp of it, per step)."""
        columns: dict[str, Any] = {"layer": self.layer, "index": range(len(self.exponents))}
        columns |= {"exponent": self.exponents.tolist(), "stderr": self.stderr.tolist()}
        return _pandas().DataFrame(columns | {"factor": self.exponents.exp().tolist()})

    def plot(self, ax: Any = None, *, lang: str = "en", **options: Any) -> LyapunovDisplay:
        """The exponents with two standard errors; a Display with ``ax_`` and ``figure_``.

        Args:
            ax: matplotlib axes to draw on; a new figure without.
            lang: ``"en"`` or ``"es"``.
            options: ``title``, and ``theme`` for a new figure: ``"light"`` or ``"dark"``.

        Raises:
            ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.
        """
        from seqgrad.analysis._plots import LyapunovDisplay

        return LyapunovDisplay(self, lang=lang).plot(ax, **options)

    def __repr__(self) -> str:
        pairs = zip(self.exponents.tolist(), self.stderr.tolist(), strict=True)
        listing = ", ".join(f"{value:.3g} ± {error:.1g}" for value, error in pairs)
        count = int(self.steps.sum())
        return f"<Lyapunov exponents of {self.layer!r} per step: {listing}; {count} steps, {self.warmup} to warm up>"


@torch.no_grad()
def lyapunov(
    rnn: torch.nn.Module,
    x: Any,
    k: int = 8,
    *,
    hx: Any = None,
    layer: str = "l0",
    lengths: Lengths | None = None,
    warmup: int | None = None,
    seed: int = 0,
) -> Lyapunov:
    """The ``k`` largest Lyapunov exponents of a layer driven by ``x``, by the QR method, in float64.

    k orthonormal changes of the state go through the step Jacobians and are made orthonormal again after every step;
    the mean log of how much they grew is the spectrum. The first ``warmup`` steps turn the changes into the layer's
    own directions and do not count. The state is (h, c) for an LSTM. An exponent is -inf where a direction dies at
    once (a dead relu).

    Args:
        rnn: RNN, GRU, LSTM or ResidualRNN of seqgrad or torch.nn.
        x: its input ``[T, N, I]``, or any other form it takes. Long sequences and several samples, whose inputs
            should be independent, make the error small.
        k: how many; at most S, the size of the state, are there to be found.
        hx: its initial state, zeros by default.
        layer: ``"l0"``, ``"l1_reverse"`` ...
        lengths: int ``[N]`` of a padded batch.
        warmup: steps left out at the start of each sample, a quarter of T by default.
        seed: of the random directions to begin with.

    Raises:
        TypeError: ``rnn`` is no recurrent layer, ``k`` or ``warmup`` no int. ValueError: no step is left after the
            warm-up.

    Source: Benettin et al. 1980; for recurrent networks Engelken et al. 2023, Vogt et al. 2022.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.init.orthogonal_(sg.RNN(4, 8, bias=False), gain=0.5)
        >>> spectrum = lyapunov(rnn, torch.zeros(50, 2, 4), k=3)  # linear at the origin: ln 0.5
        >>> [round(value, 3) for value in spectrum.exponents.tolist()]
        [-0.693, -0.693, -0.693]
    """
    module = _trace.check(rnn, "lyapunov", layer)
    check_count("k", k, 1)
    one = _trace.trace(module, x, hx, lengths=lengths, until=layer, dtype=torch.float64)[layer]
    maps = step_maps(one)
    warmup = one.x.shape[0] // 4 if warmup is None else warmup
    growth = growth_rates(maps.apply, one.order(), one.x.shape[1], maps.size, k, seed, one.x.device)
    alive = torch.stack([one.alive[t] for t in one.order()])
    return summarise(layer, growth, alive, warmup)


def growth_rates(
    apply: Callable[[int, Tensor], Tensor], order: Iterator[int], batch: int, size: int, k: int, seed: int,
    device: torch.device | None = None,
) -> Tensor:  # fmt: skip
    """``[T, N, k]`` log growth of each direction in each step, in the order of the steps.

    ``apply(t, change [N, S, k])`` passes changes through step t; ``[T, N, S, S]`` matrices serve as
    ``lambda t, change: matrices[t] @ change``.
    """
    start = torch.randn(size, min(k, size), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    directions = torch.linalg.qr(start.to(device))[0].expand(batch, -1, -1)
    found = []
    for t in order:
        directions, stretch = torch.linalg.qr(apply(t, directions))
        found.append(stretch.diagonal(dim1=-2, dim2=-1).abs().log())
    return torch.stack(found)


def summarise(layer: str, growth: Tensor, alive: Tensor, warmup: int) -> Lyapunov:
    """Means and errors of ``growth [T, N, k]`` over the steps that are ``alive [T, N]`` and behind the warm-up."""
    check_count("warmup", warmup, 0)
    counted = alive & (alive.cumsum(0) > warmup)
    steps = counted.sum(0)
    if not bool(steps.any()):
        raise ValueError(f"warmup={warmup} leaves no step of {int(alive.sum(0).max())}; pass fewer, or a longer x")
    kept = torch.where(counted.unsqueeze(-1), growth, torch.zeros_like(growth))
    per_sample = kept.sum(0) / steps.unsqueeze(-1)  # NaN where a sample has no step
    used = steps > 0
    weight = (steps[used].double() / steps.sum()).unsqueeze(-1)
    mean = (weight * per_sample[used]).sum(0)
    samples = int(used.sum())
    if samples > 1:
        spread = (weight * (per_sample[used] - mean)).square().sum(0)
        error = (spread * samples / (samples - 1)).sqrt()
    else:
        error = _batch_means(growth[:, used][counted[:, used].squeeze(1)].squeeze(1))
    order = mean.argsort(descending=True)  # close ones may not have found their order yet
    return Lyapunov(layer, mean[order], error[order], per_sample[:, order], steps, warmup)


def _batch_means(values: Tensor) -> Tensor:
    """``[K, k] -> [k]`` standard error of the mean of a time series, from about sqrt(K) stretches of it."""
    blocks = int(len(values) ** 0.5)
    if blocks < 2:
        return torch.full_like(values[0], float("nan"))
    size = len(values) // blocks
    means = values[len(values) - blocks * size :].unflatten(0, (blocks, size)).mean(1)
    return means.std(0) / blocks**0.5


def check_count(name: str, value: object, least: int) -> None:
    """An int of at least ``least``, or TypeError and ValueError that say so."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, at least {least}, got {type(value).__name__} {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
