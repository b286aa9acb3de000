"""The switch between layers and records: which blocks are open, and the tap a layer gets while one is.

A tap takes the norms ``[Q, T, N]`` of one call when its backward has computed them, and files them as a Series. Nothing
here reads a tensor's values, so nothing waits for the device.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from seqgrad import _graph_tap, _ops
from seqgrad._parameters import plain_name
from seqgrad._series import Series
from seqgrad.clip import Norm, Value


@dataclass
class Log:
    """All that a record knows. Plain data: it pickles, and holds no module."""

    passes: list[Series] = field(default_factory=list)  # in order of arrival
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)  # key -> (layer, series name), by first forward
    calls: dict[str, int] = field(default_factory=dict)  # key -> forwards that got a tap
    untracked: dict[str, int] = field(default_factory=dict)  # layer -> forwards under no_grad
    aliases: dict[str, str] = field(default_factory=dict)  # other names of shared modules -> first name
    unconverted: tuple[str, ...] = ()  # torch.nn's own recurrent layers in the model: invisible here
    complex_layers: tuple[str, ...] = ()  # they run as torch's own operations, which show no norms
    rank: int | None = None  # of this process under torch.distributed


class Forward(NamedTuple):
    """One call of one layer and direction, as it just ran; the tensors still belong to the graph."""

    module: nn.Module
    series: str  # l0, l0_reverse ... or cell
    cell: str
    x: Tensor  # [T, N, I], of a cell [N, I]
    out: Tensor  # [T, N, P], of a cell [N, P]
    ends: Sequence[Tensor | None]  # final states
    h0: Tensor  # [N, P]
    weights: Sequence[Tensor | None]  # w_ih, w_hh, b_ih, b_hh, w_hr
    lengths: Tensor | None  # [N]
    reverse: bool


class Watcher(Protocol):
    """Who is shown forwards as they run."""

    def __call__(self, layer: str, call: int, forward: Forward) -> None:
        """``forward`` of ``layer`` ran, its ``call``-th in the block."""

    def gradient_arrives(self) -> None:
        """A backward reached a layer that has a tap; to others the watcher sets hooks of its own."""


class Recorder:
    """One open block. Thread-safe: CUDA backwards run in threads of their own.

    ``watcher`` is shown each forward that got a tap, right after it ran.
    """

    def __init__(self, model: nn.Module, watcher: Watcher | None = None) -> None:
        self.log = Log(rank=current_rank())
        self.open = True
        self.watcher = watcher
        self._names: dict[int, str] = {}
        self.modules: list[nn.Module] = []  # keeps the ids valid while the block is open
        self._tasks: dict[int, int] = {}  # autograd's number of a running backward -> ours
        self._forwards: dict[str, int] = {}  # key -> forwards so far, those in a backward left out
        self._without_grad: dict[str, list[int]] = {}  # key -> which of them ran under no_grad
        self._recomputed: dict[tuple[str, int], int] = {}  # (key, backward) -> gradients of recomputed forwards so far
        self._arrived: set[tuple[str, int]] = set()  # (key, number) of recomputed forwards that had a gradient
        self._lock = threading.Lock()
        self.layers: list[nn.Module] = []  # those of seqgrad among them
        unconverted, complex_layers = [], []
        kinds: dict[type, str] = {}  # a model has many modules, and few kinds of them
        for raw, module in model.named_modules(remove_duplicate=False):
            name = plain_name(raw)
            if id(module) in self._names:
                self.log.aliases[name] = self._names[id(module)]
                continue
            self._names[id(module)] = name
            self.modules.append(module)
            kind = type(module)
            known = kinds.get(kind)
            if known is None:
                known = kinds[kind] = _kind_of(kind)
            if known == "ours":
                self.layers.append(module)
                if _is_complex(module):
                    complex_layers.append(name)
            elif known == "torch's":
                unconverted.append(name)
        self.log.unconverted, self.log.complex_layers = tuple(unconverted), tuple(complex_layers)

    def close(self) -> None:
        self.open, self.watcher = False, None
        self._names, self.modules, self.layers = {}, [], []

    def name_of(self, module: nn.Module) -> str | None:
        return self._names.get(id(module)) if self.open else None

    def forward(self, layer: str, series: str, *, tracked: bool) -> int:
        """Count a forward, ``tracked`` if it gets a tap; its number among the forwards of this series."""
        key = _key(layer, series)
        with self._lock:
            self.log.keys.setdefault(key, (layer, series))
            number = self._forwards.get(key, 0)
            self._forwards[key] = number + 1
            if tracked:
                self.log.calls[key] = self.log.calls.get(key, 0) + 1
            else:
                self.log.untracked[layer] = self.log.untracked.get(layer, 0) + 1
                self._without_grad.setdefault(key, []).append(number)
            return number

    def withdraw(self, layer: str, series: str) -> None:
        """Take back the last tracked forward of this series."""
        key = _key(layer, series)
        with self._lock:
            self._forwards[key] -= 1
            self.log.calls[key] -= 1
            if not self.log.calls[key]:
                del self.log.calls[key]

    def saw_without_grad(self, layer: str, series: str) -> bool:
        """Whether a forward of this series ran under no_grad: a checkpoint may be recomputing it."""
        return _key(layer, series) in self._without_grad

    def show(self, forward: Forward) -> None:
        """Hand a forward that just ran to the watcher."""
        layer = self.name_of(forward.module)
        if self.watcher is not None and layer is not None:
            number = self._forwards.get(_key(layer, forward.series), 1) - 1
            self.watcher(layer, number, forward)

    def place(self, layer: str, series: str, number: int | None, outer: int) -> tuple[int, int]:
        """Where a gradient that arrives now belongs: number of the backward and of the call.

        Backwards count from 0 in the order in which they reach us. ``number`` is None and ``outer`` a running backward
        for a forward that ran inside that one. A checkpoint with use_reentrant=True does so: it recomputes what ran
        under no_grad and sends a backward of its own through it, which is part of the outer one. The last call is
        recomputed first.
        """
        key, task = _key(layer, series), torch._C._current_graph_task_id()
        with self._lock:
            backward = self._tasks.setdefault(task if outer == -1 else outer, len(self._tasks))
            if number is not None:
                return backward, number
            before = self._recomputed.get((key, backward), 0)
            self._recomputed[key, backward] = before + 1
            known = self._without_grad.get(key, [])
            number = known[-1 - before] if before < len(known) else len(known) - 1 - before
            if (key, number) not in self._arrived:  # a retained graph recomputes the same call again
                self._arrived.add((key, number))
                self.log.keys.setdefault(key, (layer, series))
                self.log.calls[key] = self.log.calls.get(key, 0) + 1
            return backward, number


def _kind_of(module: type) -> str:
    """Whether modules of this type are recurrent and ``"ours"`` or ``"torch's"``; else ``""``."""
    if hasattr(module, _graph_tap.ATTRIBUTE):
        return "ours"
    theirs = module.__module__.startswith("torch.nn.") and issubclass(module, (nn.RNNBase, nn.RNNCellBase))
    return "torch's" if theirs else ""


def _is_complex(layer: nn.Module) -> bool:
    for p in layer._parameters.values():
        if p is not None:
            return p.is_complex()  # they are of one dtype
    return False


def _key(layer: str, series: str) -> str:
    return f"{layer}.{series}" if layer else series


def current_rank() -> int | None:
    """Number of this process under torch.distributed, None where it is not in use."""
    return torch.distributed.get_rank() if _DISTRIBUTED and torch.distributed.is_initialized() else None


_DISTRIBUTED = torch.distributed.is_available()

# A plain global, not only the context variable: off costs one read, and torch.compile can guard on it.
_recording = False
_watching = False
_open: tuple[Recorder, ...] = ()  # of all threads
_open_lock = threading.Lock()
_active: ContextVar[tuple[Recorder, ...]] = ContextVar("seqgrad_active_recorders", default=())


def on() -> bool:
    """Whether any block is open, of whatever model and thread."""
    return _recording


def watching() -> bool:
    """Whether any open block has a watcher."""
    return _watching


def start(recorder: Recorder) -> None:
    """Let layers that run in this context see the recorder."""
    _active.set((*_active.get(), recorder))
    _graph_tap.attach(recorder.layers)
    _change_open(add=(recorder,))


def stop(recorder: Recorder) -> None:
    """Take the recorder out again, whatever the order of leaving, and freeze its log."""
    _graph_tap.detach(recorder.layers)
    recorder.close()
    _graph_tap.forget_closed()
    _active.set(tuple([r for r in _active.get() if r is not recorder]))
    _change_open(drop=recorder)


def _change_open(add: tuple[Recorder, ...] = (), drop: Recorder | None = None) -> None:
    global _open, _recording, _watching
    with _open_lock:
        _open = (*[r for r in _open if r is not drop], *add)
        _recording, _watching = bool(_open), True in [r.watcher is not None for r in _open]


def make_tap(
    module: nn.Module,
    series: str,
    *,
    cell: str,
    state_clip: Norm | Value | None,
    x: Tensor,
    lengths: Tensor | None,
    reverse: bool,
) -> _ops.Tap | None:
    """The tap for one layer and direction of ``module``, or None when nobody records it.

    Args:
        module: the layer; found in the recorded model by identity. Inside compiled code it needs the class attribute
            ``_seqgrad_tag = None``, which the layers here have.
        series: ``l0``, ``l0_reverse``, ``l1`` ...; ``cell`` for a cell.
        cell: kind of cell, one of ``seqgrad._ops.CELLS``.
        state_clip: the layer's; adds the row clip_hits.
        x: input ``[T, N, I]``; inside compiled code it gives the shape, the device and whether norms are float64.
        lengths: ``[N]`` or None.
        reverse: whether the layer runs from the last step to the first.

    Returns:
        What ``_ops.layer(tap=...)`` takes: a function of the norms ``[Q, T, N]``, rows as in ``_ops.quantities``, or
        inside compiled code zeros of that shape, whose gradient they are.
        None outside ``record`` blocks, for modules outside the recorded model, under ``no_grad``, and inside the
        transforms of torch.func.
    """
    if not _recording:
        return None
    quantities = _ops.quantities(cell, state_clip)
    if torch.compiler.is_compiling():
        return _graph_tap.make(module, series, cell, quantities, x, lengths, reverse)
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return None  # torch.func differentiates by itself: no backward would reach a leaf made in here
    kept = None if lengths is None else lengths.clone()  # the caller may reuse the buffer
    return _filing(module, _graph_tap.Call(series, cell, quantities, reverse, torch.is_grad_enabled()), kept)


class Filing:
    """Where the norms of one call go: into the records that know its layer. In eager code it is the tap itself."""

    __slots__ = ("call", "lengths", "outer", "targets")

    def __init__(
        self,
        call: _graph_tap.Call,
        lengths: Tensor | None,
        outer: int,
        targets: list[tuple[Recorder, str, int | None]],
    ) -> None:
        self.call, self.lengths = call, lengths
        self.outer = outer  # the backward that the forward ran in, -1 if none
        self.targets = targets  # record, name of the layer in it, number of the call

    def __call__(self, norms: Tensor | None) -> None:
        self.arrived()
        if norms is not None:
            self.file(norms)

    def arrived(self) -> None:
        for recorder, _, _ in self.targets:
            if recorder.watcher is not None:
                recorder.watcher.gradient_arrives()

    def file(self, norms: Tensor) -> None:
        series, cell, quantities, reverse, _ = self.call
        for recorder, layer, number in self.targets:
            if recorder.open:
                place = recorder.place(layer, series, number, self.outer)
                recorder.log.passes.append(
                    Series(layer, series, cell, reverse, quantities, norms, self.lengths, *place)
                )

    def is_open(self) -> bool:
        return any(recorder.open for recorder, _, _ in self.targets)

    def withdraw(self) -> None:
        """The call failed: it is none."""
        for recorder, layer, number in self.targets:
            if number is not None:
                recorder.withdraw(layer, self.call.series)


def _filing(module: nn.Module, call: _graph_tap.Call, lengths: Tensor | None) -> Filing | None:
    """Enter a call of ``module`` into all records of this context that know it: where its norms go."""
    outer = torch._C._current_graph_task_id()  # -1 outside of any backward
    found = [(r, name) for r in _active.get() if (name := r.name_of(module)) is not None]
    if not found and outer != -1:
        # A checkpoint recomputes in the thread of the backward, to which the block's context does not reach.
        found = [
            (r, name)
            for r in _open
            if (name := r.name_of(module)) is not None and r.saw_without_grad(name, call.series)
        ]
    if not found:
        return None
    if not call.graded:
        if outer == -1:
            for recorder, layer in found:
                recorder.forward(layer, call.series, tracked=False)
        return None
    # What a checkpoint recomputes is no new call: its number waits for a gradient (use_reentrant=False sends none).
    targets = [(r, layer, r.forward(layer, call.series, tracked=True) if outer == -1 else None) for r, layer in found]
    return Filing(call, lengths, outer, targets)


def watch(
    module: nn.Module,
    series: str,
    *,
    cell: str,
    x: Tensor,
    out: Tensor,
    ends: Sequence[Tensor | None],
    h0: Tensor | None,
    weights: Sequence[Tensor | None],
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> None:
    """Show a forward that just ran to whoever watches it, ``h0`` as it was given. Costs one read where nobody does."""
    if not _watching:
        return
    h0, _, _ = _ops.flat_states(x, weights[1], h0, None, lengths, cell)  # type: ignore[arg-type]
    if torch.compiler.is_compiling():
        _graph_tap.watch(module, series, cell, x, out, ends, h0, weights, lengths, reverse)
        return
    if not torch.is_grad_enabled() or torch._C._functorch.peek_interpreter_stack() is not None:
        return  # no tap either
    _show(Forward(module, series, cell, x, out, ends, h0, tuple(weights), lengths, reverse))


def _show(forward: Forward) -> None:
    for recorder in _active.get():
        recorder.show(forward)


_graph_tap.records.found = _filing
_graph_tap.records.shown = lambda module, look: _show(Forward(module, *look))
