"""``seqgrad report``: run files and saved records as one HTML page with figures, tables, findings and environment."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgrad import _html, display, rules
from seqgrad._finding import worst_first
from seqgrad._observation import Observation
from seqgrad._page import environment, figure, page, png, write_whole
from seqgrad._record_text import sparkline
from seqgrad._tail import Tail
from seqgrad.history import History
from seqgrad.record import GradientRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqgrad._finding import Finding

DRAWN = 4  # series per run that get figures; the table has them all
FINDINGS = 200  # per run; the newest
OPEN = 5  # findings that are not folded away, lest the figures stand far below

STYLE = """
body{max-width:80rem}h1,h2,h3,p,.claims{max-width:46rem}h3{margin:2rem 0 .3rem;font-size:1.1rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr));gap:0 1.5rem}
.wide{overflow-x:auto;margin:1rem 0;border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:collapse;font-size:.88rem;width:100%}
th,td{padding:.35rem .6rem;text-align:left;white-space:nowrap}
th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--line)}td svg{vertical-align:middle}
tr+tr td{border-top:1px solid var(--line)}td{font-variant-numeric:tabular-nums}
.error{color:var(--bad)}.warning{color:var(--fixed)}.info{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;max-width:46rem}dt{color:var(--soft)}
summary{cursor:pointer;color:var(--link);padding:.3rem 0}
dd{margin:0;overflow-wrap:anywhere}
"""

TEXT = {
    "en": {
        "title": "Gradients of a training", "titles": "Gradients of {0} trainings", "runs": "Runs",
        "compared": "The last recorded gradient of every run",
        "compared.caption": "Series {0}, each run at its last recorded step.",
        "span": "{0} recorded steps, from step {1} to step {2}.", "record": "A saved record, {0} passes of {1} series.",
        "empty": "This run has no recorded step yet.",
        "torn": "Its last line is torn and was left out: the run was being written, or was killed.",
        "loss": "loss", "findings": "Findings", "older": "{0} older findings are left out.", "more": "{0} more",
        "series": "Series",
        "drawn": "Figures show the {0} series that stray farthest from a level gradient; the table has all {1}.",
        "heatmap.caption": "Norm of the gradient by training step and timestep, on a log scale.",
        "flow.caption": "The same norm at a few training steps, first to last.",
        "heatmap.alt": "Map of the gradient norm of {0} over {1} recorded steps and up to {2} timesteps: {3}.",
        "flow.alt": "Curves of the gradient norm of {0} by timestep at training steps {1} to {2}; at the last it goes "
        "from {3} at t=0 to {4} at t={5}.",
        "compare.alt": "Curves of the gradient norm of {0} by timestep, one for each of the runs {1}.",
        "range": "from {0:.3g} to {1:.3g}", "no range": "no positive finite value",
        "zeros": "{0} exact zeros", "bad": "{0} NaN or Inf", "environment": "Environment",
        "written": "This page was written by", "since": "since step {0}",
    },
    "es": {
        "title": "Los gradientes de un entrenamiento", "titles": "Los gradientes de {0} entrenamientos",
        "runs": "Entrenamientos", "compared": "El último gradiente registrado de cada entrenamiento",
        "compared.caption": "Serie {0}, cada entrenamiento en su último paso registrado.",
        "span": "{0} pasos registrados, del paso {1} al paso {2}.",
        "record": "Un registro guardado: {0} pasadas de {1} series.",
        "empty": "Este entrenamiento aún no tiene ningún paso registrado.",
        "torn": "Su última línea está cortada y se dejó fuera: se estaba escribiendo o el proceso fue interrumpido.",
        "loss": "pérdida", "findings": "Hallazgos", "older": "Se omiten {0} hallazgos anteriores.", "more": "{0} más",
        "series": "Series",
        "drawn": "Las figuras muestran las {0} series que más se alejan de un gradiente parejo; la tabla las tiene "
        "todas ({1}).",
        "heatmap.caption": "Norma del gradiente por paso de entrenamiento y paso de tiempo, en escala logarítmica.",
        "flow.caption": "La misma norma en algunos pasos de entrenamiento, del primero al último.",
        "heatmap.alt": "Mapa de la norma del gradiente de {0} en {1} pasos registrados y hasta {2} pasos de tiempo: "
        "{3}.",
        "flow.alt": "Curvas de la norma del gradiente de {0} por paso de tiempo en los pasos de entrenamiento {1} a "
        "{2}; en el último va de {3} en t=0 a {4} en t={5}.",
        "compare.alt": "Curvas de la norma del gradiente de {0} por paso de tiempo, una por entrenamiento: {1}.",
        "range": "de {0:.3g} a {1:.3g}", "no range": "ningún valor positivo y finito",
        "zeros": "{0} ceros exactos", "bad": "{0} NaN o Inf", "environment": "Entorno",
        "written": "Página escrita por", "since": "desde el paso {0}",
    },
}  # fmt: skip


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
        return file.read(2) == b"PK"


def _of_record(path: Path) -> History:
    """A saved record as a history of one step, with what the rules find in it."""
    record = GradientRecord.load(path)
    seen = Observation.of_record(record)
    facts = {"kind": "record", "passes": len(record._log.passes), "layers": ", ".join(map(repr, record.layers))}
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
    text = TEXT[lang]
    title = text["title"] if len(runs) == 1 else text["titles"].format(len(runs))
    body = [f"<main>\n<h1>{html.escape(title)}</h1>\n"]
    if len(runs) > 1:
        links = "".join(f'<li><a href="#run-{k}">{html.escape(name)}</a></li>' for k, name in enumerate(runs))
        body.append(f'<nav aria-label="{text["runs"]}"><ol>{links}</ol></nav>\n{_comparison(runs, lang)}')
    body += [_run(k, name, run, lang) for k, (name, run) in enumerate(runs.items())]
    versions = ", ".join(f"{name} {value}" for name, value in environment().items())
    body.append(f'<p class="soft">{text["written"]} {html.escape(versions)}.</p>\n</main>\n')
    write_whole(out, page(title, lang, "".join(body), STYLE))
    return out


def _run(number: int, name: str, run: History, lang: str) -> str:
    """The section of one run."""
    text = TEXT[lang]
    parts = [f'<section>\n<h2 id="run-{number}">{html.escape(name)}</h2>\n']
    if run.header.get("torn"):
        parts.append(f"<p>{text['torn']}</p>\n")
    if not len(run):
        parts.append(f"<p>{text['empty']}</p>\n")
    else:
        if run.header.get("kind") == "record":
            span = text["record"].format(run.header["passes"], len(run.series))
        else:
            span = text["span"].format(len(run), run.steps[0], run.steps[-1])
        known = [entry.loss for entry in run.entries if entry.loss is not None]
        last = run.entries[-1].loss
        told = "" if last is None else f" {text['loss']}: {'NaN' if math.isnan(last) else f'{last:.4g}'}"
        curve = f" {sparkline(known, text['loss'])}" if len(known) > 1 else ""
        parts.append(f'<p class="lead">{span}{told}{curve}</p>\n')
    parts.append(f"<h3>{text['findings']}</h3>\n{_findings(run.findings, lang)}")
    if len(run):
        parts.append(
            f'<h3>{text["series"]}</h3>\n<div class="wide" tabindex="0">{_html.series_table(run, lang)}</div>\n'
        )
        parts.append(_figures(run, lang))
    rows = "".join(
        f"<dt>{html.escape(str(key))}</dt><dd>{html.escape(_fact(value))}</dd>"
        for key, value in run.header.items() if key not in ("kind", "torn")
    )  # fmt: skip
    parts.append(f"<h3>{text['environment']}</h3>\n<dl>{rows}</dl>\n</section>\n")
    return "".join(parts)


def _fact(value: Any) -> str:
    """A header's value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key or 'model'}: {_fact(item)}" for key, item in value.items())
    return ", ".join(map(_fact, value)) if isinstance(value, list) else str(value)


def _findings(found: list[Finding], lang: str) -> str:
    """Findings as a list, worst first, which also a narrow screen can show; their messages are English."""
    text, words = TEXT[lang], _html.WORDS[lang]
    if not found:
        return f"<p>{words['none']}</p>\n"
    order = {"error": 0, "warning": 1, "info": 2}
    shown = sorted(found[-FINDINGS:], key=lambda one: order[one.severity])
    older = f"<p>{text['older'].format(len(found) - FINDINGS)}</p>\n" if len(found) > FINDINGS else ""
    items = []
    for one in shown:
        spot = [one.key] * bool(one.key) + [f"t={one.t}"] * (one.t is not None)
        spot += [text["since"].format(one.step)] * (one.step is not None)
        items.append(
            f'<li class="{one.severity}"><span class="verdict">{_html.SIGNS[one.severity]} {words[one.severity]}: '
            f'{html.escape(one.rule)}</span> <span class="soft">· {html.escape(" · ".join(spot))}</span>'
            f'<p lang="en">{html.escape(one.message)}</p></li>\n'
        )
    first, rest = items[:OPEN], items[OPEN:]
    folded = (
        f"<details><summary>{text['more'].format(len(rest))}</summary>\n"
        f'<ul class="claims">{"".join(rest)}</ul></details>\n'
    )
    return f'<ul class="claims">{"".join(first)}</ul>\n{folded if rest else ""}{older}'


def _figures(run: History, lang: str) -> str:
    """Map and curves of the series that stray farthest from a ratio of 1, NaN first."""
    text = TEXT[lang]
    names = [name for name in run.series if "grad_h" in run.quantities(name)]
    chosen = sorted(names, key=lambda name: -_strayed(run, name))[:DRAWN]
    parts = [f"<p>{text['drawn'].format(len(chosen), len(names))}</p>\n"] if len(chosen) < len(names) else []
    for name in chosen:
        row = next(entry.series[name] for entry in reversed(run.entries) if name in entry.series)
        norm = row.norms["grad_h"].tolist()
        steps = [entry.step for entry in run.entries if name in entry.series]
        flow = text["flow.alt"].format(
            name, steps[0], steps[-1], *(f"{v:.3g}" for v in (norm[0], norm[-1])), len(norm) - 1
        )
        parts.append(f"<h3>{html.escape(name)}</h3>\n" + '<div class="pair">\n')
        if len(steps) > 1:
            parts.append(_picture(run, "heatmap", name, _heatmap_alt(run, name, lang), lang))
        parts.append(_picture(run, "flow", name, flow, lang) + "</div>\n")
    return "".join(parts)


def _picture(run: History, kind: str, name: str, alt: str, lang: str) -> str:
    def draw(dark: bool) -> Figure:
        return display.figure(run, kind, name=name, lang=lang, theme="dark" if dark else "light")

    return figure(*png(draw), alt, TEXT[lang][f"{kind}.caption"])


def _heatmap_alt(run: History, name: str, lang: str) -> str:
    text = TEXT[lang]
    rows = [entry.series[name].norms["grad_h"].tolist() for entry in run.entries if name in entry.series]
    values = [value for row in rows for value in row]
    real = [v for v in values if 0 < v < math.inf]
    facts = [text["range"].format(min(real), max(real)) if real else text["no range"]]
    zeros, bad = sum(v == 0 for v in values), sum(not math.isfinite(v) for v in values)
    facts += [text["zeros"].format(zeros)] * bool(zeros) + [text["bad"].format(bad)] * bool(bad)
    return text["heatmap.alt"].format(name, len(rows), max(map(len, rows)), ", ".join(facts))


def _strayed(run: History, name: str) -> float:
    """How far the ratio ever was from 1, in powers of e; inf with a NaN or a zero."""
    ratios = [entry.series[name].figures.get("ratio", 1.0) for entry in run.entries if name in entry.series]
    return max((abs(math.log(r)) if 0 < r < math.inf else math.inf for r in ratios), default=0.0)


def _comparison(runs: Mapping[str, History], lang: str) -> str:
    """The last curve of every run, for the series that most of them have."""
    text = TEXT[lang]
    last = {name: run.entries[-1].series for name, run in runs.items() if len(run)}
    count: dict[str, int] = {}
    for series in last.values():
        for name in series:
            count[name] = count.get(name, 0) + ("grad_h" in series[name].norms)
    if not count or max(count.values()) < 2:
        return ""
    name = max(count, key=lambda key: count[key])
    curves = [
        display.Curve(run, series[name].norms["grad_h"].tolist(), series[name].reverse)
        for run, series in last.items() if name in series and "grad_h" in series[name].norms
    ]  # fmt: skip

    def draw(dark: bool) -> Figure:
        with display.theme("dark" if dark else "light"):
            sheet, ax = display.blank()
            display.GradientFlowDisplay(curves, lang=lang).plot(ax, x="lag", title=name)
        return sheet

    alt = text["compare.alt"].format(name, ", ".join(curve.label for curve in curves))
    caption = html.escape(text["compared.caption"].format(name))
    return f"<h2>{text['compared']}</h2>\n{figure(*png(draw), alt, caption)}"
