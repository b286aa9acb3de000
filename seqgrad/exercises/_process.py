"""Judge an answer in a process of its own: an endless loop or a crash in it ends there, and is told as such."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from seqgrad.exercises._exercise import Exercise, Outcome

PRINTED = 4000  # characters of an answer's output that are passed on


def check(exercise: Exercise, path: Path, *, seconds: float = 60.0) -> Outcome:
    """Run the answer in the file ``path`` and judge it, in ``seconds`` at most, the start of Python included."""
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder, "result.json"), Path(folder, "printed.txt")
        command = [sys.executable, "-m", "seqgrad.exercises._answer", exercise.name, str(path.resolve()), str(result)]
        # No window, and one thread: these networks are too small to share out.
        environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with open(log, "wb") as output:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True,
            )  # fmt: skip
            try:
                code = child.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(child)
        printed = log.read_text(encoding="utf-8", errors="replace")[-PRINTED:]
        if code is None:
            return Outcome("timeout", {"seconds": seconds}, printed)
        if not result.exists():
            return Outcome("died", {"how": _how(code)}, printed)
        return Outcome(**json.loads(result.read_text(encoding="utf-8")), printed=printed)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started, also on Ctrl-C, which its session of its own keeps from it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
