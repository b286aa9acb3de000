"""Truncated backpropagation through time by hand: cut a sequence into chunks, cut the graph between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, cast

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

State = TypeVar("State")


def detach(state: State) -> State:
    """The same state with no history: values stay, gradients will not cross. Nested tuples and lists, None kept.

    Example:
        >>> import torch
        >>> lstm = torch.nn.LSTM(4, 8)
        >>> _, state = lstm(torch.randn(5, 2, 4))  # a pair (h, c)
        >>> [s.requires_grad for s in detach(state)]
        [False, False]

    Raises:
        TypeError: for anything but tensors, tuples, lists and None.
    """
    if state is None:
        return state
    if isinstance(state, Tensor):
        return cast(State, state.detach())
    if isinstance(state, (tuple, list)) and not isinstance(state, PackedSequence):
        parts = [detach(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    hint = "; a PackedSequence is an output, detach the state beside it" if isinstance(state, PackedSequence) else ""
    raise TypeError(
        f"detach expects the state of a recurrent layer: a tensor, a tuple or list of them, or None; "
        f"got {type(state).__name__}{hint}"
    )


def tbptt(
    x: Tensor, y: Tensor | None = None, size: int = 20, *, batch_first: bool = False
) -> Iterator[tuple[Tensor, Tensor | None, int, bool]]:
    """Cut ``x [T, N, *]`` and ``y [T, *]`` into chunks of ``size`` timesteps: ``(x_chunk, y_chunk, t0, is_last)``.

    Chunks are views. The last is shorter when ``size`` does not divide T. What happens per chunk stays yours::

        state = None
        for x_chunk, y_chunk, t0, is_last in tbptt(x, y, size=20):
            out, state = rnn(x_chunk, detach(state))
            loss = loss_fn(out, y_chunk); loss.backward(); opt.step(); opt.zero_grad()

    In a padded batch each chunk has lengths of its own, ``(lengths - t0).clamp(0, x_chunk.size(0))``; a sample that has
    ended has length 0 there and keeps its state.

    With one target per sequence pass ``y=None`` and use your target where ``is_last``; but then no gradient reaches
    further back than the last chunk.

    Args:
        x: the input, time on axis 0.
        y: one target per timestep, or None (``y_chunk`` is then None).
        size: positive int, timesteps per chunk.
        batch_first: time is on axis 1 of ``x`` and ``y``.

    Example:
        >>> import torch
        >>> [(tuple(c.shape), t0, last) for c, _, t0, last in tbptt(torch.zeros(50, 3, 4))]
        [((20, 3, 4), 0, False), ((20, 3, 4), 20, False), ((10, 3, 4), 40, True)]

    Raises:
        TypeError, ValueError: at the call, not at the first chunk.
    """
    axis = 1 if batch_first else 0
    for name, value in (("x", x), ("y", y)):
        if value is None and name == "y":
            continue
        if not isinstance(value, Tensor):
            packed = isinstance(value, PackedSequence)
            hint = "; unpack it with torch.nn.utils.rnn.pad_packed_sequence and pass lengths= to the layer"
            kind = type(value).__name__ + hint * packed
            raise TypeError(f"{name} must be a tensor with time on axis {axis}, got {kind}")
        if value.dim() <= axis:
            raise ValueError(f"{name} must have time on axis {axis}, got shape {list(value.shape)}")
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"size must be a positive int, got {type(size).__name__} {size!r}")
    if size <= 0:
        raise ValueError(f"size must be a positive int, got {size}")
    steps = x.size(axis)
    if y is not None and y.size(axis) != steps:
        raise ValueError(
            f"y must have one target per timestep: x has {steps} steps on axis {axis}, y has {y.size(axis)}; "
            "with one target per sequence pass y=None and use it where is_last"
        )
    return _chunks(x, y, size, axis)


def _chunks(x: Tensor, y: Tensor | None, size: int, axis: int) -> Iterator[tuple[Tensor, Tensor | None, int, bool]]:
    steps = x.size(axis)
    for start in range(0, steps, size):
        length = min(size, steps - start)
        y_chunk = None if y is None else y.narrow(axis, start, length)
        yield x.narrow(axis, start, length), y_chunk, start, start + length == steps
