"""The compiler, the disassembler, and the flags and architectures of the product's own build."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sysconfig
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
ADVICE = (
    "Install the pinned compiler: pip install '.[nvcc]' (`make cuda` does), or set CUDA_HOME to a toolkit with bin/nvcc"
)


class ToolkitError(RuntimeError):
    """No usable compiler or disassembler, or one that failed where it may not."""


def run(command: list[str | Path], **options: str | Path) -> str:
    """Standard output of a command that must succeed.

    Raises:
        ToolkitError: it did not; the message holds the command and what it said.
    """
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=options.get("cwd"))
    if done.returncode:
        raise ToolkitError(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class Toolkit:
    """A folder with bin/nvcc and include/, and an nvdisasm that may live elsewhere."""

    def __init__(self, home: Path, nvdisasm: Path) -> None:
        self.home = home
        self.nvcc = home / "bin" / "nvcc"
        self.nvdisasm = nvdisasm

    @cached_property
    def release(self) -> str:
        """What nvcc calls itself, e.g. ``13.0.88``: registers are counted for one compiler."""
        found = re.search(r"\bV(\d+\.\d+\.\d+)", run([self.nvcc, "--version"]))
        if found is None:
            raise ToolkitError(f"{self.nvcc} --version names no release")
        return found[1]


def pinned_homes() -> list[Path]:
    """Where NVIDIA's wheels put a toolkit, in this environment."""
    return sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/cu*"), reverse=True)


def is_toolkit(home: Path) -> bool:
    """Whether kernels can be compiled with it: torch brings parts of a toolkit, without a compiler."""
    parts = ("bin/nvcc", "bin/ptxas", "include/cuda_runtime.h", "include/cuda_occupancy.h")
    return all((home / part).is_file() for part in parts)


def find_home() -> Path:
    """CUDA_HOME decides alone; else the pinned compiler of this environment, the nvcc on PATH, /usr/local/cuda.

    Raises:
        ToolkitError: none of them can compile kernels.
    """
    said = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    homes = [Path(said)] if said else [*pinned_homes(), Path("/usr/local/cuda")]
    if not said and (nvcc := shutil.which("nvcc")):
        homes.insert(-1, Path(nvcc).resolve().parent.parent)
    for home in homes:
        if is_toolkit(home):
            return home
    raise ToolkitError(f"no CUDA compiler in {', '.join(map(str, homes))}. {ADVICE}")


def find_nvdisasm(home: Path) -> Path:
    """In the toolkit, from the wheel, on PATH, or in the triton package that torch with CUDA brings.

    Raises:
        ToolkitError: nowhere.
    """
    folders = [home / "bin", *(pinned / "bin" for pinned in pinned_homes())]
    if on_path := shutil.which("nvdisasm"):
        folders.append(Path(on_path).parent)
    folders.append(Path(sysconfig.get_paths()["purelib"]) / "triton" / "backends" / "nvidia" / "bin")
    for folder in folders:
        if (folder / "nvdisasm").is_file():
            return folder / "nvdisasm"
    raise ToolkitError(f"no nvdisasm in {', '.join(map(str, folders))}. {ADVICE}")


def find_toolkit() -> Toolkit:
    """The toolkit to use.

    Raises:
        ToolkitError: a part is missing; the message says which and how to get it.
    """
    home = find_home()
    return Toolkit(home, find_nvdisasm(home))


class Build(NamedTuple):
    """How the product's kernels are compiled."""

    architectures: tuple[int, ...]
    flags: tuple[str, ...]


def literal(text: str, name: str) -> tuple[str, ...]:
    """The tuple of strings assigned to ``name`` at the top of a Python source.

    Raises:
        ToolkitError: there is none.

    Example:
        >>> literal('FLAGS = ("-O3", "-g")', "FLAGS")
        ('-O3', '-g')
    """
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            value = ast.literal_eval(node.value)
            if isinstance(value, tuple) and value and all(isinstance(item, str) for item in value):
                return value
    raise ToolkitError(f"setup.py assigns no tuple of strings to {name}: the gates compile as the product does")


def product_build() -> Build:
    """Architectures and flags as setup.py and torch's extension builder have them."""
    from torch.utils.cpp_extension import COMMON_NVCC_FLAGS

    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    architectures = tuple(sorted(int(a.replace(".", "")) for a in literal(text, "ARCHITECTURES")))
    common = [flag for flag in COMMON_NVCC_FLAGS if not flag.startswith("-D__CUDA_NO")]  # setup.py undefines these
    return Build(architectures, (*common, "-std=c++20", *literal(text, "NVCC_FLAGS")))
