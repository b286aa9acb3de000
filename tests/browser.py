"""A headless Chromium for the tests of HTML pages: what it logs, and what it makes of a page at a given width."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=4000"),
)

PROBE = """
<pre id="found"></pre><script>
const frame = document.querySelector('iframe');
frame.onload = () => {
  const inside = frame.contentDocument, root = inside.documentElement;
  document.getElementById('found').textContent = JSON.stringify({
    width: frame.contentWindow.innerWidth, needs: root.scrollWidth, ink: getComputedStyle(inside.body).color,
    paper: getComputedStyle(inside.body).backgroundColor,
    pictures: [...inside.images].map(
      i => ({drawn: i.naturalWidth, alt: i.alt, shown: i.currentSrc.length + i.currentSrc.slice(-64)})),
    small: [...inside.querySelectorAll('p,li,td,th,dd,dt,figcaption')]
      .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).length,
    unnamed: [...inside.querySelectorAll('svg')].filter(s => !s.querySelector('title')).length,
  });
};
frame.srcdoc = PAGE;
</script>
"""


def browser() -> str:
    """Its path; skips the test where there is none."""
    found = os.environ.get("SEQGRAD_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian, Ubuntu: apt install chromium)")
    return found


def load(path: Path, scratch: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's DOM after it has loaded, and the lines that it wrote to the browser's console."""
    profile = scratch / "profile"
    command = [browser(), *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def measure(path: Path, scratch: Path, width: int, *, dark: bool = False) -> dict[str, Any]:
    """What becomes of the page in a frame of ``width`` pixels: sizes, colours, pictures."""
    text = json.dumps(path.read_text(encoding="utf-8")).replace("</", "<\\/")
    probe = scratch / f"probe_{width}_{dark}.html"
    frame = (
        f'<meta charset="utf-8"><body style="margin:0"><iframe width="{width}" height="900" style="border:0"></iframe>'
    )
    probe.write_text(frame + PROBE.replace("PAGE", text), encoding="utf-8")
    dom, console = load(probe, scratch, f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    assert console == []
    found = re.search(r'<pre id="found">(.+?)</pre>', dom)
    assert found, "the page did not load"
    return json.loads(html.unescape(found[1]))
