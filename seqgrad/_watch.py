"""What a monitor looks at while a forward runs: which calls, whose graph, and how the figures come home.

Nothing here waits for the device. Every figure is ``[T, N]`` or smaller, so that one copy brings all of them home.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqgrad import _forward_figures
from seqgrad._facts import Facts
from seqgrad._recorder import Forward

CALLS_SEEN = 32  # calls of one layer within a step that are looked at; the rest are recorded in the backward alone
_GRAPH_DEPTH = 64  # nodes behind an initial state that are searched for one of an earlier training step


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
        if forward.out.is_complex() or forward.out.shape[-1] == 0:  # torch's own operations, which have no tap
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
        """Called by the taps of layers that have one."""
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
        _forward_figures.measure(facts, forward, self._level, self._layout)
        self.facts.append(facts)


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
