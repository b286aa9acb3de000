"""The built documentation in a browser: no page logs an error, asks the network or outgrows a phone."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import pytest
from browser import load

SITE = Path(os.environ.get("SEQGRAD_SITE", "no site"))
PAGES = [
    "index.html", "lesson.html", "kernels.html", "add-a-cell.html", "concepts/gradient.html",
    "experiments/gradient_flow.html",
    "api/record.html", "benchmarks.html", "es/index.html", "es/leccion.html", "es/conceptos.html",
]  # fmt: skip

pytestmark = pytest.mark.skipif(not SITE.is_dir(), reason="no site: make docs, then SEQGRAD_SITE=build/docs/site")


def test_no_page_loads_anything_from_elsewhere():
    loaded = re.compile(r"""(?:<(?:script|img|iframe|source)[^>]*?\ssrc|<link[^>]*?\shref)\s*=\s*["'](?:https?:)?//""")
    styles = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")
    pages = list(SITE.rglob("*.html"))
    assert len(pages) > 20
    assert [page.name for page in pages if loaded.search(page.read_text(encoding="utf-8"))] == []
    assert [page.name for page in SITE.rglob("*.css") if styles.search(page.read_text(encoding="utf-8"))] == []


PROBE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe src="{page}" width="{width}" height="900" style="border:0"></iframe><pre id="found"></pre><script>
const frame = document.querySelector('iframe');
frame.onload = () => {{
  const inside = frame.contentWindow, root = inside.document.documentElement;
  document.getElementById('found').textContent = JSON.stringify({{
    needs: root.scrollWidth, asked: inside.performance.getEntriesByType('resource').map(one => one.name),
    pictures: [...inside.document.images].map(one => [one.complete, one.alt]),
  }});
}};
</script>"""


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("page", PAGES)
def test_pages_log_no_error_ask_nothing_and_fit(page, width, tmp_path):
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.format(page=(SITE / page).resolve().as_uri(), width=width), encoding="utf-8")
    dom, console = load(probe, tmp_path, "--allow-file-access-from-files")
    assert console == []
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.+?)</pre>', dom)[1]))
    assert found["needs"] <= width
    assert [name for name in found["asked"] if not name.startswith(("file:", "data:"))] == []
    assert all(complete for complete, _ in found["pictures"])
