"""``python -m seqgrad``: the same as the command ``seqgrad``."""

from __future__ import annotations

from seqgrad.cli import main

if __name__ == "__main__":
    main()
