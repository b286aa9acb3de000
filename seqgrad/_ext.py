"""Loads the native extension once and, where that fails, says why and what to do next.

The extension is no Python module: it registers its operators with torch when it is loaded, and they are then found
under ``torch.ops.seqgrad``.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import json
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import torch

from seqgrad._sources import digest

_PACKAGE = Path(__file__).resolve().parent
_FILE = "_C.abi3.so"
_REBUILD = "pip install --no-build-isolation -e ."
REBUILD_WITH_CUDA = "SEQGRAD_CUDA=1 pip install --no-build-isolation --force-reinstall --no-deps ."


class BuildInfo(NamedTuple):
    """What the loaded extension was built from. ``cuda_archs`` is empty in a build without CUDA code."""

    version: str
    torch: str
    compiler: str
    cuda: bool
    cuda_archs: str
    sources: str


class Extension(NamedTuple):
    """The loaded extension: its list of cells as ``(name, gates, states, saved)``, and what it was built from.

    ``cpu_engine``: whether the CPU engine stands behind tensors of the CPU; in a test, the emulated CUDA engine does.
    """

    CELLS: tuple[tuple[str, int, int, int], ...]
    info: BuildInfo
    cpu_engine: bool


@functools.cache
def extension(package: Path = _PACKAGE) -> Extension:
    """Load ``_C.abi3.so`` from the folder ``package``, once.

    Raises:
        ImportError: the extension is missing, or this torch cannot load it; the message says why and what to do.

    Warns:
        UserWarning: the sources beside it have changed since it was built.

    Example:
        >>> from seqgrad import _ext
        >>> [name for name, *_ in _ext.extension().CELLS][-1]
        'lstm'
    """
    path = package / _FILE
    if not path.is_file():
        raise ImportError(_why_missing(package))
    try:
        torch.ops.load_library(str(path))
    except (OSError, RuntimeError) as error:
        loader = error.__cause__ or error  # newer torch wraps what the system's loader said
        raise ImportError(_why_unloadable(path, str(loader))) from error
    facts = json.loads(torch.ops.seqgrad.build_info())
    cells = tuple((str(name), int(gates), int(states), int(saved)) for name, gates, states, saved in facts.pop("cells"))
    cpu_engine = bool(facts.pop("cpu_engine"))
    info = BuildInfo(**facts)
    _warn_if_stale(package, info)
    return Extension(cells, info, cpu_engine)


class Warnings:
    """What native code wants to warn of (csrc/warnings.h): the self-check of CUDA kernels at their first use.

    Example:
        >>> from seqgrad import _ext
        >>> _ext.Warnings().take()
        []
    """

    def __init__(self, package: Path = _PACKAGE) -> None:
        extension(package)
        library = ctypes.CDLL(str(package / _FILE))  # the loaded one once more
        self.waiting = ctypes.c_int32.in_dll(library, "seqgrad_warnings_waiting")
        self._take, self._keep = library.seqgrad_take_warnings, library.seqgrad_keep_warning
        self._take.argtypes, self._take.restype = [], ctypes.c_char_p
        self._keep.argtypes, self._keep.restype = [ctypes.c_char_p], None

    def take(self) -> list[str]:
        """The warnings that wait, oldest first; afterwards there are none."""
        return self._take().decode().splitlines()

    def keep(self, line: str) -> None:
        """Add one, as native code does."""
        self._keep(line.encode())


def build_info() -> BuildInfo:
    """Version, torch, compiler and CUDA architectures of the loaded extension.

    Example:
        >>> from seqgrad import _ext
        >>> isinstance(_ext.build_info().cuda, bool)
        True
    """
    return extension().info


def has_cuda() -> bool:
    """Whether the extension holds CUDA kernels. It says nothing about this machine: see ``torch.cuda.is_available``.

    Example:
        >>> from seqgrad import _ext
        >>> _ext.has_cuda() == (_ext.build_info().cuda_archs != "")
        True
    """
    return extension().info.cuda


class CudaDevice(NamedTuple):
    """What a CUDA engine plans with (csrc/cuda/device.h): sizes in bytes, registers in 32-bit words."""

    major: int
    minor: int
    multiprocessors: int
    shared_per_block: int
    shared_per_multiprocessor: int
    registers_per_multiprocessor: int
    l2_bytes: int
    cooperative_launch: bool


def cuda_devices() -> list[CudaDevice]:
    """The CUDA devices that the extension sees; none in a build without CUDA, or where there is no driver.

    Example:
        >>> from seqgrad import _ext
        >>> _ext.cuda_devices() == [] or _ext.has_cuda()
        True
    """
    extension()
    facts = torch.ops.seqgrad.cuda_devices()
    size = len(CudaDevice._fields)
    rows = [facts[i : i + size] for i in range(0, len(facts), size)]
    return [CudaDevice._make([*row[:-1], bool(row[-1])]) for row in rows]


def _warn_if_stale(package: Path, info: BuildInfo) -> None:
    """Only a source tree can have gone on without its extension; an installed package holds no sources."""
    sources = package.parent / "csrc"
    if _is_source_tree(package) and digest(sources) != info.sources:
        warnings.warn(
            f"seqgrad: {_FILE} was built from other sources than those in {sources}: results are those of the old "
            f"kernels. Rebuild: {_REBUILD}",
            stacklevel=3,
        )


def _is_source_tree(package: Path) -> bool:
    return (package.parent / "setup.py").is_file() and (package.parent / "csrc").is_dir()


def _installed_elsewhere(package: Path) -> Path | None:
    """The folder of another seqgrad that pip installed and that has its extension, if any."""
    for distribution in importlib.metadata.distributions(name="seqgrad"):
        folder = Path(str(distribution.locate_file("seqgrad"))).resolve()
        if folder != package and (folder / _FILE).is_file():
            return folder
    return None


def _why_missing(package: Path) -> str:
    if (other := _installed_elsewhere(package)) is not None:
        return (
            f"seqgrad was imported from the source tree {package}, which holds no {_FILE} and hides the installed "
            f"package in {other.parent}. Run from another folder, or build this tree: {_REBUILD}"
        )
    if _is_source_tree(package):
        return f"seqgrad's native extension is not built: {package} holds no {_FILE}. Build it: {_REBUILD}"
    return (
        f"seqgrad is installed without its native extension: {package} holds no {_FILE}. Install it again from its "
        "sources: pip install --force-reinstall --no-deps --no-build-isolation ."
    )


def _why_unloadable(path: Path, error: str) -> str:
    about = f"torch {torch.__version__} cannot load {path}"
    if symbol := re.search(r"undefined symbol: (\w+)", error):
        return (
            f"{about}: it needs the symbol {symbol[1]}, which this torch lacks, so the extension was built for a newer "
            f"one. Upgrade torch, or rebuild with this one: {_REBUILD}"
        )
    if "single TORCH_LIBRARY" in error or "multiple times" in error:
        return (
            f"{about}: another copy of seqgrad is already loaded in this process. Keep one of them on sys.path. "
            f"({error.splitlines()[0]})"
        )
    return f"{about}: {error.strip()}\nIf it was built for another system or is incomplete, rebuild it: {_REBUILD}"
