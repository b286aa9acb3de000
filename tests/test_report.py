"""The report: self-contained, complete in both languages, every figure described in words."""

import html
import inspect
import re
from dataclasses import replace

import pytest
import tiny
import torch
from browser import load, measure
from pages import Page

from seqgrad import _page, experiments
from seqgrad.experiments.texts import LANGUAGES
from seqgrad.report import CORRECTIONS, SECTIONS, figure_code, write_lesson


@pytest.fixture(scope="module")
def results():
    """Every experiment at toy size: the report's form does not depend on it."""
    found = tiny.results()
    found["long_dependency"].faster = {"rnn": 2.5}
    return found


@pytest.fixture(scope="module", params=LANGUAGES)
def page(request, results, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_page, "DOTS_PER_INCH", 30)  # small figures: their form is at stake here
        path = write_lesson(results, tmp_path_factory.mktemp("lesson"), lang=request.param)
    text = path.read_text(encoding="utf-8")
    return request.param, text, Page(text), path


def test_page_is_well_formed_and_names_its_language(page):
    lang, text, parsed, path = page
    assert parsed.open == []
    assert parsed.all("html") == [{"lang": lang}]
    assert path.name == f"lesson_{lang}.html"
    assert "{" not in re.sub(r"<style>.*?</style>|<pre>.*?</pre>", "", text, flags=re.DOTALL)  # no field left unfilled


def test_page_asks_nothing_of_the_network(page):
    _, text, parsed, _ = page
    assert parsed.all("script") == parsed.all("link") == parsed.all("iframe") == []
    sources = [attrs["src"] for attrs in parsed.all("img")] + [attrs["srcset"] for attrs in parsed.all("source")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(attrs["href"].startswith("#") for attrs in parsed.all("a"))
    assert "://" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    (policy,) = [attrs["content"] for attrs in parsed.all("meta") if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none'")
    assert "url(" not in text


def test_every_figure_is_there_in_light_and_dark_with_words_for_it(page):
    _, _, parsed, path = page
    expected = sum(len(section.figures) for section in SECTIONS)
    assert len(parsed.all("img")) == len(parsed.all("source")) == len(parsed.all("figcaption")) == expected
    for attrs in parsed.all("img"):
        assert len(attrs["alt"]) > 60
    assert {attrs["media"] for attrs in parsed.all("source")} == {"(prefers-color-scheme: dark)"}
    assert len(list(path.parent.glob("*.png"))) == expected


def test_every_measured_claim_is_shown_with_its_verdict(page, results):
    _, text, _, _ = page
    claims = [claim for result in results.values() for claim in result.claims]
    assert len(claims) > 20
    assert text.count('class="verdict"') == len(claims)


def test_page_fits_a_phone_and_follows_the_colour_scheme(page):
    _, text, parsed, _ = page
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in parsed.all("meta")
    assert "prefers-color-scheme:dark" in text
    assert "figure img{width:100%;height:auto" in text


def test_in_a_browser_it_fits_a_phone_and_the_console_stays_empty(page, tmp_path):
    _, _, parsed, path = page
    _, console = load(path, tmp_path)
    assert console == []
    found = measure(path, tmp_path, 400)
    assert found["needs"] <= found["width"] == 400
    assert [picture["drawn"] > 0 for picture in found["pictures"]] == [True] * len(parsed.all("img"))


def test_each_section_link_has_its_target(page):
    _, _, parsed, _ = page
    targets = [attrs["id"] for name in ("h2", "li") for attrs in parsed.all(name) if "id" in attrs]
    links = {attrs["href"][1:] for attrs in parsed.all("a")}
    assert links <= set(targets) and len(set(targets)) == len(targets)
    assert {section.key for section in SECTIONS} <= links


def test_results_json_is_strict_and_complete(page):
    import json

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    path = page[3].parent / "results.json"
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [one["name"] for one in data["experiments"]] == [entry.name for entry in tiny.lesson()]
    assert data["environment"]["torch"] == torch.__version__


@pytest.mark.filterwarnings("ignore::seqgrad.FindingWarning")  # a network that was not trained does vanish
@pytest.mark.parametrize("section", [s for s in SECTIONS if s.code], ids=lambda s: s.key)
def test_code_shown_in_the_report_runs(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec("import torch, seqgrad as sg\n" + section.code, {})


SHOTS = [figure for section in SECTIONS for figure in section.figures]


@pytest.mark.parametrize(
    ("name", "kind", "lang", "quick"),
    [(*shot, "en", False) for shot in SHOTS] + [("decay", "toy", "es", True)],
    ids=lambda part: str(part),
)
def test_code_under_each_figure_makes_it(name, kind, lang, quick, results, tmp_path, monkeypatch):
    """The lines as they stand; but what takes minutes is done already, if the call would be accepted."""
    code = figure_code(name, kind, lang, quick=quick)
    entry = experiments.EXPERIMENTS[name]

    def done(*args, **options):
        inspect.signature(entry.function).bind(*args, **options)
        return results[name]

    monkeypatch.setattr(experiments, name, done)
    monkeypatch.setitem(experiments.EXPERIMENTS, name, replace(entry, function=done))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert (tmp_path / f"{name}_{kind}.png").stat().st_size > 5000
    assert code.count("\n") == 2


def test_under_each_figure_stands_its_code(page):
    lang, text, _, _ = page
    for name, kind in SHOTS:
        assert html.escape(figure_code(name, kind, lang)) in text


@pytest.mark.parametrize("entry", tiny.lesson(), ids=lambda entry: entry.name)
def test_every_kind_is_drawn_and_shows_nothing(entry, results):
    import matplotlib.pyplot as plt

    result = results[entry.name]
    assert isinstance(result, entry.result)
    drawn = {kind for section in SECTIONS for name, kind in section.figures if name == entry.name}
    for kind in set(result.kinds) - drawn:
        assert result.plot(kind).figure_.axes
    assert plt.get_fignums() == []
    assert len(result.to_pandas()) == len(result.rows()) > 0


def test_the_five_loose_points_open_the_report_and_the_checklist_closes_it(page, results):
    _, text, _, _ = page
    opening = text[text.index("<ol>") : text.index("<nav")]
    assert re.findall('href="#(.+?)"', opening) == list(CORRECTIONS) and len(CORRECTIONS) == 5
    closing = text[text.index('<ul class="check">') :]
    assert closing.count("<details>") == 5
    measured = {claim.id for result in results.values() for claim in result.claims if claim.spec.item}
    assert {id for id in measured if f'href="#{id}"' in closing} == measured


def test_the_table_of_starts_has_a_row_each(page, results):
    _, text, _, _ = page
    table = text[text.index("<table>") : text.index("</table>")]
    assert table.count("<tr>") == 1 + len(results["initialisation"].profiles)
    assert "$" not in table


def test_a_section_without_its_experiment_is_left_out(results, tmp_path):
    few = {name: result for name, result in results.items() if name in ("decay", "gradient_flow")}
    text = write_lesson(few, tmp_path).read_text(encoding="utf-8")
    assert 'id="vanishing"' in text and 'id="dependency"' not in text and "#dependency" not in text
