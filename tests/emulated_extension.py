"""Builds a copy of seqgrad in which the emulated CUDA engine serves the tensors of the CPU.

The same ops.cpp, engine, plan and kernels as in a build with CUDA, compiled by the host compiler against the emulator
of tests/emulator. So everything between a layer's call and the kernels runs as on a GPU: checks, allocation, products
through aten's dispatcher, autograd, graphs of torch.compile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch.utils import cpp_extension

import seqgrad

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = ROOT / "tests" / "emulator"
DEVICE = ROOT / "tests" / "emulated_device.cpp"
TARGET = 2 << 56 | 10 << 48  # the stable ABI of the oldest torch, as in setup.py
FLAGS = (
    "-std=c++20", "-g0", "-Wall", "-fPIC", "-fvisibility=hidden", "-DSEQGRAD_EMULATOR", "-DSEQGRAD_WITH_CUDA=1",
    f"-DTORCH_TARGET_VERSION=0x{TARGET:016x}",
)  # fmt: skip


def compiler() -> str | None:
    """A C++ compiler, if there is one."""
    return os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


def cuda_headers() -> Path | None:
    """The folder of NVIDIA's own headers, for the types that the kernels compute with."""
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), nvcc and Path(nvcc).resolve().parent.parent, "/usr/local/cuda"]
    folders = [Path(home) / "include" for home in homes if home]
    return next((f for f in folders if (f / "cuda_runtime.h").is_file() and (f / "cuda_bf16.h").is_file()), None)


def sources() -> list[Path]:
    """What goes into the library: all of csrc, and the emulator."""
    kinds = ("*.cpp", "core/*.cpp", "cpu/*.cpp", "cuda/*.cpp", "cuda/*.cu")
    found = [path for kind in kinds for path in (ROOT / "csrc").glob(kind)]
    return sorted([*found, *EMULATOR.glob("*.cpp"), DEVICE])


def fingerprint() -> str:
    """Changes with any source, flag, compiler or torch."""
    total = hashlib.sha256(" ".join([str(compiler()), torch.__version__, *FLAGS]).encode() + DEVICE.read_bytes())
    for folder in (ROOT / "csrc", EMULATOR):
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".h", ".cuh", ".cpp", ".cu")):
            total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()[:12]


def build() -> Path:
    """The folder that holds the package ``seqgrad``; its Python files are copied anew at every call.

    Raises:
        RuntimeError: the compiler refuses the sources; the message holds what it said.
    """
    folder = ROOT / "build" / "emulated" / fingerprint()
    library = folder / "_C.abi3.so"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write_facts(folder)
        _compile(folder, library)
    package = folder / "site" / "seqgrad"
    shutil.rmtree(package, ignore_errors=True)
    ours = Path(seqgrad.__file__).parent
    shutil.copytree(ours, package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(library, package)
    return package.parent


def _write_facts(folder: Path) -> None:
    facts = {"VERSION": "0", "TORCH": torch.__version__, "CUDA_ARCHS": "emulated", "SOURCES": "emulated"}
    text = "".join(f'#define SEQGRAD_{name} "{value}"\n' for name, value in facts.items())
    (folder / "build_facts.h").write_text(text, encoding="utf-8")


def _compile(folder: Path, library: Path) -> None:
    tool, headers = str(compiler()), cuda_headers()
    includes = [folder, ROOT / "csrc", EMULATOR, *cpp_extension.include_paths()]
    common = [tool, *FLAGS, *(f"-I{path}" for path in includes), "-isystem", str(headers)]

    def compile_one(source: Path) -> str:
        target = folder / f"{source.parent.name}_{source.name}.{os.getpid()}.o"
        # The CPU engine is linked, for explain, but computes nothing here: no time is spent on it.
        level = "-O0" if source.parent.name == "cpu" else "-O2"
        _run([*common, level, "-x", "c++", "-c", str(source), "-o", str(target)])
        return str(target)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources()))
    unfinished = folder / f"{os.getpid()}.so"
    torch_libraries = [f"-L{path}" for path in cpp_extension.library_paths()] + ["-lc10", "-ltorch_cpu", "-ldl"]
    _run([tool, "-shared", "-Wl,--no-undefined", *objects, *torch_libraries, "-o", str(unfinished)])
    unfinished.replace(library)
    for path in objects:
        Path(path).unlink()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"building the emulated extension failed: {' '.join(command)}\n{done.stderr}")
