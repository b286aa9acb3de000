"""What compiling the CUDA kernels for the host takes: a C++ compiler and NVIDIA's headers. No nvcc, no torch."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = ROOT / "tests" / "emulator"
# Like nvcc: unrolling is asked for by pragma, floats are read as vectors.
FLAGS = (
    "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fno-strict-aliasing", "-DSEQGRAD_EMULATOR",
)  # fmt: skip


def compiler() -> str | None:
    """CXX, or what is on the path."""
    return os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


def cuda_headers() -> Path | None:
    """The folder of cuda_bf16.h: of a toolkit, or of the wheel nvidia-cuda-runtime."""
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), nvcc and Path(nvcc).resolve().parent.parent]
    folders = [Path(home) / "include" for home in [*homes, "/usr/local/cuda"] if home]
    folders += sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/include"))
    wanted = ("cuda_bf16.h", "cuda_fp16.h", "cuda_runtime.h", "crt/host_defines.h")
    return next((f for f in folders if all((f / name).is_file() for name in wanted)), None)


def missing() -> str | None:
    """Why kernels cannot be compiled for the host here, if so."""
    if compiler() is None:
        return "the emulator needs a C++ compiler: install g++ or set CXX"
    if cuda_headers() is None:
        return "the emulator needs NVIDIA's headers: set CUDA_HOME, or pip install nvidia-cuda-runtime"
    return None


if __name__ == "__main__":
    if (why := missing()) is not None:
        raise SystemExit(why)
