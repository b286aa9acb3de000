"""Sinks: where a monitor's observed steps and findings go. A sink that raises never stops a training."""

from __future__ import annotations

import csv
import os
import weakref
from collections.abc import Callable as Function
from pathlib import Path
from typing import IO, Any

from seqgrad import _run_file
from seqgrad._finding import Finding
from seqgrad.history import Entry, History

__all__ = ["CSV", "JSONL", "Callable", "Log", "Sink", "TensorBoard"]

_SCALARS = ("ratio", "horizon", "decay", "transmission")


class Sink:
    """Base of all sinks: override :meth:`write`.

    Example:
        >>> from seqgrad import sinks
        >>> class Losses(sinks.Sink):
        ...     def write(self, history, entry, findings):
        ...         self.last = entry.loss
    """

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        """One observed step, already appended to ``history``, and what was newly found at it."""
        raise NotImplementedError(f"{type(self).__name__} must define write(history, entry, findings)")

    def close(self) -> None:
        """Release what is open. A later :meth:`write` opens it again."""


class _FileSink(Sink):
    """One file, open for the length of the training; closed at the latest when the sink is gone."""

    _file: IO[Any] | None = None
    _end: weakref.finalize[..., _FileSink] | None = None

    def _hold(self, file: IO[Any]) -> None:
        self._file, self._end = file, weakref.finalize(self, file.close)

    def close(self) -> None:
        """Close the file."""
        if self._end is not None:
            self._end()
        self._file = self._end = None


class JSONL(_FileSink):
    """Write a run file, one JSON object per line, each with a single write and flush: a killed run leaves it readable.

    ``History.load(path)``, ``seqgrad show`` and ``seqgrad report`` read it, also while it grows. The file is opened at
    the first observed step. If it exists, the new run is added behind a header of its own, and a line that a kill has
    torn is removed. Under torch.distributed rank r > 0 writes ``name.rank<r>.jsonl`` beside it.

    Example:
        >>> import os, tempfile, torch, seqgrad as sg
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "run.jsonl")
        >>> rnn = sg.RNN(3, 8)
        >>> mon = sg.Monitor(rnn, every=1, sinks=[sg.sinks.JSONL(path)])
        >>> with mon:
        ...     rnn(torch.randn(5, 2, 3))[0].sum().backward()
        >>> _ = mon.step()
        >>> mon.close()
        >>> sg.History.load(path).steps
        [0]
        >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._begun = False

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        """One line for the step, one for each finding."""
        if self._file is None:
            self._open(history)
        self._line(entry.to_dict())
        for finding in findings:
            self._line({"kind": "finding", **finding.to_dict()})

    def _open(self, history: History) -> None:
        path = _of_rank(self.path, history)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab+", buffering=0)  # noqa: SIM115 - stays open for the length of the training
        self._hold(file)
        _mend(file)
        if not self._begun:
            self._line(history.header)
            self._begun = True

    def _line(self, entry: dict[str, Any]) -> None:
        assert self._file is not None
        line = _run_file.encode(entry).encode()
        if self._file.write(line) != len(line):  # unbuffered: nothing to flush
            raise OSError(f"{self.path}: only part of a line could be written; is the disk full?")


def _of_rank(path: Path, history: History) -> Path:
    """Two processes that append to one file would tear each other's lines: rank r > 0 has a file of its own."""
    rank = history.header.get("rank") or 0
    return path.with_name(f"{path.stem}.rank{rank}{path.suffix}") if rank else path


def _mend(file: IO[bytes]) -> None:
    """Remove a torn last line, or end a whole one that lacks its newline."""
    file.seek(0)
    good, last = 0, b""
    for line in file:
        good, last = good + len(last), line
    if last and not last.endswith(b"\n"):
        if _run_file.torn(last):
            file.truncate(good)
        else:
            file.write(b"\n")
    file.seek(0, os.SEEK_END)


def scalars(entry: Entry) -> dict[str, float]:
    """An entry as flat numbers by name: ``loss``, the model's figures, and at most six per series."""
    flat = {} if entry.loss is None else {"loss": entry.loss}
    flat |= entry.figures
    for name, series in entry.series.items():
        norms = series.norms["grad_h"]
        if len(norms):
            flat[f"{name}/first"] = float(norms[0])
            flat[f"{name}/last"] = float(norms[-1])
        flat |= {f"{name}/{figure}": series.figures[figure] for figure in _SCALARS if figure in series.figures}
    return flat


class TensorBoard(Sink):
    """Scalars, findings as text and a heatmap, into a ``torch.utils.tensorboard.SummaryWriter``.

    Per series at most six scalars: the norm at the first and at the last timestep, ratio, horizon, decay and
    transmission. The writer stays yours to close.

    Args:
        writer: anything with ``add_scalar(tag, value, step)``; ``add_text`` and ``add_figure`` are used if it has them.
        figures: draw the heatmap of every series at every so many observed steps, 0 for never. Needs matplotlib.
        prefix: before every tag.

    Raises:
        TypeError: ``writer`` has no ``add_scalar``.
    """

    def __init__(self, writer: Any, *, figures: int = 20, prefix: str = "seqgrad") -> None:
        if not hasattr(writer, "add_scalar"):
            raise TypeError(
                f"writer must be a SummaryWriter or have add_scalar(tag, value, step), got {type(writer).__name__}; "
                "build one: torch.utils.tensorboard.SummaryWriter()"
            )
        if isinstance(figures, bool) or not isinstance(figures, int) or figures < 0:
            raise ValueError(f"figures must be an int >= 0, got {figures!r}")
        self.writer, self.figures, self.prefix = writer, figures, prefix
        self._seen = 0

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        """Scalars, findings, and now and then a heatmap."""
        for name, value in scalars(entry).items():
            self.writer.add_scalar(f"{self.prefix}/{name}", value, entry.step)
        if findings and hasattr(self.writer, "add_text"):
            text = "\n\n".join(f"**{finding.rule}** ({finding.severity}) {finding.message}" for finding in findings)
            self.writer.add_text(f"{self.prefix}/findings", text, entry.step)
        self._seen += 1
        if self.figures and self._seen % self.figures == 0 and hasattr(self.writer, "add_figure"):
            self._draw(history, entry)

    def _draw(self, history: History, entry: Entry) -> None:
        from seqgrad import display

        for name in entry.series:
            sheet = display.figure(history, "heatmap", name=name)
            self.writer.add_figure(f"{self.prefix}/{name}/heatmap", sheet, entry.step, close=True)


class Callable(Sink):
    """Call ``function(line)`` with each observed step and finding: the dicts that a run file has as lines."""

    def __init__(self, function: Function[[dict[str, Any]], object]) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {type(function).__name__}")
        self.function = function

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        """One call for the step, one for each finding."""
        self.function(entry.to_dict())
        for finding in findings:
            self.function({"kind": "finding", **finding.to_dict()})


class Log(Sink):
    """Flat numbers into anything with ``log(dict, step=...)``: a Weights & Biases run, MLflow- and Comet-like loggers.

    The same scalars as :class:`TensorBoard`, and ``seqgrad/findings``, how many are new.
    """

    def __init__(self, run: Any, *, prefix: str = "seqgrad") -> None:
        if not callable(getattr(run, "log", None)):
            raise TypeError(f"run must have log(dict, step=...), got {type(run).__name__}")
        self.run, self.prefix = run, prefix

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        """One call of ``run.log``."""
        numbers: dict[str, float] = {f"{self.prefix}/{name}": value for name, value in scalars(entry).items()}
        numbers[f"{self.prefix}/findings"] = len(findings)
        self.run.log(numbers, step=entry.step)


class CSV(_FileSink):
    """A row per observed step and series: step, loss, series, its figures, and the rules that newly fired there.

    Under torch.distributed rank r > 0 writes ``name.rank<r>.csv`` beside it.
    """

    COLUMNS = ("step", "loss", "series", "first", "last", *_SCALARS, "findings")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        """A row per series."""
        if self._file is None:
            path = _of_rank(self.path, history)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._hold(open(path, "a", newline="", encoding="utf-8"))  # noqa: SIM115 - stays open
            assert self._file is not None
            if self._file.tell() == 0:
                csv.writer(self._file).writerow(self.COLUMNS)
        numbers = scalars(entry)
        rows = csv.writer(self._file)
        for name in entry.series:
            values = [numbers.get(f"{name}/{figure}", "") for figure in ("first", "last", *_SCALARS)]
            fired = " ".join(finding.rule for finding in findings if finding.key == name)
            rows.writerow([entry.step, "" if entry.loss is None else entry.loss, name, *values, fired])
        self._file.flush()
