"""``python -m cuda_gates``: every gate over every kernel; exit status 1 if one is broken."""

from __future__ import annotations

import argparse
import sys
import time

from . import compiling, coresidency, report, resources, rules, sass
from .compiling import CACHE, Unit
from .findings import Finding, lines
from .resources import Usage
from .toolkit import ROOT, Toolkit, ToolkitError, find_toolkit, product_build

CSRC = ROOT / "csrc"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="cuda_gates", description=__doc__)
    parser.add_argument("--find", action="store_true", help="only look for the compiler that the budgets are for")
    parser.add_argument("--update", action="store_true", help="write the budgets as measured")
    parser.add_argument("--arch", type=int, nargs="+", metavar="90", help="only these architectures")
    parser.add_argument("--only", nargs="+", metavar="step.cu", help="only these files of csrc/cuda")
    return parser.parse_args()


def check_resources(toolkit: Toolkit, used: Usage, sources: list[str], update: bool) -> list[Finding]:
    """Spills and local memory; then the budgets, or new ones."""
    found = resources.check_memory(used)
    if update:
        resources.write_budgets(toolkit.release, resources.most(used))
        return found
    release, budgets = resources.read_budgets()
    if release != toolkit.release:
        message = f"measured with nvcc {release or '(none)'}, this is {toolkit.release}: install '.[nvcc]', or --update"
        return [*found, Finding("budget", resources.BUDGETS.name, message)]
    return [*found, *resources.check_budgets(used, budgets, sources)]


def check_machine_code(toolkit: Toolkit, units: list[Unit], used: Usage, whole: bool) -> list[Finding]:
    """The rules on instructions, on every kernel that ptxas reported."""
    counts, ptx = sass.count(toolkit, units), sass.count_ptx(units)
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "report.md").write_text(report.markdown(used, counts), encoding="utf-8")
    found = [*sass.check(rules.SASS, counts), *sass.check(rules.PTX, ptx), *sass.check_same(used, counts)]
    if whole:
        found += [*sass.check_rules(rules.SASS, counts), *sass.check_rules(rules.PTX, ptx)]
    return found


def check_coresidency(toolkit: Toolkit, units: list[Unit], used: Usage) -> list[Finding]:
    """Everything that plan() may choose, on every device of the table."""
    program = coresidency.build(toolkit, CSRC / "cuda" / "plan.cpp", CSRC)
    known = coresidency.cells((CSRC / "cells" / "cells.h").read_text(encoding="utf-8"))
    kernels = coresidency.kernel_lines(used, coresidency.most_threads(units), known)
    found, planned = coresidency.survey(program, coresidency.devices(), kernels)
    for seen in planned:
        say(f"  {seen.device:28} sm_{seen.architecture:<4} block {seen.block:6} grid {seen.grid:6} step {seen.step:6}")
    return [*found, *coresidency.check_planned(planned, {unit.architecture for unit in units})]


def say(line: str) -> None:
    """One line for whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Compile, measure, compare; say what was found."""
    asked = arguments()
    toolkit = find_toolkit()
    say(f"nvcc {toolkit.release} in {toolkit.home}, nvdisasm in {toolkit.nvdisasm.parent}")
    if asked.find:
        return int(toolkit.release != resources.read_budgets()[0])
    build = product_build()
    everything = sorted((CSRC / "cuda").glob("*.cu"))
    sources = [source for source in everything if not asked.only or source.name in asked.only]
    whole = len(sources) == len(everything) and not asked.arch
    if asked.update and not whole:
        raise ToolkitError("--update writes all budgets: leave out --arch and --only")
    if asked.arch:
        build = build._replace(architectures=tuple(asked.arch))
    began = time.monotonic()
    units = compiling.compile_all(toolkit, build, sources, CSRC)
    seconds = time.monotonic() - began
    say(f"{len(sources)} files for {len(build.architectures)} architectures in {seconds:.0f} s; time of the compiler:")
    for line in report.times(units):
        say(line)
    used = resources.usage(units)
    found = [*compiling.check(units), *check_resources(toolkit, used, [s.name for s in sources], asked.update)]
    found += check_machine_code(toolkit, units, used, whole)
    if whole:
        for line in resources.slack(used, resources.read_budgets()[1]):
            say(line)
    if whole and not found:
        found += check_coresidency(toolkit, units, used)
    for line in (said := lines(found)):
        say(line)
    say(f"{len({kernel for kernel, _ in used})} kernels, {len(used)} with their architectures: {len(said)} findings")
    return int(bool(found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolkitError as error:
        sys.exit(f"cuda_gates: {error}")
