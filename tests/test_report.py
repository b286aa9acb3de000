"""The report: self-contained, complete in both languages, every figure described in words."""

import re

import pytest
import torch
from browser import load, measure
from pages import Page

from seqgrad import _page, experiments
from seqgrad.experiments.texts import LANGUAGES
from seqgrad.report import SECTIONS, write_lesson


@pytest.fixture(scope="module")
def results():
    """Every experiment at toy size: the report's form does not depend on it."""
    run = experiments.long_dependency(("rnn",), (3, 50), seeds=2, steps=2, cures=("rnn_orthogonal",))
    return {
        "decay": experiments.decay(seeds=1),
        "gradient_flow": experiments.gradient_flow(hidden=16, seeds=1),
        "explosion": experiments.explosion(seeds=1, steps=4),
        "long_dependency": run,
        "char_model": experiments.char_model(steps=2, hidden=8, checkpoints=1),
    }


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
    targets = {attrs.get("id") for attrs in parsed.all("h2")}
    assert {attrs["href"][1:] for attrs in parsed.all("a")} == {section.key for section in SECTIONS} <= targets


def test_results_json_is_strict_and_complete(page):
    import json

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    path = page[3].parent / "results.json"
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [one["name"] for one in data["experiments"]] == list(experiments.EXPERIMENTS)
    assert data["environment"]["torch"] == torch.__version__


@pytest.mark.parametrize("section", [s for s in SECTIONS if s.code], ids=lambda s: s.key)
def test_code_shown_in_the_report_runs(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec("import torch, seqgrad as sg\n" + section.code, {})


@pytest.mark.parametrize("name", list(experiments.EXPERIMENTS))
def test_plot_returns_a_figure_and_shows_nothing(name, results):
    import matplotlib.pyplot as plt

    drawn = results[name].plot()
    assert drawn.figure_.axes
    assert plt.get_fignums() == []
