"""An HTML page in one file that asks nothing of the network: its skeleton, its style, and figures in light and dark."""

from __future__ import annotations

import base64
import html
import io
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from seqgrad._ext import build_info

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
# The browser itself refuses anything that would leave the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1f2328;--soft:#5b636d;--line:#d8dbe0;--box:#f5f6f8;--link:#0059a8;
--good:#0a6b4a;--fixed:#8a5a00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#15181d;--ink:#e8e8e6;--soft:#a3abb5;--line:#343a42;--box:#1d2127;
--link:#7cc0ff;--good:#5fd0a5;--fixed:#f0b64d;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:46rem;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);
font:1.05rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:break-word}
h1{font-size:1.9rem;line-height:1.2;margin:.5rem 0 1rem}h2{font-size:1.35rem;line-height:1.3;margin:3rem 0 .5rem}
a{color:var(--link)}.lead{font-size:1.15rem}.soft,figcaption{color:var(--soft);font-size:.92rem}
figure{margin:1.5rem 0}figure img{width:100%;height:auto;display:block;border:1px solid var(--line);border-radius:.4rem}
sub,sup{line-height:0}figcaption{margin-top:.4rem;line-height:1.45}
pre{background:var(--box);border:1px solid var(--line);border-radius:.4rem;padding:.8rem;overflow-x:auto;
font-size:.85rem;line-height:1.45}code{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.tally{display:flex;flex-wrap:wrap;gap:.6rem;padding:0;list-style:none}.tally li{border:1px solid var(--line);
border-radius:.4rem;padding:.4rem .8rem;background:var(--box)}.tally b{font-size:1.3rem;margin-right:.35rem}
.claims{list-style:none;padding:0}.claims>li{border-left:.25rem solid;padding:.15rem 0 .15rem .8rem;margin:1rem 0}
.claims p{margin:.15rem 0;color:var(--ink)}.verdict{font-weight:600}
.numbers{color:var(--soft)!important;font-size:.92rem}
.reproduced{color:var(--good)}.corrected{color:var(--fixed)}.not{color:var(--bad)}
nav ol,.check{padding-left:1.2rem}.check{list-style:none;padding:0}.check li{margin:.4rem 0}
"""


def page(title: str, lang: str, body: str, style: str = "") -> str:
    """A whole document; ``title`` is plain text, ``body`` HTML, ``style`` what it adds to the common style."""
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def figure(light: bytes, dark: bytes, alt: str, caption: str) -> str:
    """Two PNGs of one picture; the reader's colour scheme takes one. ``alt`` is plain text, ``caption`` HTML."""
    sources = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (light, dark)]
    width, height = (int.from_bytes(light[at : at + 4], "big") for at in (16, 20))
    return (
        f'<figure>\n<picture><source media="(prefers-color-scheme: dark)" srcset="{sources[1]}">'
        f'<img src="{sources[0]}" width="{width}" height="{height}" alt="{html.escape(alt)}"></picture>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )


def png(draw: Callable[[bool], Figure]) -> tuple[bytes, bytes]:
    """What ``draw(dark)`` gives, as PNG: light, then dark."""
    files = []
    for dark in (False, True):
        sheet, buffer = draw(dark), io.BytesIO()
        sheet.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor=sheet.get_facecolor())
        files.append(buffer.getvalue())
    return files[0], files[1]


def environment() -> dict[str, str]:
    """Versions that the numbers depend on."""
    return {"seqgrad": build_info().version, "torch": torch.__version__, "python": platform.python_version()}


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file that appears whole or not at all, whatever interrupts; an older one of that name is replaced."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        scratch.write_bytes(data.encode() if isinstance(data, str) else data)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
