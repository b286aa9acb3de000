"""What every experiment returns, and the small tools they share: seeds, progress, bounds on arguments."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from seqgrad.experiments import claims as _claims

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

Progress = Callable[[float, str], None]  # done in 0..1, what is being done


@dataclass
class Drawing:
    """A finished figure. Never shown by itself: ``figure_.savefig(...)`` or let a notebook display ``figure_``."""

    figure_: Figure
    ax_: Any  # one Axes, or an array of them


@dataclass
class Result:
    """Base of all results: claims, a table of rows, figures and the numbers the texts quote."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]  # the figures that plot() knows; the first is the default

    claims: list[_claims.Claim] = field(default_factory=list, kw_only=True)
    seconds: float = field(default=0.0, kw_only=True)

    def rows(self) -> list[dict[str, Any]]:
        """The measurements as a flat table, one dict a row."""
        raise NotImplementedError(f"{type(self).__name__} has to say what its rows are")

    def facts(self) -> dict[str, Any]:
        """Numbers and words quoted by the report's texts and the figures' alternative texts."""
        raise NotImplementedError(f"{type(self).__name__} has to say what its facts are")

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """Draw ``kind`` on an empty, already styled ``figure``; ``say`` gives a label in the chosen language."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it is drawn")

    def to_pandas(self) -> pandas.DataFrame:
        """The measurements as a pandas table; needs the extra ``[pandas]``."""
        try:
            import pandas
        except ImportError as missing:
            raise ImportError("to_pandas() needs pandas: pip install 'seqgrad[pandas]'") from missing
        return pandas.DataFrame(self.rows())

    def plot(self, kind: str | None = None, *, lang: str = "en", dark: bool = False) -> Drawing:
        """Draw one figure of this result; needs the extra ``[plot]``. ``kind`` is one of ``kinds``."""
        from seqgrad.experiments import _figures

        return _figures.render(self, one_of("kind", kind or self.kinds[0], self.kinds), lang=lang, dark=dark)

    def alt(self, kind: str, lang: str = "en") -> str:
        """The figure in words, with its measured numbers."""
        from seqgrad.experiments.texts import say

        return say(f"{self.name}.{one_of('kind', kind, self.kinds)}.alt", lang, **self.facts())

    def to_dict(self) -> dict[str, Any]:
        """Rows, facts, claims and time, ready for JSON (values that are not finite become strings)."""
        return {
            "name": self.name, "seconds": round(self.seconds, 2), "facts": plain(self.facts()),
            "rows": plain(self.rows()), "claims": [claim.to_dict() for claim in self.claims],
        }  # fmt: skip


def plain(value: Any) -> Any:
    """Make ``value`` strict JSON: NaN and Inf become the strings ``"nan"``, ``"inf"``, ``"-inf"``."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def one_of(argument: str, value: str, allowed: Sequence[str]) -> str:
    """``value`` if it is one of ``allowed``, else a ValueError that lists what exists."""
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(allowed)}; got {value!r}")
    return value


def positive(argument: str, value: int, *, at_least: int = 1) -> int:
    """``value`` if it is a whole number no smaller than ``at_least``, else an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be a whole number, got {type(value).__name__} {value!r}")
    if value < at_least:
        raise ValueError(f"{argument} must be at least {at_least}, got {value}")
    return value


def above_zero(argument: str, value: float) -> float:
    """``value`` if it is a finite number above 0, else a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{argument} must be a positive number, got {value!r}")
    return value


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block from a fixed seed, and give generator and thread count back as they were.

    On one thread: these networks are too small to share out, and sums then come in the same order on every machine.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def reporter(progress: bool | Progress, name: str) -> Progress:
    """Turn the argument ``progress`` into a function: silent, plain lines on stderr, or the caller's own."""
    if callable(progress):
        return progress
    if not progress:
        return lambda done, what: None

    def line(done: float, what: str) -> None:
        sys.stderr.write(f"{name}: {done:4.0%} {what}\n")

    return line


def spread_out(
    function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], *, workers: int, tell: Callable[[int], None]
) -> list[Any]:
    """``[function(*job) for job in jobs]``, in up to ``workers`` processes; ``tell(k)`` after the k-th that finishes.

    New processes, not forked ones: a fork of a process in which torch has started threads can hang. Ctrl-C reaches
    this process alone, which ends the others: each would print a traceback of its own.
    """
    if workers <= 1 or len(jobs) < 2:
        done = []
        for job in jobs:
            done.append(function(*job))
            tell(len(done))
        return done
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        with _deaf():  # inherited by the processes that submit starts
            futures = [pool.submit(function, *job) for job in jobs]
        for k, _ in enumerate(as_completed(futures), 1):
            tell(k)
        return [future.result() for future in futures]
    except BaseException:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()  # else leaving Python would wait for their work
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two middle ones for an even count. NaN sorts last."""
    ordered = sorted(values, key=lambda value: (value != value, value))
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
