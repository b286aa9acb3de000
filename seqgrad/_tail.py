"""A run file as it grows: each poll takes the lines that have come since, into a History of bounded memory."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from seqgrad import _run_file
from seqgrad.history import History

KEEP = 512  # newest entries kept whole; older ones are thinned


class Tail:
    """Reads on where it stopped.

    A line is taken when it is complete: one that is being written is left for the next poll. A file that was replaced
    or became shorter is read from its start.

    Attributes:
        path: the run file.
        history: what was read so far.
        torn: whether the file ends in a piece of a line.

    Raises:
        OSError: on ``poll``, the file cannot be read. ValueError: foreign, damaged, or from a newer seqgrad.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int | None = KEEP) -> None:
        self.path, self._keep = Path(path), keep
        self._restart(None)

    def _restart(self, identity: tuple[int, int] | None) -> None:
        self.history, self.torn = History(self._keep), False
        self._identity, self._offset, self._line = identity, 0, 0

    def poll(self) -> list[dict[str, Any]]:
        """The new lines, as dicts of kind "run", "step" or "finding"; already in ``history``."""
        with open(self.path, "rb") as file:
            facts = os.fstat(file.fileno())
            identity = facts.st_dev, facts.st_ino
            if identity != self._identity or facts.st_size < self._offset:
                self._restart(identity)
            file.seek(self._offset)
            data = file.read()
        lines = []
        self.torn = False
        for line in data.splitlines(keepends=True):
            if _run_file.torn(line):
                self.torn = True
                break
            self._offset += len(line)
            self._line += 1
            if line.strip():
                lines.append(self._take(line))
        if self._line == 0:
            raise ValueError(f"{self.path} is empty; a run file starts with a header line" if not data
                             else _run_file.foreign(str(self.path), data))  # fmt: skip
        return lines

    def _take(self, line: bytes) -> dict[str, Any]:
        entry = _run_file.parse(line, str(self.path), self._line, first=not self.history.header)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.history = self.history._take(entry, self.path)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{self.path} is damaged at line {self._line}: {error!r}") from error
        return entry
