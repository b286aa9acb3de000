"""Finding: what it says in which language, and how it survives a file."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from string import Formatter

import pytest
import torch
from telling import same_numbers
from torch import nn

import seqgrad as sg
from seqgrad import _finding_words as words
from seqgrad._finding_text import said
from seqgrad._speech import LANGUAGES
from seqgrad.rules import Finding, default


def exploding() -> Finding:
    layer = nn.Linear(2, 1)
    layer(torch.full((1, 2), 300.0)).sum().backward()
    return sg.check_grads(layer)[0]


def fields(template: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(template) if name)


@pytest.mark.parametrize("case", words.BODIES)
def test_both_languages_name_the_same_facts_and_say_something_of_their_own(case):
    text = words.BODIES[case]
    assert fields(text.en) == fields(text.es)
    assert text.en != text.es
    assert not text.en.endswith((".", ":")) and not text.es.endswith((".", ":"))  # the call to try comes behind them


def test_every_rule_has_a_spanish_name_and_a_text():
    names = {rule.name for rule in default()}
    assert names == set(words.TITLES) == {case.partition(".")[0] for case in words.BODIES}
    assert all(words.TITLES[name].en == name != words.TITLES[name].es for name in names)


def test_text_is_the_message_in_english_and_has_a_decimal_comma_in_spanish():
    found = exploding()
    assert found.text() == found.text("en") == found.message == str(found)
    assert found.text("es") == (
        "weight: la norma de su gradiente es 424, por encima de 100; recórtalo: "
        "seqgrad.clip.grad_norm_(model.parameters(), 1.0)"
    )
    exact = replace(found, value=0.25, case="Saturation.units", facts={"level": 0.99}, t=3, sample=1)
    assert "|h| > 0,99 en el 25 % de unidades" in exact.text("es")
    assert found.title() == "Exploding" and found.title("es") == "Gradiente que explota"


def test_a_language_that_nobody_speaks_is_an_error_that_lists_those_that_are_spoken():
    for call in (exploding().text, exploding().title):
        with pytest.raises(ValueError, match="lang must be one of 'en', 'es', got 'fr'"):
            call("fr")
    assert LANGUAGES == ("en", "es")


def test_spanish_comes_back_from_a_run_file_not_a_number_included(tmp_path):
    bad = replace(exploding(), value=math.nan, case="NonFinite.loss", facts={"extra": math.inf, "word": "|h|"})
    past = sg.History()
    past.findings += [exploding(), bad]
    past.save(tmp_path / "run.jsonl")
    first, second = sg.History.load(tmp_path / "run.jsonl").findings
    assert first == exploding() and first.text("es") == exploding().text("es")
    assert second.text("es").startswith("weight: la pérdida es NaN y todos")
    assert second.facts == bad.facts


def test_where_only_english_is_known_english_is_said():
    """Rules of one's own, files from before there were texts, and files of another version with other facts."""
    found = exploding()
    old = {name: value for name, value in found.to_dict().items() if name not in ("case", "facts")}
    own = replace(found, rule="Mine", case="", facts={})
    strange = replace(found, case="Exploding.grows", facts={"peak": "high"})
    unknown = replace(found, case="Exploding.new")
    for one in (Finding.from_dict(old), own, strange, unknown):
        assert one.text("es") == one.message
    assert own.title("es") == "Mine"
    assert replace(unknown, message="").message == ""


def test_a_finding_words_its_message_when_it_is_asked():
    found = exploding()
    silent = replace(found, message="")
    assert vars(silent)["message"] == ""
    assert copy.deepcopy(silent).message == pickle.loads(pickle.dumps(silent)).message == found.message
    assert silent == found and silent.to_dict() == found.to_dict()


def test_a_rule_that_names_no_text_is_told():
    with pytest.raises(KeyError, match=r"there is no text 'Exploding\.none'"):
        said("Exploding.none")


def test_that_both_languages_tell_the_same_numbers_can_be_seen():
    found = exploding()
    assert same_numbers(found)
    assert not same_numbers(replace(found, message=found.message.replace("424", "425")))
