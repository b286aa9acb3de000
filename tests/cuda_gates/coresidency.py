"""Whether everything that plan() may choose fits the devices of the table, with the registers that kernels have."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .compiling import CACHE, Unit, closure
from .findings import Finding
from .names import readable
from .resources import Usage
from .toolkit import Toolkit, ToolkitError, run

PROGRAM = Path(__file__).with_name("coresidency.cpp")
_RESIDENT = re.compile(r"^resident_(forward|backward)_kernel<([^,]+), (.+)>$")
_CELL = re.compile(r"^\s*X\((\w+), (.+?)\)\s*\\?$", re.MULTILINE)
_TYPES = {"float": "float32", "__half": "float16", "__nv_bfloat16": "bfloat16"}


class Device(NamedTuple):
    """What the occupancy arithmetic and plan() need of a device, in the order of DeviceLimits."""

    name: str
    major: int
    minor: int
    multiprocessors: int
    shared_per_block: int
    shared_per_multiprocessor: int
    registers_per_multiprocessor: int
    l2_bytes: int
    cooperative_launch: bool


class Planned(NamedTuple):
    """How many plans of each path a device was seen to get."""

    device: str
    architecture: int
    block: int
    grid: int
    step: int


def devices() -> list[Device]:
    """The table of seqgrad: devices that nobody need have at hand."""
    from seqgrad._devices import DEVICES

    return [Device(name, *(getattr(row, field) for field in Device._fields[1:])) for name, row in DEVICES.items()]


def cells(text: str) -> dict[str, str]:
    """The name of each cell by its C++ type, from the one list in cells.h.

    Example:
        >>> cells("  X(gru, Gru)  \\\\\\n  X(rnn_tanh, Rnn<Tanh>)")
        {'Gru': 'gru', 'Rnn<Tanh>': 'rnn_tanh'}
    """
    return {kind: name for name, kind in _CELL.findall(text)}


def most_threads(units: Iterable[Unit]) -> dict[tuple[str, int], int]:
    """The block size that each resident kernel was compiled for, by readable name and architecture."""
    found: dict[tuple[str, int], int] = {}
    for unit in units:
        if unit.ptx is None:
            continue
        entries = re.findall(r"\.entry\s+([\w$]+)\([^{]*?\.maxntid\s+(\d+)", unit.ptx.read_text(encoding="utf-8"))
        names = readable(mangled for mangled, _ in entries)
        for mangled, threads in entries:
            found[names[mangled], unit.architecture] = int(threads)
    return found


def kernel_lines(used: Usage, threads: Mapping[tuple[str, int], int], known: Mapping[str, str]) -> list[str]:
    """The resident kernels as the program reads them.

    Raises:
        ToolkitError: a resident kernel of an unknown cell or type.
    """
    said = []
    for (kernel, architecture), resources in sorted(used.items()):
        if not kernel.name.startswith("resident_"):
            continue
        parts = _RESIDENT.match(kernel.name)
        if parts is None or parts[2] not in _TYPES or parts[3] not in known:
            raise ToolkitError(f"{kernel} is not a resident_forward_kernel or _backward_kernel<type, cell> of cells.h")
        most = threads.get((kernel.name, architecture), 1024)
        what = f"{parts[1]} {known[parts[3]]} {_TYPES[parts[2]]} {resources.registers} {resources.shared} {most}"
        said.append(f"kernel {architecture} {what}")
    return said


def build(toolkit: Toolkit, plan: Path, include: Path, cache: Path = CACHE) -> Path:
    """The program, linked with ``plan`` (plan.cpp, or a planted one), built again when a source has changed."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise ToolkitError("the co-residency gate needs a C++ compiler: install g++ or set CXX")
    total = hashlib.sha256(f"{compiler} {toolkit.release}".encode())
    for path in {*closure(PROGRAM, include), *closure(plan, include)}:
        total.update(path.name.encode() + path.read_bytes())
    program = cache / f"coresidency-{total.hexdigest()[:20]}"
    if not program.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        flags = ["-std=c++20", "-O2", "-Wall", "-Werror", f"-I{include}", "-isystem", str(toolkit.home / "include")]
        run([compiler, *flags, PROGRAM, plan, "-o", unfinished])
        unfinished.replace(program)
    return program


def survey(program: Path, devices: Iterable[Device], kernels: Iterable[str]) -> tuple[list[Finding], list[Planned]]:
    """What does not fit, and how many plans were looked at on each device."""
    table = [" ".join(["device", d.name.replace(" ", "_"), *(str(int(value)) for value in d[1:])]) for d in devices]
    said = subprocess.run([program], input="\n".join([*table, *kernels]), capture_output=True, text=True)
    if said.returncode:
        raise ToolkitError(f"{program.name} failed: {said.stderr}")
    found, planned = [], []
    for line in said.stdout.splitlines():
        kind, device, rest = line.split(" ", 2)
        if kind == "broken":
            what, message = rest.split(": ", 1)
            found.append(Finding("co-residency", f"{device} {what}", message))
        else:
            planned.append(Planned(device, *map(int, rest.split())))
    return found, planned


def check_planned(planned: Iterable[Planned], architectures: Iterable[int]) -> list[Finding]:
    """Devices and architectures for which nothing resident was ever planned: there the gate has seen nothing."""
    planned = list(planned)
    found = [
        Finding("co-residency", "_devices.py", "no device of the table runs this code", architecture)
        for architecture in set(architectures) - {seen.architecture for seen in planned}
    ]
    for seen in planned:
        for path, count in (("block", seen.block), ("grid", seen.grid), ("step", seen.step)):
            if count == 0:
                found.append(Finding("co-residency", seen.device, f"no question was ever answered with path {path}"))
    return found
