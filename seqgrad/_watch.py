"""What a monitor looks at while a forward runs: small figures of states, gates and input, all left on the device.

Nothing here waits for the device. Every figure is ``[T, N]`` or smaller, so that one copy brings all of them home.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqgrad import _figures, _ops
from seqgrad._recorder import Forward
from seqgrad.analysis._gates import activations
from seqgrad.init import CANDIDATES, GATES

CALLS_SEEN = 32  # calls of one layer within a step that are looked at; the rest are recorded in the backward alone
_SAMPLED_STEPS, _SAMPLED_BATCH = 32, 4  # gates are looked at in so many places
_CORRELATED = (256, 64, 8)  # at most so many timesteps, samples and features of the input are correlated
BOUNDED = ("rnn_tanh", "gru", "lstm")  # cells whose states their nonlinearity keeps near 1
_GRAPH_DEPTH = 64  # nodes behind an initial state that are searched for one of an earlier training step


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

    def bring_home(self, tensors: dict[str, Tensor], lengths: Tensor | None) -> None:
        """Take what was gathered, on the CPU, in place of what is on the device; steps beyond a length become 0."""
        if lengths is not None:
            inside = _figures.alive(self.steps, self.batch, lengths)
            tensors = {k: torch.where(inside, v, 0.0) if v.shape == inside.shape else v for k, v in tensors.items()}
        self.tensors, self.lengths = tensors, lengths


class Watcher:
    """Looks at the forwards of one block; ``facts`` are in order of the calls.

    Args:
        level: beyond which |h|, or a gate's activation, counts as saturated.
        layout: whether to compare the input's axes and look for padding, too.
        marker: autograd's running number at the last training step's end; None: not known.
        before_backward: called when the first backward reaches a watched layer.
    """

    def __init__(self, level: float, layout: bool, marker: int | None, before_backward: Callable[[], None]) -> None:
        self.facts: list[Facts] = []
        self._level, self._layout = level, layout
        self._marker = marker
        self._before_backward = before_backward
        self._seen: dict[str, int] = {}
        self._cells: dict[str, list[tuple[int, Forward]]] = {}

    def __call__(self, layer: str, call: int, forward: Forward) -> None:
        key = f"{layer}.{forward.series}"
        running = torch._C._current_graph_task_id() != -1
        if running and key in self._seen:
            return  # a checkpoint recomputes in the backward what was seen in the forward
        # One hook at each node of the graph that made them, and not at each tensor: they may share it.
        nodes = {end.grad_fn for end in (forward.out, *forward.ends) if end is not None and end.grad_fn is not None}
        for node in nodes:
            node.register_prehook(self._on_gradients)
        count = self._seen.get(key, 0)
        self._seen[key] = count + 1
        if forward.out.dim() == 2:  # a cell: its calls are the timesteps, judged together at the end of the block
            kept = forward._replace(x=forward.x.detach(), out=forward.out.detach(), ends=())
            self._cells.setdefault(layer, []).append((call, kept if count == 0 else kept._replace(h0=kept.out)))
        elif count < CALLS_SEEN:
            self._add(layer, call, forward)

    def _on_gradients(self, gradients: object) -> None:
        self._before_backward()

    def gradient_arrives(self) -> None:
        """Called from compiled code, whose tensors take no hooks."""
        self._before_backward()

    def finish(self) -> None:
        """The block is over: join the calls of cells."""
        self._before_backward = _nothing  # the block's own method: together they would wait for the garbage collector
        for layer, calls in self._cells.items():
            first = calls[0][1]
            outs = [forward.out for _, forward in calls]
            if len({out.shape for out in outs}) == 1 and len({forward.x.shape for _, forward in calls}) == 1:
                xs = torch.stack([forward.x for _, forward in calls])
                self._add(layer, calls[-1][0], first._replace(x=xs, out=torch.stack(outs)))
        self._cells = {}

    @torch.no_grad()
    def _add(self, layer: str, call: int, forward: Forward) -> None:
        steps, batch, hidden = forward.out.shape
        facts = Facts(
            layer, forward.series, forward.cell, forward.reverse, call, steps, batch, hidden, forward.out.dtype,
            forward.out.device.type, bool(getattr(forward.module, "truncate", None)),
            lengths=None if forward.lengths is None else forward.lengths.detach().clone(),
            attached=forward.h0.requires_grad and self._marker is not None and reaches_back(forward.h0, self._marker),
        )  # fmt: skip
        _states(facts, forward, self._level)
        if facts.gates and steps and batch and not forward.out.is_complex():
            _gates(facts, forward, self._level)
        if (
            forward.series in ("l0", "cell")
            and steps
            and batch
            and forward.x.shape[2]
            and forward.x.is_floating_point()
        ):
            _inputs(facts, forward, self._layout)
        self.facts.append(facts)


def _states(facts: Facts, forward: Forward, level: float) -> None:
    out, empty, tensors, wide = forward.out, forward.out.numel() == 0, facts.tensors, _wide(forward.out)
    if out.is_complex():  # its size is all that can be told: a complex tanh is not bounded, so nothing saturates
        tensors["norm"] = torch.linalg.vector_norm(out, dim=2)
        tensors["start"] = torch.linalg.vector_norm(forward.h0, dim=1)
        if forward.cell not in BOUNDED:
            tensors["peak"] = out.abs().new_zeros(out.shape[:2]) if empty else out.abs().amax(dim=2)
        return
    tensors["norm"] = torch.linalg.vector_norm(out, dim=2, dtype=wide)
    tensors["start"] = torch.linalg.vector_norm(forward.h0, dim=1, dtype=wide)
    if forward.cell not in BOUNDED:
        tensors["peak"] = out.new_zeros(out.shape[:2]) if empty else out.abs().amax(dim=2)
    if forward.cell == "rnn_tanh":
        # Ones and zeros in place: 4x as fast.
        tensors["saturated"] = out.abs().gt_(level).mean(dim=2, dtype=torch.float32)
    if forward.cell == "rnn_relu" and not empty:
        silent = (out == 0).all(dim=1).to(torch.float32)  # [T, H]
        silent = silent if forward.reverse else silent.flip(0)
        share = silent.cummin(dim=0).values.mean(dim=1)
        tensors["dead"] = share if forward.reverse else share.flip(0)


def _wide(values: Tensor) -> torch.dtype:
    """Norms of half and bfloat16 states in float32, where their squares fit."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _gates(facts: Facts, forward: Forward, level: float) -> None:
    """Shares of saturated gates at up to 32 timesteps of up to 4 samples."""
    steps = facts.steps
    stride, every = -(-steps // _SAMPLED_STEPS), -(-facts.batch // _SAMPLED_BATCH)
    offset = (steps - 1) % stride if forward.reverse else 0  # the first step of the run is always among them
    facts.times = list(range(offset, steps, stride))
    saved = _ops.saved_by(forward.out)
    if saved is None:
        values = _recomputed(facts, forward, offset, stride, every)
    else:
        values = saved[offset::stride, ::every, : len(facts.gates)].permute(2, 0, 1, 3)
        values = values.clone(memory_format=torch.contiguous_format)  # a copy in any case: it is changed in place
    # A candidate is a tanh: both of its ends count as high, and low it never is.
    candidate = next(k for k, gate in enumerate(facts.gates) if gate in CANDIDATES)
    values[candidate].abs_()
    sides = {"gates_high": values > level, "gates_low": values < 1 - level}  # [G, S, n, H]
    if forward.lengths is None:
        shares = {side: beyond.mean(dim=(2, 3), dtype=torch.float32) for side, beyond in sides.items()}
    else:
        alive = (_times(forward, offset, stride) < forward.lengths[::every]).to(torch.float32)  # [S, n]
        weight = alive / alive.sum(dim=1, keepdim=True).clamp(min=1)
        shares = {side: (beyond.mean(dim=3, dtype=torch.float32) * weight).sum(dim=2) for side, beyond in sides.items()}
    shares["gates_low"][candidate].zero_()
    facts.tensors |= shares


def _recomputed(facts: Facts, forward: Forward, offset: int, stride: int, every: int) -> Tensor:
    """``[G, S, n, H]`` gate activations from one product over all places, where the forward kept none."""
    out, start = forward.out, forward.h0[::every].unsqueeze(0)
    # Slices throughout: an index would have to be copied to the device.
    if forward.reverse:
        before = torch.cat([out[offset + 1 :: stride, ::every], start])
        if forward.lengths is not None:  # a short sample begins at its last step, from the initial state
            going = _times(forward, offset, stride) + 1 < forward.lengths[::every]
            before = torch.where(going.unsqueeze(2), before, start)
    else:
        before = torch.cat([start, out[stride - 1 :: stride, ::every][: len(facts.times) - 1]])
    named = activations(forward.cell, forward.x[offset::stride, ::every], before, forward.weights)
    return torch.stack([named[gate] for gate in facts.gates])


def _times(forward: Forward, offset: int, stride: int) -> Tensor:
    """``[S, 1]`` the sampled timesteps, on the device."""
    return torch.arange(offset, forward.out.shape[0], stride, device=forward.out.device).unsqueeze(1)


def _inputs(facts: Facts, forward: Forward, layout: bool) -> None:
    x = forward.x
    facts.tensors["x_peak"] = x.abs().amax(dim=2)
    if not layout:
        return
    if forward.lengths is None:
        same = (x == x[-1:]).all(dim=2).to(torch.float32)  # [T, N]
        tail = same.flip(0).cumprod(dim=0).sum(dim=0)  # [N]
        alike = (x[-1] == x[-1].index_select(0, tail.argmax().unsqueeze(0))).all(dim=1)
        facts.tensors["x_tail"] = torch.where(alike & (tail > 1), tail, torch.zeros_like(tail))
    steps, batch, features = _CORRELATED
    part = x[:steps, :batch, :features].to(_wide(x))
    if part.shape[0] > 3 and part.shape[1] > 3:
        part = part - part.mean(dim=1, keepdim=True)  # what all samples share at a timestep says nothing
        variance = part.square().mean()
        along_time = (part[1:] * part[:-1]).mean() / variance
        along_batch = (part[:, 1:] * part[:, :-1]).mean() / variance
        chance = (part.shape[0] * part.shape[2]) ** -0.5
        facts.tensors["x_axes"] = torch.stack([along_time, along_batch, part.new_full((), chance)])


def _nothing() -> None:
    pass


# -- the graph ---------------------------------------------------------------------------------------------------------
def graph_marker() -> int:
    """Autograd's running number in this thread: that of the node that is made next."""
    return int(torch._C._autograd._get_sequence_nr())


def reaches_back(state: Tensor, marker: int) -> bool:
    """Whether the nearest nodes behind ``state`` include one from before ``marker`` was taken."""
    waiting, seen = [state.grad_fn], 0
    while waiting and seen < _GRAPH_DEPTH:
        node = waiting.pop(0)
        if node is None:
            continue
        seen += 1
        if int(node._sequence_nr()) < marker:  # leaves have the highest number of all
            return True
        waiting += [parent for parent, _ in node.next_functions]
    return False


# -- home --------------------------------------------------------------------------------------------------------------
@torch.no_grad()
def gather(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors on the CPU, in their own dtypes, with one copy, and so one wait, per device."""
    home = list(tensors)
    for device in {t.device for t in tensors}:
        if device.type == "cpu":
            continue
        chosen = [k for k, t in enumerate(tensors) if t.device == device]
        wide = torch.float32 if device.type == "mps" else torch.float64
        flat = torch.cat([tensors[k].detach().reshape(-1).to(wide) for k in chosen]).cpu()
        parts = flat.split([tensors[k].numel() for k in chosen])
        for k, part in zip(chosen, parts, strict=True):
            home[k] = part.view(tensors[k].shape).to(tensors[k].dtype)
    return home
