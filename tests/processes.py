"""Commands that tests start and interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

LIMIT = 120  # seconds after which a command is killed: none takes so long


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that heeds Ctrl-C and is gone at the end of the block, whatever happens in it.

    A background job of a shell without job control, as tests may be, ignores SIGINT, and so would what it starts.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, **options)
    finally:
        signal.signal(signal.SIGINT, before)

    def kill() -> None:
        with suppress(ProcessLookupError):
            if options.get("start_new_session"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()

    watchdog = threading.Timer(LIMIT, kill)
    watchdog.start()
    try:
        with process:
            try:
                yield process
            except BaseException:
                kill()
                raise
    finally:
        watchdog.cancel()
