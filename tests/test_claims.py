"""Claims: the table is complete in both languages, and verdicts follow from measurements alone."""

import math
from pathlib import Path

import pytest

from seqgrad.experiments import _words, claims
from seqgrad.report import SECTIONS

TABLE = tuple(claims.specs().values())


def test_every_claim_speaks_both_languages_and_no_text_is_left_empty():
    for spec in TABLE:
        for texts in (spec.text, spec.correction or {"en": "-", "es": "-"}):
            assert set(texts) == {"en", "es"}
            assert all(text.strip() for text in texts.values()), spec.id
        assert spec.text["en"] != spec.text["es"]


LESSON = tuple(spec for spec in TABLE if spec.item is not None)


def test_ids_are_unique_and_lines_and_items_lie_within_the_lesson():
    tables = [getattr(module, "CLAIMS", ()) for module in _words._modules()]
    assert len(TABLE) == sum(len(table) for table in tables)
    for spec in TABLE:
        assert spec.line is None or 1 <= spec.line <= 264
        assert spec.item in (None, 1, 2, 3, 4, 5)


def test_texts_of_two_modules_never_share_a_key():
    assert len(_words.texts()) == sum(len(module.TEXTS) for module in _words._modules())


def test_every_claim_of_the_lesson_stands_in_exactly_one_section_of_the_report():
    listed = [id for section in SECTIONS for id in section.claims]
    assert sorted(listed) == sorted(spec.id for spec in LESSON)


def test_readme_counts_claims_as_the_table_does():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    put_right = sum(spec.correction is not None for spec in LESSON)
    told = (
        f"holds {len(LESSON)} claims of the lesson against what was measured: {len(LESSON) - put_right} as they stand, "
    )
    assert told + f"{put_right} put right" in " ".join(readme.split())


def test_all_five_items_of_the_checklist_have_claims():
    assert {spec.item for spec in LESSON} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("id", "measured", "verdict"),
    [
        ("decay.four_factors", 0.0625, "reproduced"),
        ("decay.four_factors", 0.0626, "not reproduced"),
        ("flow.mirrored", 100, "corrected"),
        ("flow.mirrored", 1, "not reproduced"),
        ("flow.vanishes", 3e-21, "reproduced"),
        ("flow.vanishes", 1e-10, "not reproduced"),
        ("dependency.rnn_10", 0.9, "reproduced"),
        ("dependency.rnn_10", 0.89, "not reproduced"),
        ("flow.early_steps", 1e-12, "corrected"),
        ("explosion.nan", math.nan, "not reproduced"),
    ],
)
def test_verdict_follows_from_the_measurement(id, measured, verdict):
    claim = claims.judge(id, measured)
    assert claim.verdict == verdict
    assert claim.ok == (verdict != "not reproduced")


def test_relative_tolerance_is_a_share_of_what_is_expected():
    spec = claims.specs()["decay.real_factor"]
    assert spec.holds(0.577 * 1.099)
    assert not spec.holds(0.577 * 1.101)


def test_unknown_claim_lists_what_exists():
    with pytest.raises(KeyError, match=r"no claim is called 'nope'; there are: flow\.product"):
        claims.judge("nope", 1.0)


def test_to_dict_is_strict_json_even_for_nan():
    import json

    data = claims.judge("explosion.nan", math.inf).to_dict()
    assert data["measured"] == "inf"
    assert json.loads(json.dumps(data, allow_nan=False))["verdict"] == "not reproduced"


@pytest.mark.parametrize(
    ("value", "lang", "text"),
    [
        (16.0, "en", "16"),
        (0.0625, "es", "0,0625"),
        (7.888609052210118e-31, "en", "7.89·10⁻³¹"),
        (1e-6, "en", "10⁻⁶"),
        (2.0**50, "es", "1,13·10¹⁵"),
        (6634.6, "en", "6635"),
        (float("nan"), "en", "nan"),
        (0.0, "en", "0"),
    ],
)
def test_numbers_are_written_as_people_write_them(value, lang, text):
    assert claims.number(value, lang) == text
