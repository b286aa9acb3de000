"""What a kernel costs, as ptxas reports it, and the committed budget of each kernel (budgets.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .compiling import Unit
from .findings import Finding, Kernel
from .names import readable

BUDGETS = Path(__file__).with_name("budgets.json")
SLACK = 4  # registers that a kernel may stay below its budget before the budget is called too high
_FUNCTION = re.compile(r"(?:Compiling entry function '(\S+)' for|Function properties for (\S+))")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


class Resources(NamedTuple):
    """Of one kernel on one architecture; memory in bytes."""

    registers: int
    shared: int  # static; dynamic shared memory is the plan's
    barriers: int
    stack: int
    spills: int  # stores and loads


class Budget(NamedTuple):
    """The most that a kernel may take on any architecture."""

    registers: int
    shared: int
    barriers: int


Usage = dict[tuple[Kernel, int], Resources]  # by kernel and architecture


def amount(line: str, what: str) -> int:
    """The number before ``what`` in a line of ptxas, or after ``used`` for barriers; 0 if it is not there."""
    found = re.search(rf"(\d+) {what}", line)
    return int(found[1]) if found else 0


def parse(log: str) -> dict[str, Resources]:
    """What ``ptxas -v`` said of each kernel, by mangled name."""
    kernels: dict[str, Resources] = {}
    function, stack, spills = "", 0, 0
    for line in log.splitlines():
        if named := _FUNCTION.search(line):
            function = named[1] or named[2]
            if named[1]:
                stack = spills = 0
        elif frame := _STACK.search(line):
            stack, spills = stack + int(frame[1]), spills + int(frame[2]) + int(frame[3])
        elif "Used" in line and "registers" in line:
            registers, shared, barriers = (amount(line, what) for what in ("registers", "bytes smem", "barriers"))
            stack = max(stack, amount(line, "bytes cumulative stack size"))
            kernels[function] = Resources(registers, shared, barriers, stack, spills)
    return kernels


def usage(units: Iterable[Unit]) -> Usage:
    """Resources of every kernel and architecture, under readable names."""
    found: Usage = {}
    for unit in units:
        kernels = parse(unit.log)
        names = readable(kernels)
        for mangled, resources in kernels.items():
            found[Kernel(unit.source, names[mangled]), unit.architecture] = resources
    return found


def check_memory(used: Usage) -> list[Finding]:
    """No kernel may spill a register or keep anything in local memory."""
    found = []
    for (kernel, architecture), resources in used.items():
        if resources.spills:
            found.append(Finding("spill", str(kernel), f"{resources.spills} bytes of spills", architecture))
        if resources.stack:
            found.append(Finding("local memory", str(kernel), f"{resources.stack} bytes of stack", architecture))
    return found


def most(used: Usage) -> dict[Kernel, Budget]:
    """What each kernel takes where it takes most."""
    budgets: dict[Kernel, Budget] = {}
    for (kernel, _), resources in used.items():
        known = budgets.get(kernel, Budget(0, 0, 0))
        budgets[kernel] = Budget(*map(max, known, resources[:3]))
    return budgets


def check_budgets(used: Usage, budgets: Mapping[Kernel, Budget], sources: Iterable[str]) -> list[Finding]:
    """More than the budget of a kernel, kernels without one, and budgets without a kernel (in ``sources``)."""
    update = "if that is meant: make cuda GATES=--update"
    found = []
    for (kernel, architecture), resources in used.items():
        if (budget := budgets.get(kernel)) is None:
            found.append(Finding("budget", str(kernel), f"a new kernel, without a budget; {update}"))
            continue
        for what, has, may in zip(Budget._fields, resources, budget, strict=False):
            if has > may:
                message = f"{what} {has}, budget {may}; {update}"
                found.append(Finding("budget", str(kernel), message, architecture))
    present = {kernel for kernel, _ in used}
    for kernel in sorted(budgets.keys() - present):
        if kernel.source in set(sources):
            found.append(Finding("budget", str(kernel), f"has a budget and is not there any more; {update}"))
    return found


def slack(used: Usage, budgets: Mapping[Kernel, Budget]) -> list[str]:
    """Budgets that a kernel stays well below on every architecture: a later loss would pass unseen."""
    return [
        f"lower the budget of {kernel}: registers {has.registers}, budget {budgets[kernel].registers}"
        for kernel, has in sorted(most(used).items())
        if kernel in budgets and has.registers + SLACK < budgets[kernel].registers
    ]


def read_budgets(path: Path = BUDGETS) -> tuple[str, dict[Kernel, Budget]]:
    """The compiler that the budgets were measured with, and the budgets; ``("", {})`` without a file."""
    if not path.is_file():
        return "", {}
    content = json.loads(path.read_text(encoding="utf-8"))
    budgets = {
        Kernel(source, name): Budget(*(numbers[field] for field in Budget._fields))
        for source, kernels in content["kernels"].items()
        for name, numbers in kernels.items()
    }
    return content["nvcc"], budgets


def write_budgets(release: str, budgets: Mapping[Kernel, Budget], path: Path = BUDGETS) -> None:
    """One line per kernel, sorted, so that a diff shows which kernel changed by how much."""
    sources: dict[str, list[str]] = {}
    for kernel, budget in sorted(budgets.items()):
        line = f"      {json.dumps(kernel.name)}: {json.dumps(budget._asdict())}"
        sources.setdefault(kernel.source, []).append(line)
    blocks = [f"    {json.dumps(source)}: {{\n" + ",\n".join(block) + "\n    }" for source, block in sources.items()]
    text = f'{{\n  "nvcc": {json.dumps(release)},\n  "kernels": {{\n' + ",\n".join(blocks) + "\n  }\n}\n"
    path.write_text(text, encoding="utf-8")
