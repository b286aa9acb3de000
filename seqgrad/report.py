"""The lesson's HTML report: one file that asks nothing of the network, in English or Spanish, light or dark."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgrad._page import environment, figure, page, png, write_whole
from seqgrad.experiments import Claim, Result, tasks
from seqgrad.experiments._result import seeded
from seqgrad.experiments.claims import count, number
from seqgrad.experiments.texts import say
from seqgrad.experiments.truncation import SAMPLE

STYLE = """
.how pre{margin-top:-.8rem;padding:.5rem .8rem;font-size:.78rem}.wide{overflow-x:auto}
@media(min-width:60rem){.wide{margin:0 -4rem}}
table{border-collapse:collapse;font-size:.8rem;line-height:1.35}th,td{padding:.3rem .45rem;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th:first-child{text-align:left}thead th{white-space:normal;
vertical-align:bottom;font-weight:600}tbody th{font-weight:400}summary{cursor:pointer}
nav ul{list-style:none;padding:0}
.claims>li:target{background:var(--box)}
"""
MARKS = {"reproduced": "✓", "corrected": "✎", "not reproduced": "✗"}


@dataclass(frozen=True)
class Section:
    """One section of the lesson: its figures as (experiment, kind), its claims in order, and a few lines of code."""

    key: str
    figures: tuple[tuple[str, str], ...]
    claims: tuple[str, ...]
    code: str = ""
    quote: tuple[str, str] | None = None  # (experiment, fact) shown word for word under the figures
    table: str = ""  # an experiment whose table() is shown
    sample: str = ""  # a piece of the lesson's code that is put right here


SECTIONS: tuple[Section, ...] = (
    Section(
        "gradient", (), ("flow.product", "flow.every_step"),
        "import torch, seqgrad as sg\n\n"
        "rnn = sg.RNN(10, 32)\n"
        "with sg.record(rnn) as rec:\n"
        "    rnn(torch.randn(100, 8, 10))[0][-1].sum().backward()\n"
        'rec["l0"].grad_h   # [T, N]: the norm of dL/dh_t, sample by sample',
    ),
    Section(
        "vanishing", (("decay", "toy"), ("gradient_flow", "default"), ("gradient_flow", "share")),
        ("decay.four_factors", "decay.hundred_factors", "decay.simulation", "decay.real_factor", "decay.sigma_max",
         "flow.vanishes", "init.lag_49", "init.small", "flow.mirrored", "flow.early_steps", "flow.share"),
        "rnn = sg.RNN(10, 128)\n"
        "with sg.record(rnn) as rec:\n"
        "    rnn(torch.randn(100, 8, 10))[0][-1].sum().backward()\n"
        "rec.decay, rec.horizon(1e-3), rec.below_eps   # factor per step, steps it reaches, steps that teach nothing",
    ),
    Section(
        "exploding", (("explosion", "growth"), ("explosion", "training")),
        ("explosion.four_factors", "explosion.fifty_factors", "explosion.linear", "explosion.saturated",
         "explosion.found_at", "explosion.nan", "explosion.clipped_finishes", "explosion.clipped_learns"),
        "rnn = sg.init.orthogonal_(sg.RNN(10, 32), gain=2.0)\n"
        "sg.init.recurrent_spectrum(rnn)   # what counts, beside the states",
    ),
    Section(
        "detection", (("detection", "blind"),),
        ("detection.large", "detection.nan", "detection.fires", "detection.same", "detection.blind",
         "detection.silent", "detection.timesteps"),
        "model = sg.RNN(10, 32)\n"
        "monitor = sg.Monitor(model, every=1)\n"
        "with monitor:\n"
        "    loss = model(torch.randn(50, 8, 10))[0][-1].sum()\n"
        "    loss.backward()\n"
        "sg.check_grads(model)    # the loop over the parameters\n"
        "monitor.step(loss)       # the same step, timestep by timestep",
    ),
    Section(
        "clipping", (("clipping", "rule"), ("clipping", "training"), ("clipping", "vanishing")),
        ("clipping.rule", "clipping.bounded", "clipping.norm_direction", "clipping.value_direction", "clipping.both",
         "clipping.turned", "clipping.negative", "clipping.saves", "clipping.value", "clipping.state",
         "clipping.state_tanh", "clipping.state_less", "clipping.after_nan", "clipping.vanishing",
         "clipping.orthogonal"),
        "model = sg.RNN(10, 32)\n"
        "model(torch.randn(50, 8, 10))[0][-1].sum().backward()\n"
        "sg.clip.grad_norm_(model, 1.0)   # after backward, before the step; a NaN raises",
    ),
    Section(
        "initialisation", (("initialisation", "rnn"),),
        ("init.orthogonal", "init.orthogonal_keeps", "init.bias_cost", "init.xavier", "init.xavier_alone",
         "init.radius", "init.identity", "init.spread"),
        "rnn = sg.init.orthogonal_(sg.init.xavier_(sg.RNN(10, 32)))\n"
        "torch.nn.init.zeros_(rnn.bias_ih_l0), torch.nn.init.zeros_(rnn.bias_hh_l0)\n"
        "sg.init.recurrent_spectrum(rnn)",
        table="initialisation",
    ),
    Section(
        "residual", (("residual", "flow"), ("residual", "scale")),
        ("residual.formula", "residual.grows", "residual.orthogonal", "residual.state", "residual.scale",
         "residual.learns"),
        "rnn = sg.ResidualRNN(10, 32, residual_scale=0.01)\n"
        "out, state = rnn(torch.randn(100, 8, 10))",
    ),
    Section(
        "truncation", (("truncation", "cut"), ("truncation", "learning")),
        ("truncation.sample", "truncation.zero", "truncation.whole", "truncation.loop", "truncation.learns_whole",
         "truncation.learns_cut", "truncation.reservoir"),
        "model, head = sg.LSTM(10, 32), torch.nn.Linear(32, 2)\n"
        "optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()])\n"
        "x, y = torch.randn(100, 8, 10), torch.randint(2, (100, 8))\n\n"
        "state = None\n"
        "for chunk, target, t0, last in sg.tbptt(x, y, size=20):\n"
        "    out, state = model(chunk, sg.detach(state))   # an LSTM's state is a pair\n"
        "    loss = torch.nn.functional.cross_entropy(head(out).flatten(0, 1), target.flatten())\n"
        "    optimizer.zero_grad()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n\n"
        "sg.LSTM(10, 32, truncate=20)   # or the cut inside one call",
        sample=SAMPLE,
    ),
    Section(
        "dependency", (("long_dependency", "accuracy"), ("long_dependency", "cures")),
        ("dependency.distance", "dependency.rnn_10", "dependency.all_or_nothing", "dependency.rnn_50",
         "dependency.rnn_100", "dependency.rnn_orthogonal"),
        "run = sg.experiments.long_dependency(('rnn',), (10,), seeds=1, cures=())\n"
        "run.success('rnn', 10)",
    ),
    Section(
        "picture", (("gradient_flow", "bars"), ("information_flow", "forward"), ("information_flow", "both")),
        ("flow.factor_ten", "info.rich", "info.some", "info.nothing", "info.probe", "info.sensitivity",
         "info.orthogonal"),
        "flow = sg.analysis.information_flow(sg.RNN(10, 32), torch.randn(50, 64, 10))\n"
        "flow.by_step(), flow.probe, flow.spread   # of your own network and data, at every t",
    ),
    Section(
        "gates", (("gradient_flow", "gates"), ("initialisation", "gated")),
        ("flow.forget_law", "flow.lstm_default", "flow.gru_default", "flow.forget_one", "flow.forget_99", "flow.chrono",
         "init.gates", "init.chrono", "info.chrono", "dependency.lstm_default", "dependency.gru_default",
         "dependency.lstm_chrono", "dependency.gru_chrono"),
        "lstm = sg.init.forget_bias_(sg.LSTM(10, 32), 1.0)\n"
        "lstm = sg.init.chrono_(sg.LSTM(10, 32), T=100)   # or this\n"
        "with sg.record(lstm) as rec:\n"
        "    lstm(torch.randn(100, 8, 10))[0][-1].sum().backward()\n"
        'rec["l0"].grad_c   # the highway: the norm of dL/dc_t',
    ),
    Section(
        "text", (("char_model", "learning"), ("char_model", "horizon")), ("char.beats_bigrams", "char.horizon_moves"),
        quote=("char_model", "sample"),
    ),
)  # fmt: skip
# Where the lesson's words are looser than its ideas; the report opens with these.
CORRECTIONS = ("flow.mirrored", "flow.early_steps", "dependency.distance", "flow.lstm_default", "truncation.sample")


def figure_code(name: str, kind: str, lang: str = "en", *, quick: bool = False) -> str:
    """The lines of Python that make one figure of the lesson again, from the same seeds.

    Example:
        >>> print(figure_code("decay", "toy"))
        import seqgrad as sg
        result = sg.experiments.decay()
        result.plot("toy").figure_.savefig("decay_toy.png")
    """
    call = f'sg.experiments.run("{name}", quick=True)' if quick else f"sg.experiments.{name}()"
    language = "" if lang == "en" else f', lang="{lang}"'
    return (
        f'import seqgrad as sg\nresult = {call}\nresult.plot("{kind}"{language}).figure_.savefig("{name}_{kind}.png")'
    )


def write_lesson(results: Mapping[str, Result], out: Path, *, lang: str = "en", quick: bool = False) -> Path:
    """Write ``lesson_<lang>.html``, its figures as PNG and ``results.json`` into ``out``; returns the page's path.

    ``results`` are the results of all experiments by name. An existing folder is reused, its files of the same name
    replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    facts = gather(results)
    body = [_head(results, lang, quick)]
    body += [_section(section, results, facts, out, lang, quick) for section in _shown(results)]
    body += [_checklist(results, lang), _method(results, lang)]
    path = out / f"lesson_{lang}.html"
    write_whole(path, page(say("report.title", lang), lang, "".join(body), STYLE))
    save_results(results, out / "results.json", quick=quick)
    return path


def save_results(results: Mapping[str, Result], path: Path, *, quick: bool) -> None:
    """All rows, facts and claims as strict JSON."""
    data = {"quick": quick, "environment": environment(), "experiments": [r.to_dict() for r in results.values()]}
    write_whole(path, json.dumps(data, ensure_ascii=False, allow_nan=False))


def gather(results: Mapping[str, Result]) -> dict[str, Any]:
    """The facts of all experiments in one dict; names that several use belong to the last of them."""
    facts: dict[str, Any] = {}
    for result in results.values():
        facts |= result.facts()
    return facts


def claims_of(results: Mapping[str, Result]) -> dict[str, Claim]:
    """All measured claims by id."""
    return {claim.id: claim for result in results.values() for claim in result.claims}


def _shown(results: Mapping[str, Result]) -> list[Section]:
    """The sections whose figures have been measured."""
    return [section for section in SECTIONS if all(name in results for name, _ in section.figures)]


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_prose(line)}</p>\n" for line in text.split("\n"))


def _prose(text: str) -> str:
    """Escaped text with `code`, and the few formulas it holds set as such: W_hh, h_(k−1), 2^50."""
    text = html.escape(text, quote=False)
    text = re.sub(
        r"\b(d?)([WLhcfgix])_(?:\(([^)]+)\)|(hh|xh|[Tkt1])(?![a-zA-Z_]))", r"\1<i>\2</i><sub>\3\4</sub>", text
    )
    text = re.sub(r"\b([\d.,]*\d|f)\^(-?\d+|k)", r"\1<sup>\2</sup>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _head(results: Mapping[str, Result], lang: str, quick: bool) -> str:
    tally = count(claims_of(results).values())
    boxes = "".join(
        f'<li><b class="{verdict.split()[0]}">{tally[verdict]}</b>{say(f"verdict.{verdict}", lang)}</li>'
        for verdict in tally
    )
    links = "".join(
        f'<li><a href="#{section.key}">{say(f"section.{section.key}.title", lang)}</a></li>'
        for section in _shown(results)
    )
    note = f'<p class="soft">{say("report.quick", lang)}</p>\n' if quick else ""
    return (
        f'<h1>{say("report.title", lang)}</h1>\n<p class="lead">{say("report.lead", lang)}</p>\n'
        f'{note}<p>{say("report.verdicts", lang)}:</p>\n<ul class="tally">{boxes}</ul>\n{_corrections(results, lang)}'
        f'<nav aria-label="{say("report.contents", lang)}"><ul>{links}</ul></nav>\n'
    )


def _section(
    section: Section, results: Mapping[str, Result], facts: dict[str, Any], out: Path, lang: str, quick: bool
) -> str:
    known = claims_of(results)
    parts = [f'<section>\n<h2 id="{section.key}">{html.escape(say(f"section.{section.key}.title", lang))}</h2>\n']
    own = {name: results[name].facts() for name, _ in section.figures}
    for one in own.values():
        facts = facts | one
    parts.append(_paragraphs(say(f"section.{section.key}.text", lang, **facts)))
    parts += [_figure(results[name], kind, out, lang, quick) for name, kind in section.figures]
    if section.table in results:
        parts.append(_table(results[section.table], lang))
    if section.quote and section.quote[0] in results:
        words = html.escape(str(results[section.quote[0]].facts()[section.quote[1]]))
        parts.append(f"<p>{say(f'section.{section.key}.quote', lang)}</p>\n<pre>{words}</pre>\n")
    if section.key == "dependency":
        parts.append(_sentences(lang))
    if section.key == "dependency" and getattr(results.get("long_dependency"), "faster", None):
        parts.append(_paragraphs(say("section.dependency.speed", lang, **facts)))
    if section.sample:
        parts += [f"<p>{say(f'section.{section.key}.sample', lang)}</p>\n", _code(section.sample)]
        parts.append(_paragraphs(say(f"section.{section.key}.said", lang, **facts)))
    if section.code:
        parts += [f'<p class="soft">{say("report.code", lang)}</p>\n', _code(section.code)]
    listed = [_claim(known[id], lang) for id in section.claims if id in known]
    if listed:
        parts.append(f'<ul class="claims">{"".join(listed)}</ul>\n')
    parts.append("</section>\n")
    return "".join(parts)


def _figure(result: Result, kind: str, out: Path, lang: str, quick: bool) -> str:
    light, dark = png(lambda dark: result.plot(kind, lang=lang, dark=dark).figure_)
    write_whole(out / f"{result.name}_{kind}_{lang}.png", light)
    caption = say(f"{result.name}.{kind}.caption", lang, **result.facts())
    code = _code(figure_code(result.name, kind, lang, quick=quick))
    return figure(light, dark, result.alt(kind, lang), _prose(caption)) + f'<div class="how">{code}</div>\n'


def _sentences(lang: str) -> str:
    """Sentences of the lesson's kind, made by the grammar that the agreement experiments read."""
    with seeded(0):
        made = tasks.agreement(16, language=lang, kind="modified", depths=(1, 2, 3, 4), opposite=True)
    turns = (made.between - 1) % len(made.answers)  # another answer at every length
    chosen = {int(made.between[n]): made.text(n) for n in range(16) if made.labels[n] == turns[n]}
    lines = [chosen[length] for length in sorted(chosen)]
    return _paragraphs(say("section.dependency.sentences", lang)) + f"<pre>{html.escape(chr(10).join(lines))}</pre>\n"


def _code(text: str) -> str:
    return f"<pre><code>{html.escape(text)}</code></pre>\n"


def _table(result: Any, lang: str) -> str:
    """The result's ``table()``: its head from the texts, its numbers as people write them."""
    keys, rows = result.table()
    head = "".join(f'<th scope="col">{_subscripts(say(f"table.{key}", lang))}</th>' for key in keys)
    body = "".join(
        f'<tr><th scope="row">{_subscripts(say(f"setup.{row[0]}", lang))}</th>'
        + "".join(f"<td>{_brief(value, lang)}</td>" for value in row[1:])
        + "</tr>\n"
        for row in rows
    )
    note = _prose(say(f"{result.name}.table", lang, **result.facts()))
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>\n<p class="soft">{note}</p>\n'


def _brief(value: float, lang: str) -> str:
    """To two figures: 0.61, 2.8·10⁻¹²."""
    return re.sub(r"(\d[.,]\d)0(?=·)", r"\1", number(float(f"{value:.2g}"), lang))


def _subscripts(text: str) -> str:
    """A figure's label as HTML: ``W$_{hh}$`` and the like are its only mathtext."""
    return re.sub(r"\$_\{?(\w+)\}?\$", r"<sub>\1</sub>", html.escape(text, quote=False))


def _claim(claim: Claim, lang: str) -> str:
    spec, word = claim.spec, claim.verdict.split()[0]
    where = say("report.line", lang, line=spec.line) if spec.line else say("report.beyond", lang)
    verdict = say(f"verdict.{claim.verdict}", lang)
    text = _prose(claim.text(lang))
    correction = claim.correction(lang)
    if correction:
        text = f"<em>{say('report.lesson_says', lang)}</em> {text}</p><p><em>{say('report.we_find', lang)}</em> "
        text += _prose(correction)
    return (
        f'<li class="{word}" id="{claim.id}"><span class="verdict">{MARKS[claim.verdict]} {verdict}</span>'
        f' <span class="soft">· {where}</span><p>{text}</p>'
        f'<p class="numbers">{say("report.measured", lang)} {number(claim.measured, lang)} · '
        f"{say('report.expected', lang)} {spec.expectation(lang)}</p></li>\n"
    )


def _checklist(results: Mapping[str, Result], lang: str) -> str:
    claims = list(claims_of(results).values())
    rows, note = [], f" ({say('verdict.corrected', lang)})"
    for item in range(1, 6):
        own = [claim for claim in claims if claim.spec.item == item]
        good = sum(claim.ok for claim in own)
        tick, word = ("☑", "reproduced") if own and good == len(own) else ("☐", "not")
        links = "".join(
            f'<li><span class="{claim.verdict.split()[0]}">{MARKS[claim.verdict]}</span> '
            f'<a href="#{claim.id}">{_prose(claim.text(lang))}</a>'
            f"{note if claim.verdict == 'corrected' else ''}</li>\n"
            for claim in own
        )
        rows.append(
            f'<li><details><summary><span class="{word}">{tick}</span> {say(f"item.{item}", lang)} ({good}/{len(own)})'
            f"</summary>\n<ul>{links}</ul></details></li>\n"
        )
    return (
        f"<section>\n<h2>{say('section.checklist.title', lang)}</h2>\n"
        f"{_paragraphs(say('section.checklist.text', lang))}"
        f'<ul class="check">{"".join(rows)}</ul>\n</section>\n'
    )


def _corrections(results: Mapping[str, Result], lang: str) -> str:
    """The five points in which the lesson's words are looser than its ideas, each with a link to its measurement."""
    known = claims_of(results)
    rows = [
        f'<li>{_prose(say(f"loose.{id}", lang))} <a href="#{id}">{say("loose.see", lang)}</a></li>\n'
        for id in CORRECTIONS
        if id in known
    ]
    return f"<p>{say('loose.lead', lang)}</p>\n<ol>{''.join(rows)}</ol>\n" if rows else ""


def _method(results: Mapping[str, Result], lang: str) -> str:
    seconds = sum(result.seconds for result in results.values())
    found = environment()
    line = say(
        "report.environment", lang, torch=f"torch {found['torch']}", python=found["python"], version=found["seqgrad"],
        seconds=seconds,
    )  # fmt: skip
    text = say("section.method.text", lang, results="`results.json`")
    return (
        f"<section>\n<h2>{say('section.method.title', lang)}</h2>\n{_paragraphs(text)}"
        f'<p class="soft">{html.escape(line)}</p>\n</section>\n'
    )
