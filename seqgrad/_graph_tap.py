"""Taps inside compiled graphs: recording as operators, because a tracer can follow neither hooks nor a recorder.

A recorded layer carries a :class:`Tag` while a block is open. Its graph then holds, for each call,

    ticket(clock, ...)      when the forward runs: finds the recorders of the running block, draws a number for the call
    tap(handle, ticket, x)  the zeros ``[Q, T, N]`` whose gradient is the norms, as in eager code
    file(norms, ticket)     the derivative of ``tap``: keeps the norms, and returns a zero as the gradient of the handle

So norms, ticket and handle are ordinary tensors of an ordinary graph: nothing in it is constant but the layer's place,
and one compiled graph serves every block. Only when autograd has brought the handle's zero home, as
``loss.backward()`` does and ``autograd.grad`` of chosen inputs does not, are the kept norms handed to the records.

``ticket`` and ``look`` declare that they change the clock (an int64 scalar). That keeps compilers from dropping,
merging or reordering calls that look alike.

Which recorders there are is not known here: :mod:`seqgrad._recorder` fills in ``records``.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import Tensor, nn

ATTRIBUTE = "_seqgrad_tag"
File = Callable[[Tensor], None]


class Call(NamedTuple):
    """What a ticket is drawn for."""

    series: str
    cell: str
    quantities: tuple[str, ...]
    reverse: bool
    graded: bool  # whether grad mode was on


class Look(NamedTuple):
    """A forward that just ran, as ``look`` is given it."""

    series: str
    cell: str
    x: Tensor
    out: Tensor
    ends: list[Tensor]
    h0: Tensor
    weights: list[Tensor | None]
    lengths: Tensor | None
    reverse: bool


class Filing(Protocol):
    """Where the norms of one call go."""

    def is_open(self) -> bool:
        """Whether any block still wants them."""

    def arrived(self) -> None:
        """A gradient reached the call."""

    def file(self, norms: Tensor) -> None:
        """Enter the norms ``[Q, T, N]``."""


class Records:
    """What graphs ask of the recorders; both are set by ``_recorder``."""

    found: Callable[[nn.Module, Call, Tensor | None], Filing | None]
    shown: Callable[[nn.Module, Look], None]


records = Records()

_numbers = itertools.count(1)
_modules: WeakValueDictionary[int, nn.Module] = WeakValueDictionary()
_tags: WeakKeyDictionary[nn.Module, Tag] = WeakKeyDictionary()  # of layers that were ever recorded
_tickets: dict[int, Filing] = {}  # of open blocks
_waiting: dict[tuple[int, int], list[tuple[File, Tensor]]] = {}  # (backward, layer) -> norms not yet handed over
_lock = threading.Lock()
_HAS_FLAG = hasattr(torch.compiler, "_is_exporting_flag")


class Tag:
    """Names a layer inside graphs. Copies and pickles of the layer lose it: they are other layers."""

    def __init__(self, module: nn.Module) -> None:
        number = next(_numbers)
        _modules[number] = module
        self.blocks = 0
        # Both on the CPU, wherever the layer is: they are read without waiting for a device.
        with torch.inference_mode(False), torch.enable_grad():
            self.clock = torch.tensor([number, 0])
            self.handle = torch.zeros(1, requires_grad=True)
        self.handle.register_post_accumulate_grad_hook(lambda handle: _hand_over(number, handle))

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


def attach(layers: Sequence[nn.Module]) -> None:
    """Tag ``layers`` for one more open block."""
    with _lock:
        for layer in layers:
            tag = _tags.get(layer)
            if tag is None:
                tag = _tags[layer] = Tag(layer)
            layer.__dict__[ATTRIBUTE] = tag
            tag.blocks += 1


def detach(layers: Sequence[nn.Module]) -> None:
    """One open block less."""
    with _lock:
        for layer in layers:
            tag = layer.__dict__.get(ATTRIBUTE)
            if tag is not None:
                tag.blocks -= 1
                if not tag.blocks:
                    del layer.__dict__[ATTRIBUTE]


def forget_closed() -> None:
    """Drop the tickets that no open block waits for, and norms that were never asked for."""
    with _lock:
        if _tickets:
            for number in [number for number, filing in _tickets.items() if not filing.is_open()]:
                del _tickets[number]
        if not _tickets:
            _waiting.clear()


def exporting() -> bool:
    """``torch.compiler.is_exporting()``, which the tracer of torch before 2.13 takes for true in every compilation."""
    return bool(torch.compiler._is_exporting_flag) if _HAS_FLAG else torch.compiler.is_exporting()


# -- what is traced ----------------------------------------------------------------------------------------------------
def make(
    module: nn.Module,
    series: str,
    cell: str,
    quantities: tuple[str, ...],
    x: Tensor,
    lengths: Tensor | None,
    reverse: bool,
) -> Tensor | None:
    """The tap of one layer and direction while a graph is traced; see ``_recorder.make_tap``."""
    tag = getattr(module, ATTRIBUTE, None)
    if tag is None or exporting():
        return None
    graded = torch.is_grad_enabled()
    ticket = torch.ops.seqgrad.ticket(tag.clock, series, cell, ",".join(quantities), lengths, reverse, graded)
    return torch.ops.seqgrad.tap(tag.handle, ticket, x.detach(), len(quantities)) if graded else None


def watch(
    module: nn.Module, series: str, cell: str, x: Tensor, out: Tensor, ends: Sequence[Tensor | None], h0: Tensor,
    weights: Sequence[Tensor | None], lengths: Tensor | None, reverse: bool,
) -> None:  # fmt: skip
    """Show a forward to whoever watches, while a graph is traced; see ``_recorder.watch``."""
    tag = getattr(module, ATTRIBUTE, None)
    if tag is None or exporting() or not torch.is_grad_enabled():
        return
    torch.ops.seqgrad.look(
        tag.clock, series, cell, x.detach(), out.detach(), [e.detach() for e in ends if e is not None], h0.detach(),
        [None if w is None else w.detach() for w in weights], lengths, reverse,
    )  # fmt: skip


# -- the operators -----------------------------------------------------------------------------------------------------
def _draw(
    clock: Tensor, series: str, cell: str, quantities: str, lengths: Tensor | None, reverse: bool, graded: bool
) -> Tensor:
    module, number = _tick(clock), 0
    if module is not None:
        kept = None if lengths is None else lengths.detach().clone()  # the caller may reuse the buffer
        filing = records.found(module, Call(series, cell, tuple(quantities.split(",")), reverse, graded), kept)
        if filing is not None:
            number = next(_numbers)
            with _lock:
                _tickets[number] = filing
    return torch.stack([torch.tensor(number), clock[0]])


def _tick(clock: Tensor) -> nn.Module | None:
    clock[1] += 1
    return _modules.get(int(clock[0]))


def _zeros(handle: Tensor, ticket: Tensor, x: Tensor, rows: int) -> Tensor:
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_zeros(rows, x.shape[0], x.shape[1], dtype=dtype)


def _keep(norms: Tensor, ticket: Tensor) -> Tensor:
    number, layer = ticket.tolist()
    filing = _tickets.get(number)
    if filing is not None:
        filing.arrived()
        with _lock:
            _waiting.setdefault((torch._C._current_graph_task_id(), layer), []).append((filing.file, norms.clone()))
    return torch.zeros(1)


def _hand_over(layer: int, handle: Tensor) -> None:
    handle.grad = None
    with _lock:
        arrived = _waiting.pop((torch._C._current_graph_task_id(), layer), [])
    for file, norms in arrived:
        file(norms)


def _show(
    clock: Tensor, series: str, cell: str, x: Tensor, out: Tensor, ends: list[Tensor], h0: Tensor,
    weights: list[Tensor | None], lengths: Tensor | None, reverse: bool,
) -> None:  # fmt: skip
    module = _tick(clock)
    if module is not None:
        records.shown(module, Look(series, cell, x.clone(), out.clone(), [e.clone() for e in ends], h0.clone(), weights,
                           lengths, reverse))  # fmt: skip


def _define(schema: str, kernel: Callable[..., Any], fake: Callable[..., Any]) -> None:
    name = schema.partition("(")[0]
    _OPERATORS.define(schema, tags=_TAGS)
    _OPERATORS.impl(name, kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"seqgrad::{name}", fake, lib=_OPERATORS)


_OPERATORS = torch.library.Library("seqgrad", "FRAGMENT")
_TAGS = (torch.Tag.cudagraph_unsafe,) if hasattr(torch.Tag, "cudagraph_unsafe") else ()  # a replay would skip Python
_define(
    "ticket(Tensor(a!) clock, str series, str cell, str quantities, Tensor? lengths, bool reverse, bool graded) "
    "-> Tensor",
    _draw,
    lambda clock, *_: clock.new_empty(2),
)
_define("tap(Tensor handle, Tensor ticket, Tensor x, int rows) -> Tensor", _zeros, _zeros)
_define("file(Tensor norms, Tensor ticket) -> Tensor", _keep, lambda *_: torch.empty(1))
_define(
    "look(Tensor(a!) clock, str series, str cell, Tensor x, Tensor out, Tensor[] ends, Tensor h0, Tensor?[] weights, "
    "Tensor? lengths, bool reverse) -> ()",
    _show,
    lambda *_: None,
)


def _setup_tap(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _tap_backward(ctx: Any, norms: Tensor) -> tuple[Any, ...]:
    return torch.ops.seqgrad.file(norms, *ctx.saved_tensors), None, None, None


torch.library.register_autograd("seqgrad::tap", _tap_backward, setup_context=_setup_tap, lib=_OPERATORS)
