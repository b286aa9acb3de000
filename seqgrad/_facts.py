"""Facts: one forward of one layer and direction, in the figures that rules judge and histories keep."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from seqgrad import _figures, _ops
from seqgrad.init import GATES

BOUNDED = ("rnn_tanh", "gru", "lstm")  # cells whose states their nonlinearity keeps near 1


@dataclass
class Facts:
    """One forward of one layer and direction, in figures.

    ``tensors``, on the device until gathered; of complex layers norm, start and peak alone:
        norm ``[T, N]`` L2 norm of h; peak ``[T, N]`` largest |h|, of cells that do not bound it; start ``[N]`` norm of
        the initial state; saturated
        ``[T, N]`` share of units beyond the level; dead ``[T]`` (relu) share of units that are 0 in every sample from
        this step to the end of the run; gates_low, gates_high ``[G, S]`` share of gate activations beyond the level
        at the timesteps ``times``; x_peak ``[T, N]`` largest |x|; x_tail ``[N]`` how many of the last steps of x are
        the same vector, that of the longest such tail, 0 if only one; x_axes ``[3]`` correlation of neighbours along
        time and along the batch, and how large that of white noise would be.
    """

    layer: str
    series: str
    cell: str
    reverse: bool
    call: int
    steps: int
    batch: int
    hidden: int
    dtype: torch.dtype
    device: str  # its type
    truncated: bool  # the layer cuts its backprop by itself
    tensors: dict[str, Tensor] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    lengths: Tensor | None = None
    attached: bool = False  # the initial state hangs on the graph of an earlier training step

    @property
    def key(self) -> str:
        return f"{self.layer}.{self.series}" if self.layer else self.series

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of its gates; none for cells that have a single one, the unit itself."""
        names = GATES[_ops.CELLS[self.cell].gates]
        return names if len(names) > 1 else ()

    @property
    def extent(self) -> tuple[str, Tensor]:
        """What tells a finite state from others, ``[T, N]``, and its name: the peak where it is known."""
        return ("|h|", self.tensors["peak"]) if "peak" in self.tensors else ("||h||", self.tensors["norm"])

    @cached_property
    def sizes(self) -> Tensor:
        """``[T]`` float64 L2 norm of h over the batch and the units."""
        return torch.linalg.vector_norm(self.tensors["norm"], dim=1, dtype=torch.float64)

    @cached_property
    def finite(self) -> bool:
        """Whether every state is: judged on ``extent``."""
        name, extent = self.extent
        if name == "||h||" and math.isfinite(sum(self.sizes.tolist())):
            return True
        return _figures.all_finite(extent)

    @cached_property
    def gate_ends(self) -> tuple[list[float], list[float]]:
        """Of each gate the share that is low, and high, in all places looked at; empty for cells without gates."""
        sides = (self.tensors[side].tolist() for side in ("gates_low", "gates_high") if side in self.tensors)
        low, high = ([sum(row) / max(len(row), 1) for row in side] for side in sides) if self.times else ([], [])
        return low, high

    def bring_home(self, tensors: dict[str, Tensor], lengths: Tensor | None) -> None:
        """Take what was gathered, on the CPU, in place of what is on the device; steps beyond a length become 0."""
        if lengths is not None:
            inside = _figures.alive(self.steps, self.batch, lengths)
            tensors = {k: torch.where(inside, v, 0.0) if v.shape == inside.shape else v for k, v in tensors.items()}
        self.tensors, self.lengths = tensors, lengths
