"""Agreement: laws of the grammar in both languages, and what small networks make of it."""

from __future__ import annotations

import math

import pytest
import torch

import seqgrad as sg
from seqgrad.experiments._lexicon import LEXICONS
from seqgrad.experiments._tasks_agreement import agreement
from seqgrad.experiments.agreement_distance import rank_correlation
from seqgrad.experiments.centre_embedding import Arm

LANGUAGES = tuple(LEXICONS)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def words(sentence: str) -> list[str]:
    """What the network reads of a sentence."""
    return sentence.split(" [")[0].split()


def forms(language: str) -> dict[str, tuple[int, int, str]]:
    """Noun form -> gender, number, article."""
    return {
        form: (gender, number, article)
        for gender, group in enumerate(LEXICONS[language].nouns)
        for noun in group
        for number, (form, article) in enumerate(((noun.singular, noun.article), (noun.plural, noun.articles)))
    }


# -- the grammar ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_is_as_frequent_as_any_other_at_every_length(language: str):
    for kind, ask in (("embedded", "first"), ("modified", "first")):
        text = agreement(2400, language=language, kind=kind, ask=ask)
        for length in text.lengths.unique():
            counts = text.labels[text.lengths == length].bincount()
            assert int(counts.max() - counts.min()) == 0
    text = agreement(2400, language=language, ask="any")
    for depth in (1, 2, 3):  # balanced by depth; which verb is asked is drawn freely
        counts = text.labels[text.asked + text.between == depth].bincount()
        assert int(counts.max() - counts.min()) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_number_and_gender_of_the_nouns_between_tell_nothing_of_the_label(language: str):
    text = agreement(20000, language=language, kind="modified", depths=(1,))
    labels = len(text.answers)
    share = float((text.attractors == 0).double().mean())
    assert share == pytest.approx(1 / labels, abs=4 * math.sqrt(share * (1 - share) / 20000))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("kind", "ask"), [("embedded", "any"), ("embedded", "first"), ("modified", "first")])
def test_articles_verbs_and_answers_agree_with_their_nouns(language: str, kind: str, ask: str):
    known, lexicon = forms(language), LEXICONS[language]
    verbs = {verb: number for pair in lexicon.verbs for number, verb in enumerate(pair)}
    text = agreement(300, language=language, kind=kind, ask=ask)
    for n in range(300):
        read, open_nouns = words(text.text(n)), []
        for k, word in enumerate(read):
            if word in known:
                gender, number, article = known[word]
                assert read[k - 1] in (article, {"el": "al"}.get(article), {"el": "del"}.get(article))
                open_nouns.append((gender, number))
            elif word in verbs:
                assert open_nouns.pop()[1] == verbs[word]  # the innermost open clause closes
        subject = open_nouns[0] if kind == "modified" else open_nouns[-1]
        assert int(text.labels[n]) == 2 * subject[0] + subject[1]
        seen = [word for word in read if word in known]
        assert len({next(p for p in lexicon.nouns for p in p if word in p[:2]) for word in seen}) == len(seen)


def test_spanish_contracts_and_knows_its_hard_words():
    text = agreement(2000, language="es", kind="modified", depths=(2,))
    read = [text.text(n) for n in range(2000)]
    assert not any(" a el " in one or " de el " in one for one in read)
    for expected in ("junto al ", "cerca del ", "la mano ", "el mapa ", "los mapas ", "el agua ", "las aguas "):
        assert any(expected in one for one in read), expected
    for start, ending in (
        ("la mano ", "[está pintada]"), ("el mapa ", "[está pintado]"), ("el agua ", "[está pintada]"),
        ("las aguas ", "[están pintadas]"), ("los tranvías ", "[están pintados]"),
    ):  # fmt: skip
        assert all(one.endswith(ending) for one in read if one.startswith(start))
    hard = {words(read[n])[1] for n in range(2000) if text.hard[n]}
    assert hard == {"mano", "manos", "foto", "fotos", "mapa", "mapas", "tranvía", "tranvías", "agua", "ancla"}


def test_no_verb_of_number_is_read_before_the_spanish_participle():
    text = agreement(500, language="es", ask="any")
    assert not {"está", "están"} & set(text.vocabulary)


@pytest.mark.parametrize("language", LANGUAGES)
def test_opposite_nouns_all_ask_for_another_form(language: str):
    text = agreement(200, language=language, depths=(4,), opposite=True)
    assert (text.attractors == 4).all() and (text.between == 4).all()
    text = agreement(200, language=language, depths=(3,), opposite=True, ask="any")
    assert (text.attractors == torch.where(text.asked == 0, 3, 0)).all()


def test_the_same_number_of_modifiers_is_the_same_number_of_words():
    for language in LANGUAGES:
        for depth in (1, 6):
            text = agreement(300, language=language, kind="modified", depths=(depth,))
            assert (text.lengths == 2 + 3 * depth).all() and text.words.shape == (2 + 3 * depth, 300)
            assert (text.words > 0).all()


def test_the_same_seed_writes_the_same_sentences():
    torch.manual_seed(7)
    first = agreement(50, language="es", ask="any")
    torch.manual_seed(7)
    second = agreement(50, language="es", ask="any")
    assert torch.equal(first.words, second.words) and torch.equal(first.labels, second.labels)
    part = first.part(slice(10, 20))
    assert part.words.shape[1] == 10 and part.text(0) == first.text(10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "fr"}, "language must be one of en, es; got 'fr'"),
        ({"kind": "flat"}, "kind must be one of embedded, modified; got 'flat'"),
        ({"ask": "last"}, "ask must be one of any, first; got 'last'"),
        ({"kind": "modified", "ask": "any"}, "ask must be 'first' for modified sentences"),
        ({"depths": ()}, "depths must name at least one depth"),
        ({"depths": (8,)}, "depths must be at most 7, since no noun comes twice in a sentence; got 8"),
        ({"depths": (0,)}, "depths must be at least 1, got 0"),
        ({"count": 2}, "count must be at least 3, got 2"),
    ],
)
def test_impossible_sentences_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        agreement(**{"count": 9, **options})


# -- the experiments -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def nested():
    return sg.experiments.centre_embedding(("rnn", "lstm"), ("en",), seeds=1, steps=500)


@pytest.fixture(scope="module")
def distances():
    return sg.experiments.agreement_distance(("gru",), seeds=1, modifiers=(1, 3), steps=300)


def test_a_deeper_sentence_separates_lstm_and_rnn(nested):
    for cell in ("rnn", "lstm"):
        assert nested.accuracy(Arm("en", cell), 3)[0] > 0.95
    assert nested.accuracy(Arm("en", "lstm"), 4)[0] > nested.accuracy(Arm("en", "rnn"), 4)[0] + 0.2
    assert nested.accuracy(Arm("en", "rnn", "first"), 4)[0] > 0.95  # where the first noun decides, depth is no matter
    assert nested.claims == []  # they are about 2000 training steps


def test_scores_of_attractors_cover_the_free_sentences(nested):
    rows = [row for row in nested.rows() if row["depth"] == 4 and row["cell"] == "lstm"]
    assert [(row["opposite"], row["attractors"]) for row in rows] == [
        (False, None), *((False, k) for k in range(5)), (True, None)
    ]  # fmt: skip
    assert {row["gender"] for row in rows} == {1.0}  # English has one


def test_a_longer_way_passes_less_gradient_and_takes_longer(distances):
    for language in LANGUAGES:
        (near,), (far,) = (distances.chosen(language=language, modifiers=count) for count in (1, 3))
        assert far.log_ratio < near.log_ratio - 0.5
        assert near.steps is not None and near.steps < distances.waits([far])[0]
    assert {net.mixed for net in distances.networks} == {False, True}
    assert len(distances.rows()) == 6


def test_rank_correlation_is_one_for_any_rising_relation_and_shares_ranks():
    assert rank_correlation([1, 2, 3], [1, 10, 100]) == 1.0
    assert rank_correlation([1, 2, 3], [5, 3, 1]) == -1.0
    assert rank_correlation([1, 2, 3, 4], [1, 1, 2, 2]) == pytest.approx(2 / math.sqrt(5))


@pytest.mark.parametrize("lang", ["en", "es"])
def test_figures_and_their_words_exist_in_both_languages(nested, distances, lang: str):
    for result in (nested, distances):
        for kind in result.kinds:
            drawing = result.plot(kind, lang=lang, dark=lang == "es")
            drawing.figure_.canvas.draw()
            assert len(result.alt(kind, lang)) > 80
            assert sg.experiments.texts.say(f"{result.name}.{kind}.caption", lang, **result.facts())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.experiments.centre_embedding(("rmm",)), "cells must be one of rnn, gru, lstm; got 'rmm'"),
        (lambda: sg.experiments.centre_embedding(languages=("fr",)), "languages must be one of en, es; got 'fr'"),
        (lambda: sg.experiments.centre_embedding(cells=()), "cells and languages must name at least one each"),
        (lambda: sg.experiments.centre_embedding(seeds=0), "seeds must be at least 1, got 0"),
        (lambda: sg.experiments.agreement_distance(modifiers=(8,)), "modifiers must be at most 7"),
        (lambda: sg.experiments.agreement_distance(modifiers=()), "must name at least one each"),
    ],
)
def test_wrong_options_of_the_experiments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
