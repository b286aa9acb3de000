"""``seqgrad report``: run files and saved records as one HTML page with figures, tables, findings and environment."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgrad import _html, _run_comparison, display, rules
from seqgrad._finding import worst_first
from seqgrad._observation import Observation
from seqgrad._page import environment, figure, page, png, write_whole
from seqgrad._record_file import written_with
from seqgrad._record_text import sparkline
from seqgrad._run_comparison import strayed
from seqgrad._run_file import ARCHIVE
from seqgrad._run_words import WORDS, odd_ones, say
from seqgrad._speech import number
from seqgrad._tail import Tail
from seqgrad.history import History
from seqgrad.record import GradientRecord
from seqgrad.suggest import suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqgrad._finding import Finding

DRAWN = 4  # series per run that get figures; the table has them all
FINDINGS = 200  # per run; the newest
ADVICE = 5  # suggestions per run
RECORD = "record"  # kind of a header: a saved record
OPEN = 5  # findings that are not folded away, lest the figures stand far below

STYLE = """
body{max-width:80rem}h1,h2,h3,p,.claims,.advice{max-width:46rem}h3{margin:2rem 0 .3rem;font-size:1.1rem}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,28rem),1fr));gap:0 1.5rem}
.wide{overflow-x:auto;margin:1rem 0;border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:collapse;font-size:.88rem;width:100%}
th,td{padding:.35rem .6rem;text-align:left}td{white-space:nowrap;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--line);vertical-align:bottom;line-height:1.3}
td svg{vertical-align:middle}tr+tr td{border-top:1px solid var(--line)}
.error{color:var(--bad)}.warning{color:var(--fixed)}.info{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;max-width:46rem}dt{color:var(--soft)}
summary{cursor:pointer;color:var(--link);padding:.3rem 0}
dd{margin:0;overflow-wrap:anywhere}.advice li{margin:.6rem 0}
.call{display:block;overflow-x:auto;white-space:pre-wrap;font-size:.85rem;color:var(--ink);background:var(--box);
border-radius:.3rem;padding:.25rem .5rem;margin:.25rem 0}
@media(max-width:40rem){.wide thead{display:none}.wide table,.wide tbody,.wide tr,.wide td{display:block}
.wide td{display:flex;justify-content:space-between;gap:1rem;text-align:right!important;white-space:normal;
overflow-wrap:anywhere;padding:.2rem .7rem}.wide td::before{content:attr(data-label);color:var(--soft);text-align:left}
.wide td:first-child{font-weight:600;padding-top:.6rem}.wide td:last-child{padding-bottom:.6rem}
.wide td+td{border-top:0}.wide tr+tr{border-top:1px solid var(--line)}tr+tr td{border-top:0}.wide svg{flex:none}}
"""


def load_runs(path: Path) -> dict[str, History]:
    """The run file or saved record, or all ``*.jsonl`` and ``*.npz`` of a folder, by file name without its ending.

    Raises:
        OSError: cannot be read. ValueError: a folder without either; a file that is foreign, damaged or newer.
    """
    files = sorted([*path.glob("*.jsonl"), *path.glob("*.npz")]) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"the folder {path} holds no run file (*.jsonl) and no saved record (*.npz); a training "
                         f"writes one with sinks=[seqgrad.sinks.JSONL({str(path / 'run.jsonl')!r})]")  # fmt: skip
    runs: dict[str, History] = {}
    for file in files:
        if _is_record(file):
            runs[file.stem if file.stem not in runs else file.name] = _of_record(file)
            continue
        tail = Tail(file, keep=None)
        tail.poll()
        runs[file.stem] = tail.history
        if tail.torn:
            tail.history.header["torn"] = True
    return runs


def _is_record(path: Path) -> bool:
    """By its first bytes, whatever its name: a record is a zip file."""
    with open(path, "rb") as file:
        return file.read(len(ARCHIVE)) == ARCHIVE


def _of_record(path: Path) -> History:
    """A saved record as a history of one step, with what the rules find in it."""
    record = GradientRecord.load(path)
    seen = Observation.of_record(record)
    facts: dict[str, Any] = {"kind": RECORD, "passes": len(record._log.passes), **written_with(path)}
    facts["layers"] = {series.layer: series.cell for series in record._log.passes}
    run = History(None, header=facts if record.rank is None else {**facts, "rank": record.rank})
    found = worst_first([finding for rule in rules.default() for finding in rule.check(seen)])
    if record:
        run.append(replace(seen, step=0).entry(), found)
    return run


def write_runs(runs: Mapping[str, History], out: Path, *, lang: str = "en") -> Path:
    """Write the page; it appears whole or not at all.

    Raises:
        OSError: the page cannot be written.
    """
    title = _title(list(runs.values()), lang)
    body = [f"<main>\n<h1>{html.escape(title)}</h1>\n"]
    if len(runs) > 1:
        links = "".join(f'<li><a href="#run-{k}">{html.escape(name)}</a></li>' for k, name in enumerate(runs))
        body.append(f'<nav aria-label="{say("contents", lang)}"><ol>{links}</ol></nav>\n')
        body.append(_run_comparison.section(runs, lang))
    body += [_run(k, name, run, lang) for k, (name, run) in enumerate(runs.items())]
    versions = ", ".join(f"{name} {value}" for name, value in environment().items())
    body.append(f'<p class="soft">{say("written", lang)} {html.escape(versions)}.</p>\n</main>\n')
    write_whole(out, page(title, lang, "".join(body), STYLE))
    return out


def _title(runs: list[History], lang: str) -> str:
    records = sum(map(_saved, runs))
    if records not in (0, len(runs)):
        return say("titles.mixed", lang)
    kind = ".record" if records else ""
    return say(f"title{kind}", lang) if len(runs) == 1 else say(f"titles{kind}", lang, len(runs))


def _saved(run: History) -> bool:
    """Whether it is a saved record, and no training."""
    return run.header.get("kind") == RECORD


def _run(place: int, name: str, run: History, lang: str) -> str:
    """The section of one run."""
    parts = [f'<section>\n<h2 id="run-{place}">{html.escape(name)}</h2>\n']
    if run.header.get("torn"):
        parts.append(f"<p>{say('torn', lang)}</p>\n")
    parts.append(_lead(run, lang) if len(run) else f"<p>{say('empty', lang)}</p>\n")
    parts.append(f"<h3>{say('findings', lang)}</h3>\n{_findings(run.findings, lang)}{_advice(run, lang)}")
    if len(run):
        table = _html.series_table(run, lang)
        parts.append(f'<h3>{say("many", lang)}</h3>\n<div class="wide" tabindex="0">{table}</div>\n')
        parts.append(_figures(run, lang))
    rows = "".join(
        f"<dt>{html.escape(_fact_name(key, lang))}</dt><dd>{html.escape(_fact(value, lang))}</dd>"
        for key, value in run.header.items() if key not in ("kind", "torn", "passes")
    )  # fmt: skip
    parts.append(f"<h3>{say('environment', lang)}</h3>\n<dl>{rows}</dl>\n</section>\n")
    return "".join(parts)


def _lead(run: History, lang: str) -> str:
    """How much was recorded, and the loss."""
    if _saved(run):
        passes, series = run.header["passes"], len(run.series)
        span = say(
            "record", lang, passes=say("record.pass" if passes == 1 else "record.passes", lang, passes),
            series=say("record.one" if series == 1 else "record.series", lang, series),
        )  # fmt: skip
    elif len(run) == 1:
        span = say("span.one", lang, run.steps[0])
    else:
        span = say("span", lang, len(run), run.steps[0], run.steps[-1])
    known = [entry.loss for entry in run.entries if entry.loss is not None]
    last = run.entries[-1].loss
    told = "" if last is None else f" {say('loss', lang)}: {number(last, lang, '.4g')}"
    curve = f" {sparkline(known, say('loss', lang), lang)}" if len(known) > 1 else ""
    return f'<p class="lead">{span}{told}{curve}</p>\n'


def _fact_name(key: str, lang: str) -> str:
    """What a key of a header means, where it is one of ours."""
    return say(f"header.{key}", lang) if f"header.{key}" in WORDS else key


def _fact(value: Any, lang: str) -> str:
    """A header's value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key or say('itself', lang)}: {_fact(item, lang)}" for key, item in value.items())
    return ", ".join(_fact(item, lang) for item in value) if isinstance(value, list) else str(value)


def _findings(found: list[Finding], lang: str) -> str:
    """Findings as a list, worst first, which also a narrow screen can show."""
    if not found:
        return f"<p>{say('none', lang)}</p>\n"
    order = {"error": 0, "warning": 1, "info": 2}
    shown = sorted(found[-FINDINGS:], key=lambda one: order[one.severity])
    older = f"<p>{say('older', lang, len(found) - FINDINGS)}</p>\n" if len(found) > FINDINGS else ""
    items = [_finding(one, lang) for one in shown]
    first, rest = items[:OPEN], items[OPEN:]
    folded = (
        f"<details><summary>{say('more', lang, len(rest))}</summary>\n"
        f'<ul class="claims">{"".join(rest)}</ul></details>\n'
    )
    return f'<ul class="claims">{"".join(first)}</ul>\n{folded if rest else ""}{older}'


def _finding(one: Finding, lang: str) -> str:
    spot = [one.key] * bool(one.key) + [f"t={one.t}"] * (one.t is not None)
    spot += [say("since", lang, one.step)] * (one.step is not None)
    text = one.text(lang)
    english = ' lang="en"' if lang != "en" and text == one.message else ""  # a rule that knows no other language
    call = _call(one.action) if one.action else ""
    return (
        f'<li class="{one.severity}"><span class="verdict">{_html.sign(one, lang)}: {html.escape(one.title(lang))}'
        f'</span> <span class="soft">· {html.escape(" · ".join(spot))}</span>'
        f"<p{english}>{html.escape(text.removesuffix(f': {one.action}'))}</p>{call}</li>\n"
    )


def _call(source: str) -> str:
    """A call to copy; where the screen is narrow its lines break behind parentheses, never inside a name."""
    return f'<code class="call">{html.escape(source).replace("(", "(<wbr>")}</code>'


def _advice(run: History, lang: str) -> str:
    """The most promising changes, each with its call; why is told by the findings above."""
    best = suggest(run, lang=lang)[:ADVICE]
    items = "".join(f"<li>{html.escape(one.change)}{_call(one.call)}</li>" for one in best)
    return f'<h3>{say("advice", lang)}</h3>\n<ol class="advice">{items}</ol>\n' if best else ""


def _figures(run: History, lang: str) -> str:
    """Map and curves of the series that stray farthest from a ratio of 1, NaN first."""
    names = [name for name in run.series if "grad_h" in run.quantities(name)]
    chosen = sorted(names, key=lambda name: -strayed(run, name))[:DRAWN]
    parts = [f"<p>{say('drawn', lang, len(chosen), len(names))}</p>\n"] if len(chosen) < len(names) else []
    for name in chosen:
        rows = [row for entry in run.entries if (row := entry.series.get(name)) is not None and "grad_h" in row.norms]
        norm = rows[-1].norms["grad_h"].tolist()
        steps = [entry.step for entry in run.entries if name in entry.series]
        ends = *(number(value, lang) for value in (norm[0], norm[-1])), len(norm) - 1
        parts.append(f"<h3>{html.escape(name)}</h3>\n" + '<div class="pair">\n')
        if len(steps) > 1:
            alt = say("flow.alt", lang, name, steps[0], steps[-1], *ends)
            parts.append(_picture(run, "heatmap", name, _heatmap_alt(run, name, lang), "heatmap.caption", lang))
            parts.append(_picture(run, "flow", name, alt, "flow.caption", lang))
        else:
            alt = say("flow.alt.one", lang, name, *ends)
            parts.append(_picture(run, "flow", name, alt, "flow.caption.one", lang))
        parts.append("</div>\n")
    return "".join(parts)


def _picture(run: History, kind: str, name: str, alt: str, caption: str, lang: str) -> str:
    curves = [] if kind != "flow" or not _saved(run) else [
        display.Curve(name, run.entries[-1].series[name].norms["grad_h"].tolist(), run.reverse(name))
    ]  # fmt: skip

    def draw(dark: bool) -> Figure:
        theme = "dark" if dark else "light"
        if not curves:
            return display.figure(run, kind, name=name, lang=lang, theme=theme)
        with display.theme(theme):  # a record has no training steps to name
            sheet, ax = display.blank()
            display.GradientFlowDisplay(curves, lang=lang).plot(ax)
        return sheet

    return figure(*png(draw), alt, say(caption, lang))


def _heatmap_alt(run: History, name: str, lang: str) -> str:
    rows = [entry.series[name].norms["grad_h"].tolist() for entry in run.entries if name in entry.series]
    values = [value for row in rows for value in row]
    real = [v for v in values if 0 < v < math.inf]
    facts = [say("range", lang, min(real), max(real)) if real else say("no range", lang)]
    facts += odd_ones(values, lang)
    return say("heatmap.alt", lang, name, len(rows), max(map(len, rows)), ", ".join(facts))
