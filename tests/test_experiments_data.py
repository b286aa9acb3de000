"""Experiments on real data and the comparison of cures: what the data is, what a reach is, that forms agree."""

import math
import sys

import pytest
import torch

import seqgrad as sg
from seqgrad.experiments import _cures_plan, _speller, datasets, tasks
from seqgrad.experiments._comparison import CELLS, fit
from seqgrad.experiments._reach import Reach, Reader, probe
from seqgrad.experiments.cures import CURES, Cures, Network, measure_costs
from seqgrad.experiments.texts import LANGUAGES
from seqgrad.experiments.vowels import between_forms, packed, padded


# -- data ----------------------------------------------------------------------------------------------------------
def test_digits_are_the_same_images_in_every_order():
    row, pixel, permuted = (datasets.digits(order) for order in datasets.ORDERS)
    assert (row.steps, row.inputs, pixel.steps, pixel.inputs) == (8, 8, 64, 1)
    for part in ("train", "test"):
        x, y, lengths = getattr(pixel, part)
        assert torch.equal(x.squeeze(2).t(), getattr(row, part)[0].transpose(0, 1).flatten(1))
        shuffled = getattr(permuted, part)[0]
        assert torch.equal(shuffled.sort(0).values, x.sort(0).values)
        assert not torch.equal(shuffled, x)
        assert torch.equal(y, getattr(permuted, part)[1])
        assert (lengths == 64).all()
        assert 0 <= x.min() < x.max() == 1
    assert len(row.train[1]) + len(row.test[1]) == 1797
    assert torch.bincount(row.test[1]).min() > 30


def test_vowels_are_ragged_and_zero_behind_their_end():
    data = datasets.japanese_vowels()
    for (x, y, lengths), count in ((data.train, 270), (data.test, 370)):
        assert x.shape[1:] == (count, 12)
        assert len(y) == count
        assert lengths.max() == x.size(0)
        assert lengths.min() == 7
        beyond = torch.arange(x.size(0)).unsqueeze(1) >= lengths
        assert not x[beyond].any()
        assert x[lengths - 1, torch.arange(count)].any(1).all()
    assert torch.bincount(data.train[1]).tolist() == [30] * 9  # as its authors say
    assert [round(v, 6) for v in data.train[0][:2, 0, 0].tolist()] == [1.860936, 1.891651]  # the file's first numbers


@pytest.mark.parametrize(("package", "call"), [("sklearn", datasets.digits), ("sktime", datasets.japanese_vowels)])
def test_missing_package_is_named_with_its_extra(package, call, monkeypatch):
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    call.cache_clear()
    name = {"sklearn": "scikit-learn"}.get(package, package)
    with pytest.raises(ImportError, match=rf"{call.__name__}\(\) needs {name}: pip install 'seqgrad\[data\]'"):
        call()


def test_command_says_in_one_line_what_to_install(monkeypatch):
    from click.testing import CliRunner

    from seqgrad.cli import main

    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    datasets.japanese_vowels.cache_clear()
    result = CliRunner().invoke(main, ["run", "vowels", "--quick"])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: vowels: japanese_vowels() needs sktime: pip install 'seqgrad[data]'"
    )


def test_package_without_the_file_says_so(tmp_path):
    folder = tmp_path / "sktime" / "datasets" / "data" / "JapaneseVowels"
    with pytest.raises(RuntimeError, match=r"the installed sktime does not hold X\.ts; pip install -U"):
        datasets._read_ts(folder / "X.ts")


def test_vowels_are_read_without_importing_their_package():
    datasets.japanese_vowels()
    assert "sktime" not in sys.modules


# -- reach ---------------------------------------------------------------------------------------------------------
def test_horizon_is_the_last_step_back_before_a_thousandth_is_lost():
    assert Reach([1.0, 0.1, 1e-3, 9e-4, 1.0]).horizon == 2
    assert Reach([1.0, 5.0, 25.0]).horizon == 2
    assert Reach([1.0, math.inf, 1.0]).horizon == 0
    assert math.isnan(Reach([math.nan, 1.0]).horizon)


def test_reach_of_an_orthogonal_linear_like_network_is_level_and_counts_from_each_samples_end():
    torch.manual_seed(0)
    layer = sg.init.identity_(sg.RNN(3, 8))
    torch.nn.init.zeros_(layer.weight_ih_l0)  # states stay 0, where tanh' is 1: W_hh = I passes the gradient on
    model = Reader(layer, 2)
    lengths = torch.tensor([9, 4, 6])
    found = probe(model, (torch.randn(9, 3, 3), lengths), torch.tensor([0, 1, 0]))
    assert found.curve == pytest.approx([1.0] * 9, rel=1e-6)
    assert found.horizon == 8
    assert all(parameter.grad is None for parameter in model.parameters())


def test_reach_is_a_median_over_samples_and_stops_where_bptt_is_cut():
    torch.manual_seed(0)
    layer = sg.init.identity_(sg.RNN(3, 8, truncate=4))
    model = Reader(layer, 2)
    found = probe(model, (0.01 * torch.randn(12, 5, 3),), torch.tensor([0, 1, 0, 1, 1]))
    assert found.horizon == 3
    assert found.ratio == 0.0


@pytest.mark.parametrize("cell", CELLS)
def test_packed_batch_and_lengths_give_the_same_gradients_and_reach(cell):
    assert between_forms(cell, batches=2) < 1e-12
    data, small = datasets.japanese_vowels(), {"hidden": 8, "rate": 2e-3, "updates": 3}
    one, other = (fit("vowels", cell, 3, data, form=form, **small) for form in (packed, padded))
    assert one.outcome == pytest.approx(other.outcome, abs=0.01)
    assert one.after.curve == pytest.approx(other.after.curve, rel=1e-3)


# -- experiments ---------------------------------------------------------------------------------------------------
RUNS = {
    "digits": lambda: sg.experiments.digits(("rnn", "residual"), ("row", "permuted"), seeds=2, updates=3),
    "vowels": lambda: sg.experiments.vowels(("gru", "residual_scaled"), seeds=1, updates=3),
    "char_cells": lambda: sg.experiments.char_cells(("rnn", "lstm"), seeds=1, updates=2, hidden=8),
    "cures": lambda: sg.experiments.cures(("first_50",), ("rnn", "gru"), ("clip", "chrono"), seeds=1, updates=2),
}


@pytest.fixture(scope="module", params=list(RUNS))
def run(request):
    return RUNS[request.param]()


def test_figures_in_both_languages_and_themes_have_words_for_them(run):
    for kind in run.kinds:
        for lang in LANGUAGES:
            drawing = run.plot(kind, lang=lang, dark=lang == "es")
            drawing.figure_.canvas.draw()
            assert len(run.alt(kind, lang)) > 60
    assert len(run.to_pandas()) == len(run.rows()) > 0


def test_registered_as_data_with_quick_settings_and_a_name(run):
    entry = sg.experiments.EXPERIMENTS[run.name]
    assert entry.group == "data"
    assert all(entry.takes(option) for option in entry.quick)


def test_digits_learn_by_row_and_open_their_horizon():
    run = sg.experiments.digits(("gru",), ("row",), seeds=1, updates=250)
    assert run.outcome("row", "gru") > 0.85  # five seeds: 0.90 to 0.94
    assert run.horizon("row", "gru", trained=True) == 7


def test_untrained_horizons_order_as_theory_says():
    run = sg.experiments.digits(("rnn", "residual"), ("pixel",), seeds=1, updates=1)
    assert run.horizon("pixel", "rnn", trained=False) < 20 < run.horizon("pixel", "residual", trained=False) == 63


def test_spellers_windows_are_stretches_of_the_training_text():
    text = tasks.documentation()
    torch.manual_seed(1)
    characters = _speller.window(text)
    assert characters.shape == (_speller.LENGTH + 1, _speller.BATCH)
    first = "".join(text.alphabet[k] for k in characters[:, 0].tolist())
    assert first in "".join(text.alphabet[k] for k in text.train.tolist())


# -- cures ---------------------------------------------------------------------------------------------------------
def test_cures_do_to_the_horizon_what_they_are_for():
    def before(cell, cure):
        return _cures_plan.train_once("first_50", cell, cure, 0, 1).horizon_before

    assert before("rnn", "clip") == before("rnn", "none") < 20  # clipping is no cure for vanishing
    assert before("rnn", "orthogonal") == before("rnn", "identity") == 49
    assert before("lstm", "none") < before("lstm", "forget_one") < before("lstm", "chrono") == 49
    assert before("residual", "none") == 49
    assert before("residual", "truncate") == 24  # the last chunk


def test_residual_scale_and_state_clip_tame_the_growth():
    ratio = {
        cure: _cures_plan.train_once("first_100", "residual", cure, 0, 1).ratio_before
        for cure in ("clip", "state_clip", "residual_scale")
    }
    assert ratio["state_clip"] < ratio["residual_scale"] < ratio["clip"] / 3


def test_a_diverged_network_counts_as_worst():
    def network(outcome, task, seed):
        return Network(task, "rnn", "none", seed, 1, outcome, 12, 12, 0.1, 0.1, 0.0)

    outcomes = (math.nan, 0.5, 0.95)
    table = Cures(
        [network(o, task, k) for task in ("first_50", "pixels", "spelling") for k, o in enumerate(outcomes)], {}, {}
    )
    first, pixels, spelling = (table.entry(task, "rnn", "none") for task in ("first_50", "pixels", "spelling"))
    assert first.outcome == pytest.approx(1 / 3)
    assert first.diverged == 1
    assert pixels.outcome == 0.5
    assert spelling.outcome == 0.95
    assert "1/3 †1" in table.to_markdown()


def test_kept_networks_are_not_trained_again_and_come_back_whole(tmp_path):
    keep, small = tmp_path / "keep.jsonl", {"seeds": 1, "updates": 2}
    first = sg.experiments.cures(("first_50",), ("rnn",), ("clip",), keep=keep, **small)
    size = keep.stat().st_size
    again = sg.experiments.cures(("first_50",), ("rnn",), ("clip",), keep=keep, **small)
    assert keep.stat().st_size == size
    assert again.networks == first.networks
    assert again.costs == first.costs
    wider = sg.experiments.cures(("first_50",), ("rnn",), ("clip", "orthogonal"), keep=keep, **small)
    assert [network.cure for network in wider.networks] == ["clip", "orthogonal"]
    wider.save(tmp_path / "saved.jsonl")
    loaded = Cures.load(tmp_path / "saved.jsonl")
    assert loaded.rows() == wider.rows()
    assert loaded.environment == wider.environment


def test_file_of_something_else_is_refused_with_its_line(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"environment": {}}\n{"task": "first_50"}\n')
    with pytest.raises(ValueError, match=r"other\.jsonl, line 2: no network and no cost"):
        Cures.load(path)


def test_costs_are_relative_to_the_bare_cell():
    costs = measure_costs([("rnn", "none"), ("rnn", "orthogonal")], rounds=1, task="first_50")
    assert costs["rnn", "none"] == 1.0
    assert set(costs) == {("rnn", "none"), ("rnn", "orthogonal")}


def test_published_table_is_complete():
    table = sg.experiments.EXPERIMENTS["cures"].published()
    planned = {(cell, cure) for cure, how in CURES.items() for cell in how.cells}
    assert set(table.lines) == set(table.costs) == planned
    for task, plan in _cures_plan.TASKS.items():
        for line in planned:
            assert table.entry(task, *line).seeds == plan.seeds >= 5
    assert {network.updates for network in table.networks} == {300, 800}
    assert all(claim.ok for claim in table.claims)
    assert len(table.claims) >= 8


def test_published_networks_train_again_to_the_same():
    table = Cures.load()
    for line in (("rnn", "orthogonal"), ("residual", "none")):
        (published,) = [n for n in table.networks if (n.task, n.cell, n.cure, n.seed) == ("first_50", *line, 3)]
        again = _cures_plan.train_once("first_50", *line, 3, published.updates)
        assert again.outcome == pytest.approx(published.outcome, abs=0.05)  # other processors round otherwise
        assert again.horizon_before == published.horizon_before
        assert again.ratio_before == pytest.approx(published.ratio_before, rel=0.01)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_table_for_documents_has_a_row_per_cell_and_cure(lang):
    from pages import Page

    table = Cures.load()
    lines = table.to_markdown(lang).splitlines()
    assert len(lines) == 2 + len(table.lines)
    assert {line.count("|") for line in lines} == {2 * len(table.tasks) + 5}
    page = Page(table.to_html(lang))
    assert page.open == []
    assert len(page.all("tr")) == 1 + len(table.lines)


# -- manners -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.experiments.digits(("rmm",)), "cells must be one of rnn, gru, lstm, residual, .*; got 'rmm'"),
        (lambda: sg.experiments.digits(()), "cells must name at least one of rnn"),
        (lambda: sg.experiments.digits(orders=("column",)), "orders must be one of row, pixel, permuted; got 'column'"),
        (lambda: sg.experiments.digits(orders=()), "orders must name at least one of row"),
        (lambda: sg.experiments.vowels(seeds=0), "seeds must be at least 1, got 0"),
        (lambda: sg.experiments.char_cells(hidden=1), "hidden must be at least 2, got 1"),
        (lambda: sg.experiments.cures(("adding",)), "tasks must be one of first_50, first_100, .*; got 'adding'"),
        (lambda: sg.experiments.cures(cures=("pray",)), "cures must be one of none, clip, .*; got 'pray'"),
        (lambda: sg.experiments.cures(cells=()), "cells must name at least one of rnn"),
        (lambda: sg.experiments.cures(cells=("rnn",), cures=("chrono",)), "none of cures chrono applies to cells rnn"),
        (lambda: sg.experiments.cures(updates=0), "updates must be at least 1, got 0"),
        (lambda: datasets.digits("column"), "order must be one of row, pixel, permuted; got 'column'"),
    ],
)
def test_wrong_names_and_numbers_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
