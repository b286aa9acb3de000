"""Monitor: look into a training now and then, and be told what is wrong, where, since when, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqgrad import rules as rules_module
from seqgrad._block import Block
from seqgrad._finding import Finding, worst_first
from seqgrad._monitor_arguments import checked_layers, count, listed, number, scale, unwrap
from seqgrad._observation import Observation
from seqgrad._parameters import Clearing, Movement, named, norms
from seqgrad._recorder import current_rank
from seqgrad._rules_check import LAYOUT_STEPS
from seqgrad._watch import graph_marker
from seqgrad.history import History, run_header
from seqgrad.rules import Rule
from seqgrad.sinks import Sink

OnFinding = Literal["warn", "raise"] | Callable[[Finding], object] | None
_BLOCKS = 64  # blocks of one step that are kept, should step() never be called


class FindingError(RuntimeError):
    """What ``on_finding="raise"`` raises; ``findings`` are those of the step, the worst first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(finding.message for finding in self.findings))


class FindingWarning(UserWarning):
    """What ``on_finding="warn"`` warns with."""


class Monitor:
    """Watch a training: record at scheduled steps, apply rules, keep a history, feed sinks.

    ::

        mon = sg.Monitor(model, every=50)
        for x, y in loader:
            with mon:
                loss = loss_fn(model(x), y)
                loss.backward()
            findings = mon.step(loss=loss)
            optimizer.step()
            optimizer.zero_grad()

    **What it costs.** Outside the schedule nothing is recorded, and nothing is read from the device. At a scheduled
    step forward and backward leave small tensors on the device; ``step()`` brings all of them to the CPU at once.

    **What it survives.** Several blocks, backwards and calls of a layer in one step (figures and history show the last
    pass, NonFinite and Exploding look at all; states are looked at in the first 32 calls), ``retain_graph``, zero_grad
    anywhere, an exception inside the block (a later ``step()`` judges what was recorded by then), activation
    checkpointing (a recomputed forward counts once, in the backward that asked for it), torch.compile (with breaks in
    the graph at scheduled steps), and models wrapped by torch.compile, DataParallel or DistributedDataParallel, whose
    prefixes the names leave out. Complex layers show the size of their states and their parameters' gradients, and no
    norms at each timestep. Under torch.distributed every rank watches itself: findings carry its number. Nested
    monitors, and two on one model, do not disturb each other.

    **AMP.** Hand the GradScaler to ``step`` *before* ``scaler.update()``: norms are divided by the scale that the
    scaler holds then, which is that of this backward. Gradients that ``scaler.unscale_`` has divided already must not
    be inside the block.

    Args:
        model: holds at least one seqgrad layer; ``seqgrad.convert_(model)`` makes them of torch.nn's.
        every: observe steps 0, every, 2 every, ...
        rules: what to check; None: ``seqgrad.rules.default()``.
        sinks: where observed steps and findings go: ``seqgrad.sinks``. One that raises is reported once, by a
            warning, and never stops the training.
        on_finding: about findings of severity warning and error that the step before did not have: "warn" warns once
            for each, "raise" raises :class:`FindingError` after history and sinks have it, a callable is called with
            each new finding, "info" included, and None keeps silent. ``step()`` returns all of them in any case.
        log: also observe steps 1, 2, 4, 8, ... below ``every``.
        first: also observe so many steps at the start.
        keep: newest observed steps that the history keeps in full; older ones are thinned, see
            :class:`~seqgrad.history.History`. None keeps all.
        start: number of the first step, for a training that goes on.

    Raises:
        TypeError, ValueError: bad arguments, or a model without any seqgrad layer.

    Example:
        >>> import torch, seqgrad as sg
        >>> model = sg.RNN(3, 16)
        >>> mon = sg.Monitor(model, every=10, on_finding=None)
        >>> with mon:
        ...     model(torch.randn(80, 4, 3))[0][-1].sum().backward()
        >>> [(f.rule, f.series) for f in mon.step()]
        [('Vanishing', 'l0')]
    """

    def __init__(
        self,
        model: nn.Module,
        every: int = 50,
        rules: Iterable[Rule] | None = None,
        sinks: Iterable[Sink] = (),
        on_finding: OnFinding = "warn",
        *,
        log: bool = True,
        first: int = 3,
        keep: int | None = 256,
        start: int = 0,
    ) -> None:
        self.model = unwrap(model)
        self._layers = checked_layers(self.model)
        self.every, self.first = count("every", every, 1), count("first", first, 0)
        if not isinstance(log, bool):
            meant = f": give it as sinks=[{type(log).__name__}(...)]" if isinstance(log, Sink) else ""
            raise TypeError(f"log must be True or False, whether to observe steps 1, 2, 4, 8, ... below every, got "
                            f"{type(log).__name__} {log!r}{meant}")  # fmt: skip
        self.log = log
        self.rules = rules_module.default() if rules is None else listed("rules", rules, rules_module.Rule)
        for rule in self.rules:
            if not isinstance(rule, rules_module.Rule) or isinstance(rule, type):
                raise TypeError(f"rules must have a name and check(observation), got {type(rule).__name__} {rule!r}")
        self.sinks = listed("sinks", sinks, Sink)
        for sink in self.sinks:
            if not isinstance(sink, Sink):
                raise TypeError(f"sinks must be seqgrad.sinks, such as sinks.JSONL(path), got {type(sink).__name__}")
        if on_finding not in ("warn", "raise", None) and not callable(on_finding):
            raise ValueError(f'on_finding must be "warn", "raise", a callable or None, got {on_finding!r}')
        self.on_finding = on_finding
        self.start = count("start", start, 0)
        self.rank = current_rank()
        self.history = History(keep)
        self._step = self.start
        self._depth = 0
        self._block: Block | None = None
        self._blocks: list[Block] = []
        self._due = self.is_due(self._step)
        self._entered = False  # a block was entered since the last step()
        self._marker: int | None = None
        self._clearing: Clearing | None = None
        self._weights: dict[str, Tensor] = {}  # norms at the beginning of this step
        self._moving: Movement | None = None  # begun with the last observed step
        self._moved: Movement | None = None  # measured when the step after it began
        self._running: dict[tuple[str, str, str], Finding] = {}  # findings of the last observed step
        self._told: set[str] = set()
        self._level = next((r.level for r in self.rules if isinstance(r, rules_module.Saturation)), 0.99)

    # -- schedule ------------------------------------------------------------------------------------------------------
    def is_due(self, step: int) -> bool:
        """Whether this step is observed."""
        step -= self.start
        early = step < self.first or (self.log and step < self.every and step & (step - 1) == 0)
        return early or (step + self.start) % self.every == 0

    @property
    def next_step(self) -> int:
        """Number of the step that the coming ``step()`` ends."""
        return self._step

    # -- block ---------------------------------------------------------------------------------------------------------
    def __enter__(self) -> Monitor:
        self._depth += 1
        if self._depth > 1:
            return self
        if not self._entered:
            self._entered = True
            if self._due or self._moving is not None:
                self._begin()
        if self._due:
            if len(self._blocks) >= _BLOCKS:
                self._tell_once(
                    f"{len(self._blocks)} blocks since the last Monitor.step(): call step() after every training step; "
                    "further blocks are not recorded"
                )
                return self
            clearing = self._clearing if not self._blocks else None
            layout = len(self.history) < LAYOUT_STEPS
            self._block = Block(self.model, self._weights, self._level, layout, self._marker, clearing)
            self._block.start()
        return self

    def _begin(self) -> None:
        """Once per training step, before its first forward: what spans two steps is measured here."""
        if self._moving is not None:
            self._moving.measure()
            self._moved, self._moving = self._moving, None
        if self._due:
            parameters = named(self._layers)
            self._weights = norms(parameters.items())
            self._moving = Movement(self._step, self._layers, parameters, self._weights)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth or self._block is None:
            return
        block = self._close()
        if isinstance(error, RuntimeError) and "backward through the graph a second time" in str(error):
            _explain(error, block)

    def _close(self) -> Block:
        block, self._block = self._block, None
        assert block is not None
        block.stop()
        self._blocks.append(block)
        return block

    # -- step ----------------------------------------------------------------------------------------------------------
    def step(self, loss: Tensor | float | None = None, scaler: Any = None) -> list[Finding]:
        """End a training step; at a scheduled one, judge it.

        Call it once per training step, after the block; before ``scaler.update()`` with AMP.

        Args:
            loss: of this step, a number or a tensor of one element, unscaled: for the history and for LearningRate.
            scaler: the GradScaler whose ``scale(loss)`` was called backward on, or its scale as a number.

        Returns:
            All findings of this step, the worst first; empty outside the schedule.

        Raises:
            FindingError: with ``on_finding="raise"``, on a new finding of severity warning or error.
        """
        step, entered = self._step, self._entered
        self._entered = False
        self._step += 1
        if not self._due:
            self._prepare()
            return []
        if self._block is not None:  # called inside the block
            self._close()
        blocks, self._blocks = self._blocks, []
        try:
            if not entered:
                self._tell_once(
                    f"Monitor.step() ended step {step}, and nothing was recorded: run forward and backward inside "
                    "`with monitor:`"
                )
                return []
            return self._judge(step, blocks, loss, scaler)
        finally:
            self._prepare()

    def _prepare(self) -> None:
        """For the next step, if it is a scheduled one."""
        self._due = self.is_due(self._step)
        if self._due:
            self._marker = graph_marker()
            self._clearing = Clearing(self._layers)

    def _judge(self, step: int, blocks: list[Block], loss: Tensor | float | None, scaler: Any) -> list[Finding]:
        moved, self._moved = self._moved, None
        seen = Block.observe(step, blocks, number(loss), moved, scale(scaler), self.history, self.rank, self._running)
        if not seen.record and not seen.facts:
            reason = "no seqgrad layer of the model ran with grad mode on"
            self._tell_once(f"nothing was recorded at step {step}: {reason} inside `with monitor:`")
            return []
        findings = worst_first(self._with_since(self._apply(seen)))
        new = [finding for finding in findings if finding.identity not in self._running]
        self._running = {finding.identity: finding for finding in findings}
        if not self.history.header:
            self.history.header = self._header()
        entry = seen.entry()
        self.history.append(entry, new)
        for sink in self.sinks:
            self._feed(sink, lambda sink=sink: sink.write(self.history, entry, new))  # type: ignore[misc]
        self._report(new)
        return findings

    def _apply(self, seen: Observation) -> list[Finding]:
        findings: list[Finding] = []
        for rule in self.rules:
            try:
                findings += rule.check(seen)
            except Exception as error:  # noqa: BLE001 - a rule, perhaps the user's own, must not end a training
                self._tell_once(
                    f"rule {rule.name} failed at step {seen.step} and was passed over: {error!r}", rule.name
                )
        return findings

    def _with_since(self, findings: list[Finding]) -> list[Finding]:
        result = []
        for finding in findings:
            if finding.since is None:  # of a rule that makes its findings itself
                before = self._running.get(finding.identity)
                finding = replace(finding, since=finding.step if before is None else before.since)
            result.append(finding)
        return result

    def _report(self, new: list[Finding]) -> None:
        serious = [finding for finding in new if finding.severity != "info"]
        if self.on_finding == "warn":
            for finding in serious:
                warnings.warn(finding.message, FindingWarning, stacklevel=4)
        elif self.on_finding == "raise":
            if serious:
                raise FindingError(serious)
        elif callable(self.on_finding):
            for finding in new:
                self.on_finding(finding)

    # -- sinks ---------------------------------------------------------------------------------------------------------
    def _header(self) -> dict[str, Any]:
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        facts: dict[str, Any] = {"model": type(self.model).__name__, "device": str(device), "every": self.every}
        facts |= {"start": self.start, "layers": {name: type(m).__name__ for name, m in self._layers.items()}}
        if self.rank is not None:
            facts["rank"] = self.rank
        return {**run_header(), **facts}

    def _feed(self, sink: Sink, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a full disk must not end a training
            self._tell_once(f"sink {type(sink).__name__} failed and misses what came: {error!r}", f"sink {id(sink)}")

    def close(self) -> None:
        """Close the sinks. Files are complete without it; writing on opens them again."""
        for sink in self.sinks:
            self._feed(sink, sink.close)

    def _tell_once(self, text: str, about: str | None = None) -> None:
        about = text.partition(":")[2] if about is None else about
        if about not in self._told:
            self._told.add(about)
            warnings.warn(text, stacklevel=4)

    def __repr__(self) -> str:
        layers = ", ".join(f"{name or type(m).__name__}" for name, m in self._layers.items())
        return f"<Monitor of {layers}: every {self.every} steps, at step {self._step}, {self.history!r}>"


def _explain(error: RuntimeError, block: Block) -> None:
    attached = next((facts for facts in block.facts if facts.attached), None)
    if attached is not None and hasattr(error, "add_note"):
        place = " ".join(part for part in (attached.layer, attached.series) if part)
        error.add_note(
            f"seqgrad: the state handed to {place} hangs on the graph of an earlier training step; "
            "cut it first: seqgrad.detach(state)"
        )


__all__ = ["FindingError", "FindingWarning", "Monitor"]
