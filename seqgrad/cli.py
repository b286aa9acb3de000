"""The command ``seqgrad``. Its commands live in ``_commands.py``; here is what to say when click is missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    main: Any
else:
    try:
        import click  # noqa: F401
    except ImportError:

        def main() -> None:
            """Say what to install and leave with exit code 2."""
            sys.stderr.write("the command line needs click: pip install 'seqgrad[cli]'\n")
            raise SystemExit(2)
    else:
        from seqgrad._commands import main

__all__ = ["main"]
