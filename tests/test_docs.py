"""The documentation: every Python block runs, page by page from nothing; every command line is one that exists."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

pytest.importorskip("matplotlib").use("Agg")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"exercises.md", "experiments"}
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not GENERATED & set(path.relative_to(DOCS).parts) and "build" not in path.parts
)
NAMES = [str(path.relative_to(DOCS)) for path in PAGES]

pytestmark = [
    pytest.mark.skipif(not PAGES, reason="the documentation's sources are not here"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # torch deep-copies its own exported programs
]


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """Fenced blocks of that language: the line they begin at, and their text."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start()].count("\n") + 1, match[1]) for match in found]


@pytest.mark.parametrize("page", NAMES)
def test_python_blocks_run_in_the_order_of_the_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for line, source in blocks(DOCS / page, "python"):
        exec(compile("\n" * line + source, page, "exec"), names)  # the page's own line numbers in a traceback


@pytest.mark.parametrize("page", [name for name in NAMES if blocks(DOCS / name, "console")])
def test_command_lines_parse(page):
    from seqgrad.cli import main

    for _, source in blocks(DOCS / page, "console"):
        for line in source.splitlines():
            program, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
            if program != "seqgrad":
                continue
            command = main.commands[arguments[0]]
            context = command.make_context(arguments[0], arguments[1:], resilient_parsing=False)
            assert isinstance(context, click.Context)


def test_every_page_of_the_site_is_in_a_table_of_contents():
    for root in (DOCS / "en", DOCS / "es"):
        listed = {"index"}
        for path in root.rglob("index.md"):
            folder = path.parent.relative_to(root)
            for _, toc in blocks(path, r"{toctree}"):
                listed |= {str(folder / line) for line in toc.splitlines() if line and not line.startswith(":")}
        pages = {
            str(path.relative_to(root).with_suffix(""))
            for path in root.rglob("*")
            if path.suffix in (".md", ".rst", ".ipynb")
        }
        assert {page for page in pages if not GENERATED & set(Path(page + ".md").parts)} <= listed


def test_notebooks_are_what_their_list_of_cells_writes(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import make_notebooks

    for lang, path in make_notebooks.FILES.items():
        assert path.read_text(encoding="utf-8") == make_notebooks.text(lang), "run: python docs/make_notebooks.py"


def test_the_cell_that_the_page_adds_passes_the_cells_own_test(tmp_path):
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    page = DOCS / "en" / "add-a-cell.md"
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    (tmp_path / "csrc/cells/leaky.h").write_text(blocks(page, "cpp")[0][1])
    cells = tmp_path / "csrc/cells/cells.h"
    text = cells.read_text()
    for line in blocks(page, "diff")[0][1].splitlines():
        if line.startswith("+#include"):
            text = text.replace('#include "lstm.h"', f'{line[1:]}\n#include "lstm.h"')
        elif line.startswith("+  X(leaky"):
            text = re.sub(r"(X\(lstm, Lstm\))", r"\1 \\\n" + line[1:], text)
    cells.write_text(text)
    program = tmp_path / "cells"
    flags = ["-std=c++20", f"-I{tmp_path / 'csrc'}", f"-I{ROOT / 'tests/cpp'}", "-o", str(program)]
    subprocess.run([compiler, *flags, str(ROOT / "tests/cpp/test_cells.cpp")], check=True)
    assert "leaky" in text
    assert subprocess.run([program], check=False).returncode == 0
