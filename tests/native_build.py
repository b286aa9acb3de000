"""Builds the test-only native hooks of tests/native on first use, again whenever a source has changed."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pybind11

ROOT = Path(__file__).resolve().parent.parent
HOOKS = ROOT / "tests" / "native"
FLAGS = ("-std=c++20", "-O3", "-g0", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden")


def includes() -> list[str]:
    """The headers of csrc, pybind11 and Python."""
    folders = [ROOT / "csrc", Path(pybind11.get_include()), Path(sysconfig.get_paths()["include"])]
    return [f"-I{folders[0]}", *(flag for f in folders[1:] for flag in ("-isystem", str(f)))]


def fingerprint(compiler: str) -> str:
    """Changes with any source, flag, compiler or Python."""
    total = hashlib.sha256(" ".join([compiler, *FLAGS, sysconfig.get_config_var("EXT_SUFFIX")]).encode())
    for path in sorted([*HOOKS.glob("*"), *(ROOT / "csrc").rglob("*.h")]):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:12]


def has_python_headers() -> bool:
    """Whether this Python can build extension modules of its own; seqgrad itself does not need that."""
    return (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file()


@functools.cache
def hooks() -> ModuleType:
    """The built module ``_hooks``.

    Raises:
        RuntimeError: no C++ compiler, or it refuses the sources; the message holds what it said.
    """
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise RuntimeError("the native hooks need a C++ compiler: install g++ or set CXX")
    folder = ROOT / "build" / "hooks" / fingerprint(compiler)
    library = folder / f"_hooks{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        build(compiler, folder, library)
    spec = importlib.util.spec_from_file_location("_hooks", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(compiler: str, folder: Path, library: Path) -> None:
    """Objects side by side, then one link; the library appears under its name only when complete."""

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.stem}.{os.getpid()}.o"
        run([compiler, *FLAGS, *includes(), "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sorted(HOOKS.glob("*.cpp"))))
    unfinished = folder / f"{os.getpid()}.so"
    run([compiler, "-shared", *map(str, objects), "-o", str(unfinished)])
    unfinished.replace(library)


def run(command: list[str]) -> None:
    """The command, or a RuntimeError with what it printed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"building the native hooks failed: {' '.join(command)}\n{done.stderr}")
