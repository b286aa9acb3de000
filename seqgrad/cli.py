"""The command ``seqgrad``. Its commands live in ``_commands*.py``; here is what ties them."""

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
        from seqgrad._commands_exercises import check, exercises
        from seqgrad._commands_run import bench, report, show

        for command in (show, report, bench, exercises, check):
            main.add_command(command)

__all__ = ["main"]
