"""seqgrad report: one page about one training or several, complete, self-contained, right in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from string import Formatter

import pytest
import torch
from browser import load, measure
from click.testing import CliRunner
from pages import Page
from runs import FINDINGS, STEPS, history, write

import seqgrad as sg
from seqgrad import _page, _run_report
from seqgrad._run_words import WORDS, say
from seqgrad.cli import main
from seqgrad.experiments.texts import LANGUAGES

pytest.importorskip("matplotlib")


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module", params=LANGUAGES)
def page(request, tmp_path_factory):
    """Two runs in a folder, the second torn by a kill."""
    folder = tmp_path_factory.mktemp("runs")
    write(folder / "first <one>.jsonl")
    second = write(folder / "second.jsonl", 12)
    with open(second, "a", encoding="utf-8") as file:
        file.write('{"kind":"st')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_page, "DOTS_PER_INCH", 40)  # small figures: their form is at stake here
        result = call("report", folder, "-o", folder / "all.html", "--lang", request.param)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(folder / "all.html")
    path = folder / "all.html"
    return request.param, path.read_text(encoding="utf-8"), Page(path), path


def test_page_is_well_formed_and_names_its_language(page):
    lang, text, parsed, _ = page
    assert parsed.open == [] and parsed.all("html") == [{"lang": lang}]
    assert "{" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)  # no field left unfilled
    assert "first &lt;one&gt;" in text and "<one>" not in text


def test_page_asks_nothing_of_the_network(page):
    _, text, parsed, _ = page
    assert parsed.all("script") == parsed.all("link") == parsed.all("iframe") == []
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in parsed.all("img"))
    assert all(attrs["href"].startswith("#") for attrs in parsed.all("a"))
    bare = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert "://" not in bare and "url(" not in bare
    (policy,) = [attrs["content"] for attrs in parsed.all("meta") if "http-equiv" in attrs]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_series_has_its_figures_with_words_for_them(page):
    _, _, parsed, _ = page
    alts = [attrs["alt"] for attrs in parsed.all("img")]
    assert len(alts) == 2 + 2 * 2 * 2  # two comparisons; two figures of two series in two runs
    assert all(len(alt) > 60 for alt in alts)
    assert f"{STEPS}" in alts[2] and ("exact zeros" in alts[2] or "ceros exactos" in alts[2]) and "NaN" in alts[2]
    assert len(parsed.all("source")) == len(alts)


def test_findings_stand_worst_first_and_escaped(page):
    _, text, _, _ = page
    messages = [text.index(part) for part in ("passes 100 at t=2", "&lt;NaN&gt; &amp; born", "below 1e-3 of its start")]
    assert messages == sorted(messages)
    assert text.count('<li class="error">') == 2 and text.count('<li class="warning">') == 2


def test_many_findings_are_folded_away_worst_first(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 30)
    monkeypatch.setattr(_run_report, "FINDINGS", 40)
    past = history(30)
    past.findings *= 25
    _run_report.write_runs({"run": past}, tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    shown, folded = text.split("<details>")
    assert shown.count('<li class="error">') == _run_report.OPEN and shown.count('<li class="warning">') == 0
    assert "<summary>35 more</summary>" in folded and "10 older findings are left out" in folded
    assert folded.count('<li class="warning">') == 20


def test_torn_run_says_so_and_environment_is_named(page):
    lang, text, _, _ = page
    assert text.count(say("torn", lang)) == 1
    assert text.count("<dt>torch</dt>") == 2


def test_links_have_their_targets(page):
    _, _, parsed, _ = page
    targets = {attrs.get("id") for attrs in parsed.all("h2")}
    assert {attrs["href"][1:] for attrs in parsed.all("a")} == {"run-0", "run-1"} <= targets


@pytest.mark.parametrize("key", WORDS)
def test_both_languages_fill_the_same_fields(key):
    fields = [sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None) for text in WORDS[key]]
    assert fields[0] == fields[1]


def test_in_a_browser_the_console_stays_empty(page, tmp_path):
    _, _, _, path = page
    dom, console = load(path, tmp_path)
    assert console == []
    assert dom.count("<img") == 10


def test_a_request_to_the_outside_would_be_seen(page, tmp_path):
    """The check above can fail: the policy stops a foreign picture and the console says so."""
    _, text, _, _ = page
    bad = tmp_path / "bad.html"
    bad.write_text(text.replace("<main>", '<main><img src="http://127.0.0.1:9/x.png" alt="x">'), encoding="utf-8")
    _, console = load(bad, tmp_path)
    assert any("Content Security Policy" in line for line in console)


def test_a_page_that_is_too_wide_would_be_seen(tmp_path):
    wide = tmp_path / "wide.html"
    body = '<p style="font-size:9px">small</p><div style="width:900px">wide</div><svg></svg>'
    wide.write_text(body, encoding="utf-8")
    found = measure(wide, tmp_path, 400)
    assert found["width"] == 400 and found["needs"] > 900 and found["small"] == 1 and found["unnamed"] == 1


@pytest.mark.parametrize("width", [400, 1200])
def test_in_a_browser_it_fits_phone_and_wide_screen_in_light_and_dark(page, tmp_path, width):
    _, _, _, path = page
    light, dark = (measure(path, tmp_path, width, dark=choice) for choice in (False, True))
    for found in (light, dark):
        assert found["width"] == width and found["needs"] <= width
        assert found["small"] == 0 and found["unnamed"] == 0
        assert len(found["pictures"]) == 10
        assert all(picture["drawn"] > 0 and picture["alt"] for picture in found["pictures"])
    assert light["paper"] == "rgb(255, 255, 255)" and dark["paper"] == "rgb(21, 24, 29)"
    assert light["ink"] != dark["ink"]
    assert all(a["shown"] != b["shown"] for a, b in zip(light["pictures"], dark["pictures"], strict=True))


def test_spanish_findings_and_advice_stand_on_a_spanish_page(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 30)
    rnn = sg.init.identity_(sg.RNN(3, 8), 0.5)
    with (mon := sg.Monitor(rnn, on_finding=None)):
        rnn(torch.zeros(40, 2, 3))[0][-1].sum().backward()
    mon.step(loss=0.25)
    _run_report.write_runs({"run": mon.history}, tmp_path / "x.html", lang="es")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "! aviso: Gradiente que se desvanece" in text and "el gradiente se desvanece: a partir de t=29" in text
    assert "Un paso registrado, el paso 0. Pérdida: 0,25" in text and 'lang="en"' not in text
    assert "<h3>Qué probar, en este orden</h3>" in text and "<li>Usa capas con puertas" in text
    assert "<dt>dispositivo</dt><dd>cpu</dd>" in text and "<dt>se observa cada</dt><dd>50</dd>" in text


def test_a_finding_that_knows_no_spanish_is_marked_as_english(page):
    lang, text, _, _ = page
    assert ('<p lang="en">encoder.rnn l0 passes 100' in text) is (lang == "es")


def test_runs_that_share_no_series_are_compared_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 30)
    other = sg.RNN(3, 8)
    with (mon := sg.Monitor(other, on_finding=None)):
        other(torch.randn(9, 2, 3))[0][-1].sum().backward()
    mon.step()
    _run_report.write_runs({"one": history(), "two": mon.history}, tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "one encoder.rnn.l0, two l0, by steps back from where backprop starts." in text


def test_report_of_one_run_takes_its_name_and_speaks_json(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 30)
    path = write(tmp_path / "run.jsonl", 10)
    data = json.loads(call("report", path, "--json").stdout)
    assert data["report"] == str(tmp_path / "run.html") and data["runs"] == ["run"]
    assert [finding["rule"] for finding in data["findings"]["run"]] == [FINDINGS[0].rule]
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "<h1>Gradients of a training</h1>" in text and "<nav" not in text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.html", "run.jsonl"]  # no scratch file left


def test_report_of_a_run_without_steps(tmp_path):
    assert call("report", write(tmp_path / "run.jsonl", 0)).exit_code == 0
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "This run has no recorded step yet." in text and "No findings." in text


def test_only_the_series_that_stray_farthest_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 30)
    monkeypatch.setattr(_run_report, "DRAWN", 1)
    past = history()
    _run_report.write_runs({"run": past}, tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "Figures show the 1 series that stray farthest" in text and "the table has all 2" in text
    assert "<h3>encoder.rnn.l0</h3>" in text and "<h3>encoder.rnn.l0_reverse</h3>" not in text


def test_wrong_paths_are_usage_errors(tmp_path):
    empty = call("report", tmp_path)
    assert empty.exit_code == 2 and "holds no run file" in " ".join(empty.stderr.split())
    missing = call("report", tmp_path / "none.jsonl")
    assert missing.exit_code == 2 and "there is no file" in missing.stderr
    path = write(tmp_path / "run.jsonl", 1)
    taken = call("report", path, "-o", tmp_path / "run.jsonl" / "deeper.html")
    assert taken.exit_code == 2 and "--out: cannot write" in taken.stderr


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_saved_record_is_reported_with_what_the_rules_find_in_it(tmp_path, monkeypatch, lang):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 40)
    rnn = sg.init.identity_(sg.RNN(3, 8), 0.5)  # halves at zero input
    with sg.record(rnn) as record:
        rnn(torch.zeros(40, 2, 3))[0][-1].sum().backward()
    record.save(tmp_path / "one.npz")
    result = call("report", tmp_path / "one.npz", "--lang", lang)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "one.html").read_text(encoding="utf-8")
    lead = {"en": "A saved record: one backward pass of one series.",
            "es": "Un registro guardado: una pasada hacia atrás de una serie."}  # fmt: skip
    assert f'<p class="lead">{lead[lang]}</p>' in text
    assert {"en": "from t=29 on", "es": "a partir de t=29"}[lang] in text  # 2^-10 < 1e-3
    assert {"en": "Gradients of a saved record", "es": "Los gradientes de un registro guardado"}[lang] in text
    assert f"<dt>torch</dt><dd>{torch.__version__}</dd>" in text and "<dt>seqgrad</dt>" in text
    assert {"en": "the model itself: rnn_tanh", "es": "el propio modelo: rnn_tanh"}[lang] in text
    assert "seqgrad.init.orthogonal_(<wbr>model)" in text and "get_submodule" not in text
    for word in ({"en": "training", "es": "entrenamiento"}[lang], say("trend", lang)):
        assert word not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text.partition("</style>")[2])
    images = Page(tmp_path / "one.html").all("img")
    assert len(images) == 1 and "l0" in images[0]["alt"]


def test_runs_and_records_of_a_folder_share_a_page_and_foreign_archives_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "DOTS_PER_INCH", 40)
    write(tmp_path / "run.jsonl")
    rnn = sg.GRU(3, 8)
    with sg.record(rnn) as record:
        rnn(torch.randn(9, 2, 3))[0][-1].sum().backward()
    record.save(tmp_path / "run.npz")
    assert list(_run_report.load_runs(tmp_path)) == ["run", "run.npz"]
    assert call("report", tmp_path).exit_code == 0
    with zipfile.ZipFile(tmp_path / "theirs.npz", "w") as archive:
        archive.writestr("x", "y")
    result = call("report", tmp_path / "theirs.npz")
    assert result.exit_code == 2
    assert "theirs.npz" in result.stderr
