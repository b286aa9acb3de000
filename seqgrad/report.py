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
from seqgrad.experiments import Claim, Result
from seqgrad.experiments.claims import count, number
from seqgrad.experiments.texts import say

MARKS = {"reproduced": "✓", "corrected": "✎", "not reproduced": "✗"}


@dataclass(frozen=True)
class Section:
    """One section of the lesson: its figures as (experiment, kind), its claims in order, and a few lines of code."""

    key: str
    figures: tuple[tuple[str, str], ...]
    claims: tuple[str, ...]
    code: str = ""
    quote: tuple[str, str] | None = None  # (experiment, fact) shown word for word under the figures


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
        "vanishing", (("decay", "toy"), ("gradient_flow", "default")),
        ("decay.four_factors", "decay.hundred_factors", "decay.simulation", "decay.real_factor", "decay.sigma_max",
         "flow.vanishes", "flow.mirrored", "flow.early_steps", "flow.blind_norm"),
        "toy = sg.experiments.decay(0.5, 50)\n"
        "toy.values[-1], toy.per_step\n"
        "toy.plot().figure_.savefig('decay.png')",
    ),
    Section(
        "exploding", (("explosion", "growth"),),
        ("explosion.four_factors", "explosion.fifty_factors", "explosion.linear", "explosion.saturated",
         "explosion.found_at", "explosion.nan"),
        "rnn = sg.init.orthogonal_(sg.RNN(10, 32), gain=2.0)\n"
        "sg.init.recurrent_spectrum(rnn)\n"
        "boom = sg.experiments.explosion(2.0, train=False)",
    ),
    Section(
        "cures", (("explosion", "training"), ("gradient_flow", "cures")),
        ("explosion.clip_rule", "explosion.clip_norm_direction", "explosion.clip_value_direction",
         "explosion.clipped_finishes", "explosion.clipped_learns", "flow.orthogonal", "flow.orthogonal_keeps",
         "flow.bias_cost", "flow.residual"),
        "model = sg.init.orthogonal_(sg.RNN(10, 32))\n"
        "model = sg.ResidualRNN(10, 32, residual_scale=0.1)   # or this\n"
        "model(torch.randn(50, 8, 10))[0][-1].sum().backward()\n"
        "sg.clip.grad_norm_(model, 1.0)   # after backward, before the step",
    ),
    Section(
        "dependency", (("long_dependency", "accuracy"), ("long_dependency", "cures")),
        ("dependency.distance", "dependency.rnn_10", "dependency.all_or_nothing", "dependency.rnn_50",
         "dependency.rnn_100", "dependency.rnn_orthogonal"),
        "run = sg.experiments.long_dependency(('rnn',), (10,), seeds=1, cures=())\n"
        "run.success('rnn', 10)",
    ),
    Section("picture", (("gradient_flow", "bars"),), ("flow.factor_ten",)),
    Section(
        "gates", (("gradient_flow", "gates"),),
        ("flow.forget_law", "flow.lstm_default", "flow.gru_default", "flow.forget_one", "flow.forget_99",
         "dependency.lstm_default", "dependency.gru_default", "dependency.lstm_chrono", "dependency.gru_chrono"),
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


def write_lesson(results: Mapping[str, Result], out: Path, *, lang: str = "en", quick: bool = False) -> Path:
    """Write ``lesson_<lang>.html``, its figures as PNG and ``results.json`` into ``out``; returns the page's path.

    ``results`` are the results of all experiments by name. An existing folder is reused, its files of the same name
    replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    facts = gather(results)
    body = [_head(results, lang, quick)]
    body += [_section(section, results, facts, out, lang) for section in SECTIONS]
    body += [_checklist(results, lang), _method(results, lang)]
    path = out / f"lesson_{lang}.html"
    write_whole(path, page(say("report.title", lang), lang, "".join(body)))
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


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_prose(line)}</p>\n" for line in text.split("\n"))


def _prose(text: str) -> str:
    """Escaped text with `code`, and the few formulas it holds set as such: W_hh, h_(k−1), 2^50."""
    text = html.escape(text, quote=False)
    text = re.sub(r"\b(d?)([WLhcfgi])_(?:\(([^)]+)\)|(hh|[Tkt1])\b)", r"\1<i>\2</i><sub>\3\4</sub>", text)
    text = re.sub(r"\b([\d.,]*\d|f)\^(-?\d+|k)", r"\1<sup>\2</sup>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _head(results: Mapping[str, Result], lang: str, quick: bool) -> str:
    tally = count(claims_of(results).values())
    boxes = "".join(
        f'<li><b class="{verdict.split()[0]}">{tally[verdict]}</b>{say(f"verdict.{verdict}", lang)}</li>'
        for verdict in tally
    )
    links = "".join(
        f'<li><a href="#{section.key}">{say(f"section.{section.key}.title", lang).split(". ")[-1]}</a></li>'
        for section in SECTIONS
    )
    note = f'<p class="soft">{say("report.quick", lang)}</p>\n' if quick else ""
    return (
        f'<h1>{say("report.title", lang)}</h1>\n<p class="lead">{say("report.lead", lang)}</p>\n'
        f'{note}<p>{say("report.verdicts", lang)}:</p>\n<ul class="tally">{boxes}</ul>\n'
        f'<nav aria-label="{say("report.contents", lang)}"><ol>{links}</ol></nav>\n'
    )


def _section(section: Section, results: Mapping[str, Result], facts: dict[str, Any], out: Path, lang: str) -> str:
    known = claims_of(results)
    parts = [f'<section>\n<h2 id="{section.key}">{html.escape(say(f"section.{section.key}.title", lang))}</h2>\n']
    own = {name: results[name].facts() for name, _ in section.figures if name in results}
    for one in own.values():
        facts = facts | one
    parts.append(_paragraphs(say(f"section.{section.key}.text", lang, **facts)))
    parts += [_figure(results[name], kind, out, lang) for name, kind in section.figures]
    if section.quote:
        words = html.escape(str(results[section.quote[0]].facts()[section.quote[1]]))
        parts.append(f"<p>{say(f'section.{section.key}.quote', lang)}</p>\n<pre>{words}</pre>\n")
    listed = [_claim(known[id], lang) for id in section.claims if id in known]
    if listed:
        parts.append(f'<ul class="claims">{"".join(listed)}</ul>\n')
    if section.code:
        parts.append(
            f'<p class="soft">{say("report.code", lang)}</p>\n<pre><code>{html.escape(section.code)}</code></pre>\n'
        )
    parts.append("</section>\n")
    return "".join(parts)


def _figure(result: Result, kind: str, out: Path, lang: str) -> str:
    light, dark = png(lambda dark: result.plot(kind, lang=lang, dark=dark).figure_)
    write_whole(out / f"{result.name}_{kind}_{lang}.png", light)
    caption = say(f"{result.name}.{kind}.caption", lang, **result.facts())
    return figure(light, dark, result.alt(kind, lang), _prose(caption))


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
        f'<li class="{word}"><span class="verdict">{MARKS[claim.verdict]} {verdict}</span>'
        f' <span class="soft">· {where}</span><p>{text}</p>'
        f'<p class="numbers">{say("report.measured", lang)} {number(claim.measured, lang)} · '
        f"{say('report.expected', lang)} {spec.expectation(lang)}</p></li>\n"
    )


def _checklist(results: Mapping[str, Result], lang: str) -> str:
    claims = list(claims_of(results).values())
    rows = []
    for item in range(1, 6):
        own = [claim for claim in claims if claim.spec.item == item]
        good = sum(claim.ok for claim in own)
        tick, word = ("☑", "reproduced") if own and good == len(own) else ("☐", "not")
        rows.append(f'<li><span class="{word}">{tick}</span> {say(f"item.{item}", lang)} ({good}/{len(own)})</li>')
    return (
        f"<section>\n<h2>{say('section.checklist.title', lang)}</h2>\n"
        f"{_paragraphs(say('section.checklist.text', lang))}"
        f'<ul class="check">{"".join(rows)}</ul>\n</section>\n'
    )


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
