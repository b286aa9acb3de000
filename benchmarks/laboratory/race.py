"""Compile and run the race of variants (race.cpp) for this processor: a Markdown table, GFLOP/s of one thread.

python benchmarks/laboratory/race.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CSRC = HERE.parent.parent / "csrc"


def target() -> str:
    """The header of the best instruction set that this processor has."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.is_file() else []
    best = "avx512" if "avx512f" in flags else "avx2" if "avx2" in flags and "fma" in flags else "baseline"
    return f'"cpu/target_{best}.h"'


def main() -> None:
    """Build in a temporary folder, print the table."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise SystemExit("the race is a C++ program, and there is no g++")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "race"
        flags = ["-std=c++20", "-O3", f"-I{CSRC}", f"-DLABORATORY_TARGET={target()}"]
        subprocess.run([compiler, *flags, str(HERE / "race.cpp"), "-o", str(program)], check=True)
        subprocess.run([str(program)], check=True)


if __name__ == "__main__":
    main()
