"""History: what a monitored training looked like, step by step, in bounded memory; saved and loaded as a run file."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqgrad import _run_file
from seqgrad._finding import Finding, Findings

if TYPE_CHECKING:
    import pandas

QUANTITIES = ("grad_h", "grad_carry", "grad_c", "clip_hits", "h")
FINDINGS_KEPT = 10_000


class SeriesEntry:
    """One series at one training step. ``norms[quantity]`` is ``[T]`` float64 on the CPU, in input-time order.

    Quantities: grad_h, grad_carry, grad_c (norm over the batch), clip_hits (samples clipped) and h (root mean square
    of the hidden state's elements); those that the series has. ``figures`` may be given as a call, made when they are
    first asked for.
    """

    def __init__(
        self,
        norms: dict[str, Tensor],
        figures: dict[str, float] | Callable[[], dict[str, float]],
        reverse: bool = False,
        cell: str = "",
    ) -> None:
        self.norms, self.reverse, self.cell = norms, reverse, cell
        self._figures = figures

    @property
    def figures(self) -> dict[str, float]:
        """ratio, horizon, decay, half_life and transmission, by name."""
        if not isinstance(self._figures, dict):
            self._figures = self._figures()
        return self._figures

    @cached_property
    def peak(self) -> float:
        """Largest finite norm of grad_h over the timesteps; nan if there is none."""
        values = self.norms["grad_h"].tolist() if "grad_h" in self.norms else []
        return max((value for value in values if math.isfinite(value)), default=math.nan)

    def to_dict(self) -> dict[str, Any]:
        """As the run file has it: the quantities by name, then figures, reverse, cell."""
        norms = {quantity: values.tolist() for quantity, values in self.norms.items()}
        return {**norms, "figures": dict(self.figures), "reverse": self.reverse, "cell": self.cell}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SeriesEntry:
        """Undo :meth:`to_dict`."""
        norms = {
            q: torch.tensor([_run_file.number(v) for v in fields[q]], dtype=torch.float64)
            for q in QUANTITIES
            if isinstance(fields.get(q), list)
        }
        figures = {name: _run_file.number(value) for name, value in fields.get("figures", {}).items()}
        return cls(norms, figures, bool(fields.get("reverse", False)), str(fields.get("cell", "")))


@dataclass(frozen=True, eq=False)
class Entry:
    """What was kept of one observed training step."""

    step: int
    series: dict[str, SeriesEntry]
    loss: float | None = None
    figures: dict[str, float] = field(default_factory=dict)  # of the whole model: grad_norm, weight_norm, update ...

    def to_dict(self) -> dict[str, Any]:
        """As the run file has it."""
        line: dict[str, Any] = {"kind": "step", "step": self.step}
        if self.loss is not None:
            line["loss"] = self.loss
        line["series"] = {name: series.to_dict() for name, series in self.series.items()}
        if self.figures:
            line["figures"] = dict(self.figures)
        return line

    @classmethod
    def from_dict(cls, line: dict[str, Any]) -> Entry:
        """Undo :meth:`to_dict`."""
        loss = line.get("loss")
        return cls(
            int(line["step"]),
            {str(name): SeriesEntry.from_dict(series) for name, series in line["series"].items()},
            None if loss is None else _run_file.number(loss),
            {name: _run_file.number(value) for name, value in line.get("figures", {}).items()},
        )


class History:
    """The observed steps of one training, oldest first.

    **Memory is bounded.** The newest ``keep`` entries are all there. Of those before them every 1st, 2nd, 4th ... is
    kept: whenever more than ``keep`` have gathered, every second one is dropped, the very first stays, and from then
    on half as many are taken. So a long training is seen evenly, and its end in full, in at most ``2 * keep`` entries.
    An entry takes 8 bytes per series, quantity and timestep. Of findings, the first of every unbroken run is kept, up
    to 10 000.

    Attributes:
        findings: every :class:`~seqgrad.rules.Finding` that was new when it was seen.
        header: facts about the run: versions, device, schedule.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.GRU(4, 8)
        >>> mon = sg.Monitor(rnn, every=1, on_finding=None)
        >>> for _ in range(3):
        ...     with mon:
        ...         rnn(torch.randn(20, 2, 4))[0].mean().backward()
        ...     _ = mon.step()
        >>> mon.history.matrix("l0").shape
        torch.Size([3, 20])
    """

    def __init__(self, keep: int | None = 256, *, header: dict[str, Any] | None = None) -> None:
        if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 1):
            raise ValueError(f"keep must be a positive int, or None to keep every step, got {keep!r}")
        self.keep = keep
        self.header: dict[str, Any] = dict(header or {})
        self.findings = Findings()
        self._old: list[Entry] = []
        self._new: list[Entry] = []
        self._left = 0  # entries that have left the newest
        self._stride = 1  # every so many of them stay

    # -- filling -------------------------------------------------------------------------------------------------------
    def append(self, entry: Entry, findings: Iterable[Finding] = ()) -> None:
        """Add the newest step and what was newly found at it.

        Raises:
            ValueError: ``entry`` is not newer than the last one.
        """
        if self._new and entry.step <= self._new[-1].step:
            raise ValueError(f"steps must rise: got step {entry.step} after step {self._new[-1].step}")
        self._new.append(entry)
        self.findings += findings
        del self.findings[:-FINDINGS_KEPT]
        if self.keep is None or len(self._new) <= self.keep:
            return
        oldest = self._new.pop(0)
        if self._left % self._stride == 0:
            self._old.append(oldest)
        self._left += 1
        if len(self._old) > self.keep:
            self._old = self._old[::2]
            self._stride *= 2

    # -- reading -------------------------------------------------------------------------------------------------------
    @property
    def entries(self) -> list[Entry]:
        """All that is kept, oldest first."""
        return self._old + self._new

    @property
    def steps(self) -> list[int]:
        """Training steps of the entries."""
        return [entry.step for entry in self.entries]

    @property
    def losses(self) -> list[float]:
        """The loss handed to ``Monitor.step`` at each entry, nan where none was."""
        return [float("nan") if entry.loss is None else entry.loss for entry in self.entries]

    @property
    def series(self) -> tuple[str, ...]:
        """Full names of all series, such as ``encoder.rnn.l0``, in order of first appearance."""
        return tuple(dict.fromkeys(name for entry in self.entries for name in entry.series))

    def __len__(self) -> int:
        return len(self._old) + len(self._new)

    def recent(self, count: int) -> list[Entry]:
        """The newest ``count`` entries, oldest first."""
        return self._new[-count:] if count <= len(self._new) else self.entries[-count:]

    def reverse(self, name: str) -> bool:
        """Whether the series runs from the last timestep to the first."""
        return next(entry.series[name].reverse for entry in self._having(name))

    def lengths(self, name: str) -> list[int]:
        """How many timesteps the series had at each entry, 0 where it has none: the rest of its row is padding."""
        self._having(name)
        rows = (self._row(entry, name, "grad_h") for entry in self.entries)
        return [0 if row is None else len(row) for row in rows]

    def quantities(self, name: str) -> tuple[str, ...]:
        """What :meth:`matrix` has of this series."""
        have = {quantity for entry in self._having(name) for quantity in entry.series[name].norms}
        return tuple(quantity for quantity in QUANTITIES if quantity in have)

    def matrix(self, name: str, quantity: str = "grad_h") -> Tensor:
        """``[S, T_max]`` float64: norm over the batch, a row per entry, a column per timestep; NaN where there is none.

        Raises:
            KeyError: no such series. ValueError: it has no such quantity.
        """
        have = self.quantities(name)
        if quantity not in have:
            raise ValueError(f"series {name!r} has no {quantity!r}; it has {', '.join(have)}")
        rows = [self._row(entry, name, quantity) for entry in self.entries]
        longest = max(len(row) for row in rows if row is not None)
        matrix = torch.full((len(rows), longest), float("nan"), dtype=torch.float64)
        for k, row in enumerate(rows):
            if row is not None:
                matrix[k, : len(row)] = row
        return matrix

    def figures(self, name: str) -> dict[str, list[float]]:
        """Figures of one series (ratio, horizon ...), each a list over the entries; nan where a step lacks it.

        Raises:
            KeyError: no such series.
        """
        names = dict.fromkeys(figure for entry in self._having(name) for figure in entry.series[name].figures)
        nan = float("nan")
        rows = [entry.series[name].figures if name in entry.series else {} for entry in self.entries]
        return {figure: [row.get(figure, nan) for row in rows] for figure in names}

    @staticmethod
    def _row(entry: Entry, name: str, quantity: str) -> Tensor | None:
        return entry.series[name].norms.get(quantity) if name in entry.series else None

    def _having(self, name: str) -> Iterator[Entry]:
        if name not in self.series:
            have = ", ".join(self.series) or "none, no step was observed yet"
            raise KeyError(f"no series {name!r} in this history; there are: {have}")
        return iter([entry for entry in self.entries if name in entry.series])

    # -- out -----------------------------------------------------------------------------------------------------------
    def to_pandas(self) -> pandas.DataFrame:
        """Long form, a row per step, series and timestep: step, loss, series, reverse, t, and the quantities.

        Raises:
            ImportError: pandas is missing; ``pip install 'seqgrad[pandas]'``.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'seqgrad[pandas]'") from error
        columns = ["step", "loss", "series", "reverse", "t", *QUANTITIES]
        frames = []
        for entry in self.entries:
            for name, series in entry.series.items():
                norms = {q: v.tolist() for q, v in series.norms.items()}
                size = len(next(iter(norms.values()), []))
                facts = {"step": entry.step, "loss": entry.loss, "series": name, "reverse": series.reverse}
                frames.append(pandas.DataFrame({**facts, "t": range(size), **norms}, columns=columns))
        table = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame(columns=columns)
        return table.astype(dict.fromkeys(("loss", *QUANTITIES), "float64"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a run file (JSON Lines), bit for bit; the file appears whole or not at all."""
        target = Path(path)
        scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with open(scratch, "x", encoding="utf-8", newline="\n") as file:
                file.write(_run_file.encode({**run_header(), **self.header}))
                waiting = list(self.findings)
                for entry in self.entries:
                    file.write(_run_file.encode(entry.to_dict()))
                    while waiting and (waiting[0].step is None or waiting[0].step <= entry.step):
                        file.write(_run_file.encode({"kind": "finding", **waiting.pop(0).to_dict()}))
                for finding in waiting:
                    file.write(_run_file.encode({"kind": "finding", **finding.to_dict()}))
            os.replace(scratch, target)
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, keep: int | None = None) -> History:
        """Read a run file, as :meth:`save` or ``sinks.JSONL`` wrote it, also while it is still being written.

        A last line torn by a kill is passed over with a warning. Of several runs in one file the last is read; one
        that goes on at a later step (``Monitor(start=...)``) joins what came before that step.

        Args:
            path: the file.
            keep: as in the constructor; None keeps every step.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: not a run file, damaged, or written by a newer seqgrad.
        """
        history = cls(keep)
        for line in _run_file.read(path):
            try:
                history = history._take(line, path)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(
                    f"{os.fspath(path)} is damaged: a line of kind {line.get('kind')!r}: {error!r}"
                ) from error
        return history

    def _take(self, line: dict[str, Any], path: str | os.PathLike[str]) -> History:
        kind = line.get("kind")
        if kind == "torn":
            warnings.warn(f"{os.fspath(path)}: line {line['line']} is torn and was left out", stacklevel=4)
        elif kind == "run":
            start = int(line.get("start", 0))
            facts = {name: value for name, value in line.items() if name not in ("kind",)}
            merged = History(self.keep, header=facts)
            for entry in self.entries:
                if entry.step < start:
                    merged.append(entry)
            merged.findings = Findings(f for f in self.findings if f.step is not None and f.step < start)
            return merged
        elif kind == "step":
            self.append(Entry.from_dict(line))
        elif kind == "finding":
            self.findings.append(Finding.from_dict(line))
        return self

    def plot(self, kind: str = "heatmap", name: str | None = None, **options: Any) -> Any:
        """Draw a "heatmap" (timestep by training step) or the "flow" (curves of a few training steps).

        Returns a display, see :func:`seqgrad.display.heatmap` and :func:`seqgrad.display.flow` for the options: of the
        series ``name``, or without it of each series in a panel of its own.

        Raises:
            ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.
            ValueError: no such kind.
        """
        from seqgrad import display

        if kind not in display.OF_HISTORY:
            raise ValueError(f"kind must be one of {', '.join(map(repr, display.OF_HISTORY))}, got {kind!r}")
        return display.OF_HISTORY[kind](self, name=name, **options)

    def _repr_html_(self) -> str:
        from seqgrad import _html

        return _html.history(self)

    def __repr__(self) -> str:
        steps = self.steps
        span = f", steps {steps[0]} to {steps[-1]}" if steps else ""
        return f"<History: {len(self)} entries{span}, {len(self.series)} series, {len(self.findings)} findings>"


def run_header() -> dict[str, Any]:
    """First line of a run file: what wrote it, and where."""
    from seqgrad._ext import build_info

    return {
        "seqgrad": build_info().version,
        "format": _run_file.FORMAT,
        "kind": "run",
        "torch": torch.__version__,
    }
