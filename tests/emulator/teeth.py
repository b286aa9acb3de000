"""Whether the emulator's suite bites: kernels with one planted bug each, every one of which must turn it red.

Each barrier, wait and memory order in csrc/cuda is found by pattern and taken out in turn; a list of other bugs is
planted as small patches. A mutant is compiled from a copy of the sources and run against test_layers, first under all
schedules, then, if that stayed green, under ThreadSanitizer, then under AddressSanitizer.

    python tests/emulator/teeth.py [--list] [--jobs N] [PATTERN]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import toolchain
from planted_patches import PATCHES, Patch

MODES = {
    "schedules": ("-O1",),
    "thread": ("-O1", "-g1", "-fsanitize=thread"),
    "address": ("-O1", "-g1", "-fsanitize=address"),
}
# What is taken out, and what stands there instead. New ones of these kinds are found without being told.
REMOVED = (
    (r"__syncthreads\(\)", "(void)0"),
    (r"__syncwarp\([^()]*\)", "(void)0"),
    (r"\bmeet\(\)(?=;)", "(void)0"),
    (r"\bbarrier\.(?:wait|arrive)\(\)", "(void)0"),
    (r"\bcopy_async_wait\(\)(?=;)", "(void)0"),
    (r"\bwhile \(([^;{}]*\.load\(kAcquire\)[^;{}]*)\) \{\}", r"(void)(\1);"),
    (r"\bkAcquire\b", "kRelaxed"),
    (r"\bkRelease\b", "kRelaxed"),
)
# Two cells suffice for the resident kernels: the others differ in formulas, not in structure, and compiling costs most.
FEW_CELLS = ("SEQGRAD_CELLS(SEQGRAD_CELL)", "SEQGRAD_CELL(gru, Gru) SEQGRAD_CELL(lstm, Lstm) default: break;")


class Result(NamedTuple):
    """A mutant, and what turned red: a mode and its words; nothing: it survived."""

    patch: Patch
    mode: str
    words: str
    seconds: float


def kernels(root: Path) -> list[Path]:
    """The files that may hold device code, but for the seam between the two runtimes."""
    return sorted(p for p in (root / "csrc" / "cuda").iterdir() if p.suffix == ".cuh")


def without_comments(text: str) -> str:
    """The same text with comments blanked, so that places stay."""
    return re.sub(r"//[^\n]*", lambda m: " " * len(m[0]), text)


def removals(root: Path) -> Iterator[Patch]:
    """One patch per barrier, wait or memory order."""
    for path in kernels(root):
        text = path.read_text(encoding="utf-8")
        for pattern, instead in REMOVED:
            for found in re.finditer(pattern, without_comments(text)):
                line = text.count("\n", 0, found.start()) + 1
                new = text[: found.start()] + found.expand(instead) + text[found.end() :]
                yield Patch(f"{path.name}:{line} without {found[0]}", path.name, text, new)


def plant(patch: Patch, tree: Path) -> None:
    """Apply the patch to a copy of the sources.

    Raises:
        ValueError: its text is not there exactly once: the kernel has changed, and the patch must follow.
    """
    path = tree / "csrc" / "cuda" / patch.file
    text = path.read_text(encoding="utf-8")
    if text.count(patch.old) != 1:
        raise ValueError(f"'{patch.what}' no longer fits {patch.file}: its text occurs {text.count(patch.old)} times")
    path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")


class Workshop:
    """Objects of the unchanged sources in every mode, made once; mutants add theirs."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.clean = self.copy("clean", toolchain.ROOT)
        launch = self.clean / "csrc" / "cuda" / "resident_launch.cuh"
        launch.write_text(launch.read_text(encoding="utf-8").replace(*FEW_CELLS), encoding="utf-8")
        self.pool = ThreadPoolExecutor(max_workers=jobs)

    def copy(self, name: str, root: Path) -> Path:
        """A tree of its own, so that nobody's edits come in between; the resident kernels of two cells only."""
        tree = self.folder / name
        for part in ("csrc", "tests/emulator", "tests/cpp"):
            shutil.copytree(root / part, tree / part)
        return tree

    def compile(self, mode: str, tree: Path, source: Path) -> Path:
        """One object; a refusal of the compiler is an error of this program, not a caught bug."""
        runtime = source.parent == tree / "tests" / "emulator"
        flags = ("-O2",) if mode == "thread" and runtime else MODES[mode]
        target = tree / f"{source.name}.{mode}.o"
        # -w: what a bug leaves unused is no error.
        include = [f"-I{tree / 'tests' / 'emulator'}", f"-I{tree / 'csrc'}", "-isystem", str(toolchain.cuda_headers())]
        command = [str(toolchain.compiler()), *toolchain.FLAGS, *flags, *include, "-w", "-x", "c++", "-c"]
        done = subprocess.run([*command, str(source), "-o", str(target)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{source.name} does not compile:\n{done.stderr[:2000]}")
        return target

    def sources(self, tree: Path) -> list[Path]:
        """Of one executable."""
        cuda = tree / "csrc" / "cuda"
        found = [*cuda.glob("*.cu"), cuda / "plan.cpp", *(tree / "tests" / "emulator").glob("*.cpp")]
        return [*sorted(found), tree / "tests" / "emulator" / "suite" / "test_layers.cpp"]

    def prepare(self, patches: list[Patch]) -> None:
        """Compile the unchanged sources in all modes; they must be green wherever a mutant is to be red."""
        made = [self.pool.submit(self.compile, m, self.clean, s) for s in self.sources(self.clean) for m in MODES]
        for each in made:
            each.result()
        patterns = tuple(sorted({name for p in patches for name in p.patterns or patterns_of(p)}))
        for mode in MODES:
            if words := self.run(mode, self.link(mode, self.clean, []), patterns):
                raise RuntimeError(f"the unchanged kernels are red under {mode}: {words}")

    def link(self, mode: str, tree: Path, changed: list[Path]) -> Path:
        """The executable with the changed objects in place of the clean ones."""
        names = {p.name for p in changed}
        objects = [*changed, *(p for p in self.clean.glob(f"*.{mode}.o") if p.name not in names)]
        program = tree / f"test_layers.{mode}"
        command = [str(toolchain.compiler()), *MODES[mode], *map(str, objects), "-o", str(program), "-lpthread"]
        subprocess.run(command, check=True)
        return program

    def run(self, mode: str, program: Path, patterns: tuple[str, ...]) -> str:
        """What went wrong, in one line; empty: green."""
        environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0"}
        for pattern in patterns:
            command = [str(program), *(["--quick"] if mode != "schedules" else []), pattern]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, env=environment, timeout=300, check=False
                )
            except subprocess.TimeoutExpired:
                return "no end within 300 s"
            if done.returncode:
                said = [line for line in (done.stdout + done.stderr).splitlines() if re.match(r"FAIL|SUMMARY", line)]
                return said[0] if said else f"ended with {done.returncode}"
        return ""

    def try_out(self, number: int, patch: Patch) -> Result:
        """Plant one bug and look for it."""
        start = time.monotonic()
        tree = self.copy(f"mutant{number}", self.clean)
        plant(patch, tree)
        sources = [tree / "csrc" / "cuda" / name for name in affected(tree, patch)]
        for mode in patch.modes:
            changed = [self.compile(mode, tree, source) for source in sources]
            if words := self.run(mode, self.link(mode, tree, changed), patch.patterns or patterns_of(patch)):
                return Result(patch, mode, words, time.monotonic() - start)
        shutil.rmtree(tree)
        return Result(patch, "", "", time.monotonic() - start)


def patterns_of(patch: Patch) -> tuple[str, ...]:
    """The problems that reach a file."""
    return ("step",) if patch.file.startswith(("step", "rows")) else ("gru fp32", "lstm fp32")


def affected(tree: Path, patch: Patch) -> list[str]:
    """The sources that include the file, directly or not; of the resident kernels only those in the patch's type."""
    cuda = tree / "csrc" / "cuda"

    def reaches(name: str) -> bool:
        text = (cuda / name).read_text(encoding="utf-8")
        inner = [n for n in re.findall(r'#include "([^"/]+)"', text) if (cuda / n).is_file()]
        return name == patch.file or any(reaches(n) for n in inner)

    others = {"resident_f32.cu", "resident_f16.cu", "resident_bf16.cu"} - {patch.resident}
    return [p.name for p in sorted(cuda.glob("*.cu")) if p.name not in others and reaches(p.name)]


def wanted(root: Path, pattern: str) -> list[Patch]:
    """The bugs whose description matches the pattern."""
    return [p for p in [*removals(root), *PATCHES] if re.search(pattern, p.what)]


def main() -> int:
    """Plant all bugs; 0 if each was caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="", help="only bugs that match this regular expression")
    parser.add_argument("--list", action="store_true", help="name the bugs, plant none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.list:
        print("\n".join(p.what for p in wanted(toolchain.ROOT, options.pattern)))
        return 0
    if (why := toolchain.missing()) is not None:
        print(why, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder), options.jobs)
        patches = wanted(workshop.clean, options.pattern)
        workshop.prepare(patches)
        survivors = 0
        for result in workshop.pool.map(workshop.try_out, range(len(patches)), patches):
            survivors += not result.mode
            how = f"{result.mode}: {result.words[:150]}" if result.mode else "SURVIVED"
            print(f"{result.seconds:5.1f} s  {result.patch.what}\n         {how}", flush=True)
    print(f"{len(patches) - survivors} of {len(patches)} planted bugs were caught")
    return int(survivors > 0 or not patches)


if __name__ == "__main__":
    sys.exit(main())
