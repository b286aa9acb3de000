"""Instruction counts of the machine code, and the rules on them."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .compiling import Unit
from .findings import Finding, Kernel
from .names import readable
from .toolkit import Toolkit, run

Counts = dict[tuple[Kernel, int], Counter[str]]  # opcodes with modifiers, by kernel and architecture

_SECTION = re.compile(r"^\s*\.section\s+\.text\.([^,\s]+)")
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")
_CALLED = re.compile(r"\$(__cuda_\w+)\)")  # the compiler's own subroutines: slow paths, divisions, unproven shuffles
_ENTRY = re.compile(r"^\s*(?:\.visible\s+)?\.entry\s+([\w$]+)")


@dataclass(frozen=True)
class Rule:
    """How often an instruction may be in a kernel. Patterns: ``kernels`` is searched in "file.cu name<...>"."""

    name: str
    opcodes: str  # matches the whole opcode with its modifiers
    reason: str
    kernels: str = ""
    least: int = 0
    most: int | None = None
    since: int = 0  # holds from this architecture on
    until: int = 999  # and up to this one
    exceptions: Mapping[str, str] = field(default_factory=dict)  # kernels that need not obey, and why

    def count(self, opcodes: Mapping[str, int]) -> int:
        """How many instructions of a kernel the rule is about."""
        return sum(n for opcode, n in opcodes.items() if re.fullmatch(self.opcodes, opcode))

    def broken_by(self, opcodes: Mapping[str, int]) -> str:
        """What is wrong with a kernel of these instructions, or an empty string."""
        count = self.count(opcodes)
        if count < self.least:
            return f"{count} of {self.opcodes}, at least {self.least} are meant: {self.reason}"
        if self.most is not None and count > self.most:
            named = ", ".join(sorted(o for o in opcodes if re.fullmatch(self.opcodes, o)))
            return f"{count} of {named}, at most {self.most} are meant: {self.reason}"
        return ""


def parse(text: str) -> dict[str, Counter[str]]:
    """Opcodes of each function in the output of nvdisasm, by mangled name."""
    functions: dict[str, Counter[str]] = {}
    current: Counter[str] | None = None
    for line in text.splitlines():
        if section := _SECTION.match(line):
            current = functions.setdefault(section[1], Counter())
        elif re.match(r"\s*\.section\s", line):  # not .sectioninfo
            current = None
        elif current is not None and (instruction := _INSTRUCTION.match(line)):
            called = _CALLED.search(line) if instruction[1].startswith("CALL") else None
            current[f"{instruction[1]} {called[1]}" if called else instruction[1]] += 1
    return functions


def parse_ptx(text: str) -> dict[str, Counter[str]]:
    """Instructions of each kernel in PTX, by mangled name."""
    kernels: dict[str, Counter[str]] = {}
    current: Counter[str] = Counter()
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            current = kernels.setdefault(entry[1], Counter())
        elif found := re.match(r"^\s+(?:@!?%\w+\s+)?([a-z][\w.:]*)[\s;]", line):
            current[found[1]] += 1
    return kernels


def count_unit(toolkit: Toolkit, unit: Unit) -> dict[str, Counter[str]]:
    """Opcodes by mangled name, kept beside the object."""
    assert unit.cubin is not None
    kept = unit.cubin.with_name("sass.json")
    if not kept.is_file():
        counts = parse(run([toolkit.nvdisasm, unit.cubin]))
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(counts), encoding="utf-8")
        unfinished.replace(kept)
    return {name: Counter(counts) for name, counts in json.loads(kept.read_text(encoding="utf-8")).items()}


def named(units: Iterable[Unit], counted: Iterable[Mapping[str, Counter[str]]]) -> Counts:
    """One table of all units under readable names."""
    table: Counts = {}
    for unit, functions in zip(units, counted, strict=True):
        names = readable(functions)
        for mangled, counts in functions.items():
            table[Kernel(unit.source, names[mangled]), unit.architecture] = counts
    return table


def count(toolkit: Toolkit, units: Iterable[Unit]) -> Counts:
    """Opcodes of every kernel in every object that there is."""
    compiled = [unit for unit in units if unit.cubin is not None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return named(compiled, pool.map(lambda unit: count_unit(toolkit, unit), compiled))


def count_ptx(units: Iterable[Unit]) -> Counts:
    """PTX instructions of every kernel of the newest architecture: what later devices compile for themselves."""
    compiled = [unit for unit in units if unit.ptx is not None]
    newest = max((unit.architecture for unit in compiled), default=0)
    last = [unit for unit in compiled if unit.architecture == newest]
    return named(last, (parse_ptx(unit.ptx.read_text(encoding="utf-8")) for unit in last if unit.ptx))


def about(rule: Rule, counts: Counts) -> Counts:
    """The part of ``counts`` that the rule speaks of."""
    return {
        (kernel, architecture): opcodes
        for (kernel, architecture), opcodes in counts.items()
        if re.search(rule.kernels, str(kernel)) and rule.since <= architecture <= rule.until
    }


def excused(rule: Rule, kernel: Kernel) -> list[str]:
    """The exceptions of the rule that name this kernel."""
    return [pattern for pattern in rule.exceptions if re.search(pattern, str(kernel))]


def check(rules: Iterable[Rule], counts: Counts) -> list[Finding]:
    """Kernels that break a rule and are no exception."""
    return [
        Finding(rule.name, str(kernel), wrong, architecture)
        for rule in rules
        for (kernel, architecture), opcodes in about(rule, counts).items()
        if (wrong := rule.broken_by(opcodes)) and not excused(rule, kernel)
    ]


def check_rules(rules: Iterable[Rule], counts: Counts) -> list[Finding]:
    """Rules that hold for no kernel and exceptions that no kernel needs: they only look as if they checked."""
    found = []
    for rule in rules:
        chosen = about(rule, counts)
        if not chosen:
            found.append(Finding(rule.name, "rules.py", f"no kernel matches {rule.kernels!r}"))
        guilty = [kernel for (kernel, _), opcodes in chosen.items() if rule.broken_by(opcodes)]
        needed = {pattern for kernel in guilty for pattern in excused(rule, kernel)}
        for pattern in rule.exceptions.keys() - needed:
            found.append(Finding(rule.name, "rules.py", f"nothing needs the exception {pattern!r}"))
    return found


def check_same(reported: Iterable[tuple[Kernel, int]], counts: Counts) -> list[Finding]:
    """Code that ptxas reported no resources for (a function that was not inlined), and kernels without any code."""
    known = set(reported)
    places = {(kernel.source, architecture) for kernel, architecture in counts}
    found = [
        Finding("code", str(kernel), "no kernel of ptxas' report: was a function not inlined?", architecture)
        for kernel, architecture in counts.keys() - known
    ]
    found += [
        Finding("code", str(kernel), "the object holds no code of it", architecture)
        for kernel, architecture in known
        if (kernel.source, architecture) in places and not counts.get((kernel, architecture))
    ]
    return found
