"""One ``with monitor:`` block at a scheduled step, and how blocks become an Observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.autograd import Variable

from seqgrad import _parameters, _recorder
from seqgrad._facts import Facts
from seqgrad._finding import Finding
from seqgrad._observation import Observation, record_at_home
from seqgrad._parameters import Clearing, Movement
from seqgrad._recorder import Log, Recorder
from seqgrad._series import Series
from seqgrad._watch import Watcher, gather
from seqgrad.history import History


class Block:
    """Records, watches and measures from ``start`` to ``stop``; everything stays on the device until ``observe``."""

    def __init__(
        self,
        model: nn.Module,
        weights: dict[str, Tensor],
        level: float,
        layout: bool,
        marker: int | None,
        clearing: Clearing | None,
    ) -> None:
        self._parameters = _parameters.named({"": model})
        self._watcher = Watcher(level, layout, marker, self._before_backward)
        self._recorder = Recorder(model, self._watcher)
        self._clearing = clearing
        self._open = False
        self._backward: int | None = None  # autograd's number of the one at whose end the gradients are measured
        self.stale: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self.weights = weights

    def start(self) -> None:
        self._open = True
        _recorder.start(self._recorder)

    def stop(self) -> None:
        """Stop recording, whatever happened in the block."""
        _recorder.stop(self._recorder)
        self._watcher.finish()
        self._open, self._clearing = False, None
        self.gradients |= _parameters.gradients(self._parameters, self.gradients)  # of what no recurrent layer saw

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
            self.gradients = _parameters.gradients(self._parameters)

    @staticmethod
    def observe(
        step: int,
        blocks: list[Block],
        loss: Tensor | None,
        movement: Movement | None,
        scale: Callable[[], float],
        history: History,
        rank: int | None,
        running: Mapping[tuple[str, str, str], Finding],
    ) -> Observation:
        """Everything to the CPU with one copy per device, and into the shape that rules read."""
        log, facts = _joined([block.log for block in blocks]), [f for block in blocks for f in block.facts]
        numbers: dict[str, dict[str, Tensor]] = {
            "gradients": blocks[-1].gradients if blocks else {},
            "weights": blocks[0].weights if blocks else {},
            "stale": blocks[0].stale if blocks else {},
            "moved": movement.moved if movement else {},
            "sizes": movement.sizes if movement else {},
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
        values = {group: {name: next(home).item() for name in items} for group, items in numbers.items()}
        for fact, own, limit in zip(facts, tensors, limits, strict=True):
            fact.bring_home(own, limit)
        return Observation(
            step,
            record_at_home(log, data, lengths, factor),
            history,
            loss=values["loss"].get("loss"),
            scale=factor,
            facts=facts,
            gradients={name: value / factor for name, value in values["gradients"].items()},
            weights=values["weights"],
            stale=values["stale"],
            updates=movement.ratios(values["moved"], values["sizes"]) if movement else {},
            updates_step=movement.step if movement else None,
            rank=rank,
            running=running,
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
        whole.unconverted, whole.complex_layers = log.unconverted, log.complex_layers
        for key, calls in log.calls.items():
            whole.calls[key] = whole.calls.get(key, 0) + calls
    return whole


def _shifted(series: Series, backward: int, call: int) -> Series:
    return replace(series, backward=series.backward + backward, call=series.call + call)
