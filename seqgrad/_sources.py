"""A fingerprint of the native sources: setup.py bakes it into the extension, ``_ext`` compares. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}


def digest(folder: Path) -> str:
    """Twelve hex digits over names and contents of all C++ and CUDA files under ``folder``.

    Example:
        >>> from pathlib import Path
        >>> len(digest(Path("csrc")))
        12
    """
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]
