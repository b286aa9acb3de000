"""From what a user may pass (a padded batch, lengths, a PackedSequence) to time-major rows, and back.

No cell and no weight is known here. T time, N batch, I input features, S rows of a packed sequence.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class Packing:
    """How the rows of a PackedSequence lie in a padded batch ``[T, N, *]`` whose samples are in the user's order."""

    steps: int
    samples: int
    rows: Tensor | None  # [S] index of each packed row in the flattened [T * N]; None: they are the same rows
    lengths: Tensor | None  # [N] int64 on the data's device; None: every sample lasts T steps

    def pad(self, data: Tensor) -> Tensor:
        """Packed ``[S, I]`` to padded ``[T, N, I]``, zeros where a sample has ended."""
        if self.rows is not None:
            zeros = data.new_zeros(self.steps * self.samples, data.size(1))
            data = zeros.index_copy(0, self.rows, data[: self.rows.size(0)])  # what lies behind belongs to nobody
        return data[: self.steps * self.samples].view(self.steps, self.samples, data.size(1))

    def pack(self, padded: Tensor) -> Tensor:
        """Padded ``[T, N, P]`` to packed ``[S, P]``."""
        flat = padded.reshape(self.steps * self.samples, padded.size(2))
        return flat if self.rows is None else flat.index_select(0, self.rows)


@dataclass(frozen=True)
class PackedRows:
    """A PackedSequence as it lies: the CPU engine reads packed rows, and knows the samples in the order they came in.

    Stands in for a Packing; states are in packed order too.
    """

    steps: int
    samples: int
    total: int  # S
    lengths: Tensor  # [N] int64, falling
    order: Tensor | None  # [N] the user's index of each packed sample; None: the same

    def pad(self, data: Tensor) -> Tensor:
        """``[S, I]`` as it is, without what may lie behind."""
        return data if data.size(0) == self.total else data[: self.total]

    def pack(self, rows: Tensor) -> Tensor:
        """``[S, P]`` as it is."""
        return rows

    def users_lengths(self) -> Tensor | None:
        """``[N]`` in the user's order; None if every sample lasts T steps."""
        if self.total == self.steps * self.samples:
            return None
        lengths = self.lengths
        return lengths if self.order is None else torch.zeros_like(lengths).index_copy(0, self.order, lengths)

    def in_users_order(self, file: Callable[[Tensor | None], None]) -> Callable[[Tensor | None], None]:
        """``file``, which wants norms ``[Q, T, N]`` in the user's order, for norms in packed order."""
        order = self.order
        if order is None:
            return file
        return lambda norms: file(None if norms is None else torch.empty_like(norms).index_copy_(2, order, norms))


def packed_rows(packed: PackedSequence) -> PackedRows:
    """``packed`` for an engine that reads packed rows."""
    counts = _counts(packed)
    steps, samples, total = len(counts), counts[0], sum(counts)
    rising = counts[::-1]
    # Sample n lasts as many steps as there are sizes above n. So few numbers are found sooner than torch begins.
    lengths = array("q", [steps - bisect_right(rising, n) for n in range(samples)])
    return PackedRows(steps, samples, total, torch.frombuffer(lengths, dtype=torch.int64), packed.sorted_indices)


def packing(packed: PackedSequence, states: Sequence[Tensor] = ()) -> Packing:
    """Read the layout of ``packed``. Only ``batch_sizes``, which torch keeps on the CPU, is looked at: no sync.

    Inside graphs not even that: there N is taken from the initial ``states [L * D, N, *]``, if there are any.
    """
    if torch.compiler.is_compiling():
        _check_sizes(packed)
        return _packing_in_graph(packed, states)
    counts, sizes = _counts(packed), packed.batch_sizes
    steps, samples = len(counts), counts[0]
    device, order = packed.data.device, packed.sorted_indices
    ragged = counts[-1] != samples
    if not ragged and order is None:
        return Packing(steps, samples, None, None)
    alive = torch.arange(samples) < sizes.unsqueeze(1)  # [T, N], True where a sorted sample still runs
    time, sample = alive.nonzero(as_tuple=True)  # row-major, which is the order of the packed rows
    lengths = alive.sum(0).to(device, non_blocking=True) if ragged else None
    if order is None:
        return Packing(steps, samples, (time * samples + sample).to(device, non_blocking=True), lengths)
    order = order.to(device)
    rows = (time * samples).to(device, non_blocking=True) + order[sample.to(device, non_blocking=True)]
    if lengths is not None:
        lengths = torch.zeros_like(lengths).index_copy(0, order, lengths)
    return Packing(steps, samples, rows, lengths)


def _check_sizes(packed: PackedSequence) -> None:
    sizes = packed.batch_sizes
    if sizes.dim() != 1 or sizes.numel() == 0 or sizes.is_floating_point():
        raise ValueError(
            "PackedSequence.batch_sizes must be a non-empty 1-D integer tensor, "
            f"got shape {list(sizes.shape)} of {sizes.dtype}; build it with pack_padded_sequence"
        )


def _counts(packed: PackedSequence) -> list[int]:
    """``batch_sizes`` as numbers, once they are known to make sense."""
    _check_sizes(packed)
    counts: list[int] = packed.batch_sizes.tolist()
    if counts[-1] <= 0 or counts != sorted(counts, reverse=True):
        raise RuntimeError(
            f"PackedSequence.batch_sizes must be positive and never grow, got {_shorten(counts)}; "
            "build it with pack_padded_sequence"
        )
    if packed.data.size(0) < sum(counts):
        raise RuntimeError(
            f"PackedSequence.data has {packed.data.size(0)} rows but batch_sizes asks for {sum(counts)}; "
            "build it with pack_padded_sequence"
        )
    return counts


def _packing_in_graph(packed: PackedSequence, states: Sequence[Tensor]) -> Packing:
    """The same layout from shapes alone, so that no graph depends on values: T, S and, as a rule, N are dimensions."""
    sizes, order, total = packed.batch_sizes, packed.sorted_indices, packed.data.size(0)
    if order is not None:
        samples = order.size(0)
    elif states and states[0].dim() == 3:
        samples = states[0].size(1)
    else:
        samples = int(sizes[0])
    good = (sizes > 0).all() & (sizes[1:] <= sizes[:-1]).all() & (sizes[0] == samples) & (sizes.sum() == total)
    torch._assert_async(
        good,
        "PackedSequence.batch_sizes must be positive and never grow, begin with the number of samples and add up to "
        "the rows of PackedSequence.data; build it with pack_padded_sequence",
    )
    steps, sizes = sizes.size(0), sizes.to(packed.data.device, non_blocking=True)
    ends, place = sizes.cumsum(0), torch.arange(total, device=sizes.device)
    time = torch.searchsorted(ends, place, right=True)
    sample = place - (ends - sizes).index_select(0, time)
    lengths = (torch.arange(samples, device=sizes.device) < sizes.unsqueeze(1)).sum(0)
    if order is not None:
        sample = order.index_select(0, sample)
        lengths = torch.zeros_like(lengths).index_copy(0, order, lengths)
    return Packing(steps, samples, time * samples + sample, lengths)


def check_lengths(lengths: Tensor | Sequence[int] | int, x: Tensor, *, batched: bool) -> Tensor:
    """Validate ``lengths`` against ``x [T, N, I]``; returns int64 ``[N]`` on the device of ``x``.

    Lengths on the CPU (or a list) are checked for free. On a GPU the range check waits for the device once; it is
    left out while a CUDA graph is captured, and under torch.compile it becomes an assertion inside the graph.
    """
    steps, samples = x.size(0), x.size(1)
    given = _as_tensor(lengths)
    if given.dtype == torch.bool or given.is_floating_point() or given.is_complex():
        raise TypeError(f"lengths must be an integer tensor or a list of int, got dtype {given.dtype}")
    if not batched and given.dim() == 0:
        given = given.reshape(1)
    if tuple(given.shape) != (samples,):
        raise ValueError(
            f"lengths must have shape [{samples}], one per sample of the batch, got shape {list(given.shape)}"
        )
    _check_range(given, steps)
    return given.to(device=x.device, dtype=torch.int64, non_blocking=True)


def _as_tensor(lengths: Tensor | Sequence[int] | int) -> Tensor:
    if isinstance(lengths, Tensor):
        return lengths
    try:
        given = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"lengths must be an integer tensor or a list of int, got {type(lengths).__name__}: {error}"
        ) from error
    return given.to(torch.int64) if given.numel() == 0 else given


def _check_range(lengths: Tensor, steps: int) -> None:
    if lengths.numel() == 0 or lengths.is_meta:
        return
    while torch._C._functorch.is_batchedtensor(lengths):  # under vmap the values lie one level below
        lengths = torch._C._functorch.get_unwrapped(lengths)
    inside = (lengths >= 0) & (lengths <= steps)
    if torch.compiler.is_compiling():
        # Without the number: a text that holds T would be compiled anew for every T.
        torch._assert_async(inside.all(), "every entry of lengths must lie in 0..T, the timesteps of the input")
        return
    if lengths.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    if not bool(inside.all()):
        first = tuple((~inside).nonzero()[0].tolist())  # under vmap there is more than one dimension
        raise ValueError(
            f"lengths{list(first)} = {int(lengths[first])} is outside 0..{steps}: "
            f"the input has {steps} timesteps and a sample cannot last longer (or less than 0)"
        )


def _shorten(values: list[int]) -> str:
    return str(values) if len(values) <= 12 else f"{values[:6]}...{values[-3:]} ({len(values)} entries)"
