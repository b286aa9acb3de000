"""One object per kernel file and architecture: PTX by the front end, then machine code by ptxas, warnings as errors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .findings import Finding
from .toolkit import ROOT, Build, Toolkit

STRICT = ("-Werror", "all-warnings", "-Xptxas", "-v,-warn-spills,-warn-lmem-usage")
CACHE = ROOT / "build" / "cuda_gates"
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


class Unit(NamedTuple):
    """A kernel file compiled for one architecture."""

    source: str  # its name, e.g. step.cu
    architecture: int  # e.g. 90
    cubin: Path | None  # None: it did not compile
    ptx: Path | None
    log: str  # what nvcc and ptxas said
    seconds: float  # that the compilation took, when it was done


def closure(source: Path, include: Path) -> list[Path]:
    """``source`` and every project file that it includes with quotes, however deep, sorted."""
    found: set[Path] = set()
    waiting = [source.resolve()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            candidates = (path.parent / name, include / name)
            waiting += [c.resolve() for c in candidates if c.is_file()][:1]
    return sorted(found)


def fingerprint(source: Path, include: Path, command: Sequence[str], release: str) -> str:
    """Changes with every file that goes into the object, with the flags and with the compiler."""
    total = hashlib.sha256(json.dumps([source.name, release, *command]).encode())
    for path in closure(source, include):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:20]


def step(command: list[str]) -> tuple[bool, str]:
    """Whether the command succeeded, and all that it said."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def compile_one(
    toolkit: Toolkit, build: Build, source: Path, architecture: int, include: Path, cache: Path = CACHE
) -> Unit:
    """The unit of one file and architecture, from the cache if nothing that it is made of has changed."""
    options = [*build.flags, *STRICT, f"-I{include}"]
    key = fingerprint(source, include, [*options, str(architecture)], toolkit.release)
    folder = cache / f"{source.stem}-sm_{architecture}-{key}"
    if not (folder / "facts.json").is_file():
        unfinished = cache / f"{folder.name}.{os.getpid()}"
        unfinished.mkdir(parents=True, exist_ok=True)
        ptx, cubin = unfinished / "kernel.ptx", unfinished / "kernel.cubin"
        began = time.monotonic()
        nvcc = [str(toolkit.nvcc), *options]
        fine, log = step([*nvcc, "-ptx", f"-arch=compute_{architecture}", str(source), "-o", str(ptx)])
        if fine:
            fine, more = step([*nvcc, "-cubin", f"-arch=sm_{architecture}", str(ptx), "-o", str(cubin)])
            log += more
        seconds = time.monotonic() - began
        if not fine:
            shutil.rmtree(unfinished)
            return Unit(source.name, architecture, None, None, log, seconds)
        facts = json.dumps({"log": log, "seconds": seconds})
        (unfinished / "facts.json").write_text(facts, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return Unit(
        source.name, architecture, folder / "kernel.cubin", folder / "kernel.ptx", facts["log"], facts["seconds"]
    )


def compile_all(
    toolkit: Toolkit, build: Build, sources: Iterable[Path], include: Path, cache: Path = CACHE
) -> list[Unit]:
    """Every file for every architecture, on all cores; large files first, so that none is left for the end."""
    ordered = sorted(sources, key=lambda s: -sum(p.stat().st_size for p in closure(s, include)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [
            pool.submit(compile_one, toolkit, build, source, architecture, include, cache)
            for source in ordered
            for architecture in build.architectures
        ]
        return sorted((w.result() for w in waiting), key=lambda unit: unit[:2])


def check(units: Iterable[Unit]) -> list[Finding]:
    """What did not compile, and any warning that did not stop the compiler."""
    found = []
    for unit in units:
        said = [line.strip() for line in unit.log.splitlines() if re.search(r"\b(error|warning)\b", line)]
        if unit.cubin is None and not said:
            said = [unit.log.strip() or "the compiler failed and said nothing"]
        found += [Finding("compile", unit.source, re.sub(r"\.?/\S*/", "", line), unit.architecture) for line in said]
    return found
