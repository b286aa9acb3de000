"""Builds the one native extension, ``seqgrad/_C.abi3.so``. Everything else is said in pyproject.toml.

SEQGRAD_CUDA: unset or "auto" compiles the CUDA kernels if a usable toolkit is found, "0" never, "1" must.
A toolkit counts, not a GPU: the CUDA runtime is linked statically and libtorch_cuda not at all, so one build
loads in torch with CUDA and without.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
GENERATED = ROOT / "build" / "generated"
ARCHITECTURES = ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0")  # the last one also as PTX, for what comes after
NVCC_FLAGS = ("-O3", "-Xfatbin", "-compress-all")


def from_pyproject(pattern: str) -> re.Match[str]:
    """The first match of ``pattern`` in pyproject.toml (Python 3.10 has no tomllib)."""
    match = re.search(pattern, PYPROJECT, re.MULTILINE)
    if match is None:
        raise SystemExit(f"setup.py: nothing in pyproject.toml matches {pattern}")
    return match


VERSION = from_pyproject(r'^version = "([^"]+)"')[1]
MINIMUM = tuple(int(part) for part in from_pyproject(r'"torch>=(\d+)\.(\d+)"').groups())
NEXT_STEP = f"""
    pip install "torch>={MINIMUM[0]}.{MINIMUM[1]}" "setuptools>=77" ninja
    pip install --no-build-isolation .
"""

try:
    import torch
except ImportError as error:
    raise SystemExit(
        f"seqgrad: building the extension needs torch in this environment, and it cannot be imported ({error}).\n"
        f"pip hides an installed torch unless it is told --no-build-isolation. Run:\n{NEXT_STEP}"
    ) from None

found = re.match(r"(\d+)\.(\d+)", torch.__version__)
if found is None or (int(found[1]), int(found[2])) < MINIMUM:
    raise SystemExit(
        f"seqgrad: torch {torch.__version__} is too old, {MINIMUM[0]}.{MINIMUM[1]} is the oldest. Run:\n{NEXT_STEP}"
    )

from torch.utils import cpp_extension  # noqa: E402 - only after the two plain errors above


def find_cudart(home: Path) -> Path | None:
    """The folder of libcudart_static.a if ``home`` is a toolkit that can compile and link, else None."""
    if not ((home / "bin" / "nvcc").is_file() and (home / "include" / "cuda_runtime.h").is_file()):
        return None
    folders = [home / "lib64", home / "lib", *home.glob("targets/*/lib")]
    return next((f for f in folders if (f / "libcudart_static.a").is_file()), None)


def find_toolkit() -> tuple[Path, Path] | None:
    """(toolkit, folder of its static runtime). A set CUDA_HOME decides alone; an nvcc on PATH may be a wrapper."""
    said = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    homes = [Path(said)] if said else []
    if not said:
        if nvcc := shutil.which("nvcc"):
            homes.append(Path(nvcc).resolve().parent.parent)
        homes.append(Path("/usr/local/cuda"))
    for home in homes:
        if cudart := find_cudart(home):
            return home, cudart
    return None


def architectures(home: Path) -> str:
    """TORCH_CUDA_ARCH_LIST, or what this nvcc knows of our own list (torch would ask a GPU that may not exist)."""
    if said := os.environ.get("TORCH_CUDA_ARCH_LIST"):
        return said
    listed = subprocess.run(
        [home / "bin" / "nvcc", "--list-gpu-arch"], capture_output=True, text=True, check=True
    ).stdout
    known = [a for a in ARCHITECTURES if f"compute_{a.replace('.', '')}" in listed.split()]
    return ";".join(known) + "+PTX"


def cuda_choice(sources: list[str]) -> tuple[Path, Path] | None:
    """What SEQGRAD_CUDA, the toolkits and the sources together allow; says what was decided."""
    wish = os.environ.get("SEQGRAD_CUDA", "auto").lower()
    if wish not in ("auto", "", "0", "1"):
        raise SystemExit(f"seqgrad: SEQGRAD_CUDA must be 0, 1 or auto, got {wish!r}")
    toolkit = None if wish == "0" else find_toolkit()
    if wish == "1" and toolkit is None:
        raise SystemExit(
            "seqgrad: SEQGRAD_CUDA=1, but no CUDA toolkit with bin/nvcc, include/cuda_runtime.h and libcudart_static.a "
            "was found. Set CUDA_HOME to one, or SEQGRAD_CUDA=0 to build for the CPU alone."
        )
    if wish == "1" and not sources:
        raise SystemExit(
            "seqgrad: SEQGRAD_CUDA=1, but csrc/cuda holds no .cu file to compile. Leave SEQGRAD_CUDA unset."
        )
    print(f"seqgrad: CUDA {'with ' + str(toolkit[0]) if toolkit and sources else 'off'}")
    return toolkit if sources else None


def relative(*patterns: str) -> list[str]:
    """Files under the project that match, sorted, relative to it (absolute paths would end up in wheels)."""
    return sorted(str(p.relative_to(ROOT)) for pattern in patterns for p in ROOT.glob(pattern))


def extension() -> object:
    """The one extension: stable ABI of the torch minimum, no Python API, no C++ symbol of torch."""
    kernels = relative("csrc/cuda/*.cu")
    toolkit = cuda_choice(kernels)
    target = MINIMUM[0] << 56 | MINIMUM[1] << 48
    # Where nothing is said, torch 2.10 chooses C++17.
    shared = [
        "-std=c++20",
        f"-DTORCH_TARGET_VERSION=0x{target:016x}",
        f"-DSEQGRAD_WITH_CUDA={int(toolkit is not None)}",
    ]
    anonymous = [f"-ffile-prefix-map={folder}/=" for folder in (ROOT, *cpp_extension.include_paths())]
    cxx = ["-O3", "-g0", "-Wall", "-fvisibility=hidden", *anonymous]
    nvcc = [*NVCC_FLAGS, "--threads=2", "-Xcompiler", ",".join(["-fvisibility=hidden", *anonymous])]
    # torch takes the operators of the half types away; nobody who compiles the kernels without torch does.
    nvcc += [flag.replace("-D", "-U") for flag in cpp_extension.COMMON_NVCC_FLAGS if flag.startswith("-D__CUDA_NO")]
    options: dict[str, list[str]] = {
        "libraries": [],
        "library_dirs": [],
        "include_dirs": [str(ROOT / "csrc"), str(GENERATED)],
    }
    if toolkit:
        home, cudart = toolkit
        cpp_extension.CUDA_HOME = str(home)  # None in a torch without CUDA, and wrong when nvcc is a wrapper
        # Torch would refuse a toolkit of another major version than its own. Nothing here is linked to its CUDA parts.
        cpp_extension._check_cuda_version = lambda *_: None
        os.environ["TORCH_CUDA_ARCH_LIST"] = architectures(home)
        options["include_dirs"].append(str(home / "include"))
        options["library_dirs"].append(str(cudart))
        options["libraries"] += ["cudart_static", "dl", "rt", "pthread"]
    return cpp_extension.CppExtension(  # CUDAExtension would link torch_cuda
        "seqgrad._C",
        relative("csrc/*.cpp", "csrc/core/*.cpp", "csrc/cpu/*.cpp", "csrc/cuda/*.cpp") + (kernels if toolkit else []),
        depends=relative("csrc/**/*.h", "csrc/**/*.cuh"),
        py_limited_api=True,
        extra_compile_args={"cxx": cxx + shared, "nvcc": nvcc + shared},
        extra_link_args=["-s"],
        **options,
    )


class Build(cpp_extension.BuildExtension):
    """Ninja build of torch, preceded by the facts that build_info.cpp hands out."""

    def finalize_options(self) -> None:
        """Keep objects in build/native: pip gives a fresh folder to each build, and everything would compile again."""
        super().finalize_options()
        self.build_temp = str(ROOT / "build" / "native")

    def run(self) -> None:
        """Write build/generated/build_facts.h, in a file of its own so that new facts recompile one source only."""
        with_cuda = any(source.endswith(".cu") for source in self.extensions[0].sources)
        facts = {
            "VERSION": VERSION,
            "TORCH": torch.__version__,
            "CUDA_ARCHS": os.environ["TORCH_CUDA_ARCH_LIST"] if with_cuda else "",
            "SOURCES": runpy.run_path(str(ROOT / "seqgrad" / "_sources.py"))["digest"](ROOT / "csrc"),
        }
        text = "".join(f'#define SEQGRAD_{name} "{value}"\n' for name, value in facts.items())
        header = GENERATED / "build_facts.h"
        if not header.is_file() or header.read_text(encoding="utf-8") != text:
            GENERATED.mkdir(parents=True, exist_ok=True)
            header.write_text(text, encoding="utf-8")
        super().run()


setup(
    ext_modules=[extension()],
    cmdclass={"build_ext": Build},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
