"""One ``with monitor:`` block at a scheduled step, and how blocks become an Observation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import Variable

from seqgrad import _parameters, _recorder
from seqgrad._observation import Observation, record_at_home
from seqgrad._parameters import Clearing
from seqgrad._recorder import Log, Recorder
from seqgrad._series import Series
from seqgrad._watch import Facts, Watcher, at_home, gather
from seqgrad.history import History


class Block:
    """Records, watches and measures from ``start`` to ``stop``; everything stays on the device until ``observe``."""

    def __init__(
        self,
        model: nn.Module,
        layers: dict[str, nn.Module],
        level: float,
        layout: bool,
        marker: int | None,
        clearing: Clearing | None,
    ) -> None:
        self._model = model
        self._watcher = Watcher(level, layout, marker, self._before_backward)
        self._recorder = Recorder(model, self._watcher)
        self._clearing = clearing
        self._open = False
        self._backward: int | None = None  # autograd's number of the one at whose end the gradients are measured
        self.stale: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        own = {name: module.named_parameters() for name, module in layers.items()}
        self.weights = _parameters.norms(
            (f"{name}.{key}" if name else key, p) for name, items in own.items() for key, p in items
        )

    def start(self) -> None:
        self._open = True
        _recorder.start(self._recorder)

    def stop(self) -> None:
        """Stop recording, whatever happened in the block."""
        _recorder.stop(self._recorder)
        self._watcher.finish()
        self._open, self._clearing = False, None
        self.gradients = _parameters.gradients(self._model) | self.gradients

    @property
    def log(self) -> Log:
        return self._recorder.log

    @property
    def facts(self) -> list[Facts]:
        return self._watcher.facts

    def _before_backward(self) -> None:
        if self._clearing is not None:
            clearing, self._clearing = self._clearing, None
            self.stale = clearing.stale()
        backward = torch._C._current_graph_task_id()
        if backward not in (-1, self._backward):
            self._backward = backward
            Variable._execution_engine.queue_callback(self._queue_again)

    def _queue_again(self) -> None:
        """At the end of a backward, but behind what others queued while it ran: DistributedDataParallel's reduction."""
        Variable._execution_engine.queue_callback(self._measure)

    def _measure(self) -> None:
        """As backward left them: the block may go on to unscale, clip and clear them."""
        if self._open:
            self.gradients = _parameters.gradients(self._model)

    @staticmethod
    def observe(
        step: int,
        blocks: list[Block],
        loss: Tensor | None,
        moved: tuple[int, dict[str, Tensor]] | None,
        scale: Callable[[], float],
        history: History,
        rank: int | None,
    ) -> Observation:
        """Everything to the CPU with one copy per device, and into the shape that rules read."""
        log, facts = _joined([block.log for block in blocks]), [f for block in blocks for f in block.facts]
        numbers: dict[str, dict[str, Tensor]] = {
            "gradients": blocks[-1].gradients if blocks else {},
            "weights": blocks[0].weights if blocks else {},
            "stale": blocks[0].stale if blocks else {},
            "updates": moved[1] if moved else {},
            "loss": {} if loss is None else {"loss": loss},
        }
        waiting = [series.data for series in log.passes]
        waiting += [series.lengths for series in log.passes if series.lengths is not None]
        waiting += [tensor for fact in facts for tensor in fact.tensors.values()]
        waiting += [fact.lengths for fact in facts if fact.lengths is not None]
        waiting += [tensor for group in numbers.values() for tensor in group.values()]
        home = iter(gather(waiting))
        factor = scale()  # after the copy: the device has caught up, and asking costs no second wait

        data = [next(home) for _ in log.passes]
        lengths = [None if series.lengths is None else next(home).long() for series in log.passes]
        tensors = [{name: next(home) for name in fact.tensors} for fact in facts]
        limits = [None if fact.lengths is None else next(home).long() for fact in facts]
        values = {group: {name: float(next(home)) for name in items} for group, items in numbers.items()}
        return Observation(
            step,
            record_at_home(log, data, lengths, factor),
            history,
            loss=values["loss"].get("loss"),
            scale=factor,
            facts=[at_home(f, t, n) for f, t, n in zip(facts, tensors, limits, strict=True)],
            gradients={name: value / factor for name, value in values["gradients"].items()},
            weights=values["weights"],
            stale=values["stale"],
            updates=values["updates"],
            updates_step=moved[0] if moved else None,
            rank=rank,
        )


def _joined(logs: list[Log]) -> Log:
    """Several blocks of one step as one log: backwards and calls number on."""
    if len(logs) == 1:
        return logs[0]
    whole = Log()
    backwards = 0
    for log in logs:
        shift = dict(whole.calls)
        whole.passes += [_shifted(series, backwards, shift.get(series.key, 0)) for series in log.passes]
        backwards = max((series.backward + 1 for series in whole.passes), default=0)
        whole.keys |= {key: pair for key, pair in log.keys.items() if key not in whole.keys}
        whole.aliases |= log.aliases
        whole.untracked |= log.untracked
        whole.unconverted = log.unconverted
        for key, calls in log.calls.items():
            whole.calls[key] = whole.calls.get(key, 0) + calls
    return whole


def _shifted(series: Series, backward: int, call: int) -> Series:
    from dataclasses import replace

    return replace(series, backward=series.backward + backward, call=series.call + call)
