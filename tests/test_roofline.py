"""benchmarks/roofline.py: it runs start to end, and says what plan() says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import roofline
import torch

from seqgrad._devices import named
from seqgrad._plan import cuda_plan


@pytest.fixture(scope="module")
def found() -> list[dict]:
    return roofline.rows(["H100", "A100"])


def test_every_row_is_what_the_plan_says(found: list[dict]) -> None:
    for row in found:
        backward, dtype = row["pass"] == "backward", getattr(torch, row["dtype"])
        sizes = {"T": row["T"], "N": row["N"], "H": row["H"]}
        plan = cuda_plan(row["cell"], dtype, **sizes, backward=backward, device=named(row["device"]), wish=row["path"])
        assert plan.path == row["path"]
        assert row["plan"] == {**plan._asdict(), "estimate": plan.estimate._asdict()}
        assert row["barriers_per_step"] * row["T"] == plan.barriers
        assert plan.estimate.floor_us <= plan.estimate.step_us, row


def test_exactly_one_path_is_chosen_per_question(found: list[dict]) -> None:
    questions = {}
    for row in found:
        key = tuple(row[name] for name in ("device", "cell", "dtype", "N", "H", "pass"))
        questions.setdefault(key, []).append(row)
    assert len(questions) == 2 * len(roofline.CELLS) * len(roofline.DTYPES) * len(roofline.SIZES) * 2
    for rows in questions.values():
        assert sum(row["chosen"] for row in rows) == 1
        totals = {
            row["path"]: row["plan"]["estimate"]["fixed_us"] + row["T"] * row["plan"]["estimate"]["step_us"]
            for row in rows
        }
        chosen = next(row["path"] for row in rows if row["chosen"])
        assert totals[chosen] <= 1.15 * min(totals.values()), rows
        if "grid" in totals and chosen != "grid":
            assert 1.15 * totals["grid"] >= totals[chosen], rows


def test_the_parts_add_up(found: list[dict]) -> None:
    for row in found:
        e = row["plan"]["estimate"]
        parts = e["product_us"] + e["pointwise_us"] + e["exchange_us"] + e["barrier_us"]
        if row["path"] == "step":
            assert e["step_us"] == pytest.approx(e["pointwise_us"] + max(e["product_us"], e["memory_us"]))
        elif row["blocks"] <= named(row["device"]).multiprocessors:
            assert e["step_us"] == pytest.approx(max(parts, e["memory_us"]))
        assert (e["barrier_us"] > 0) == (row["path"] == "grid")


def test_the_files_are_written_and_say_that_nothing_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    figures, table = tmp_path / "roofline.json", tmp_path / "roofline.md"
    roofline.main(["--device", "H100", "--json", str(figures), "--markdown", str(table)])
    assert capsys.readouterr().out == ""
    result = json.loads(figures.read_text())
    assert result["measured"] is False
    assert {row["device"] for row in result["rows"]} == {"H100"}
    text = table.read_text()
    assert "Estimates, not measurements" in text
    assert text.count("\n| H100 |") == len(result["rows"])
    (pair,) = result["versus"]
    assert (pair["plotted_forward_us"], pair["plotted_both_us"]) == (2.0, 5.1)
    assert "FlashRNN" in text and f"estimated {pair['estimated_forward_us']:.1f} us per step forward" in text


def test_without_files_the_table_is_printed(capsys: pytest.CaptureFixture) -> None:
    roofline.main(["--device", "A100"])
    out = capsys.readouterr().out
    assert out.startswith("# The CUDA paths on paper")
    assert "| A100 | lstm | float16 | 16 | 768 | forward | grid * |" in out
    assert "FlashRNN" not in out, "there is no plotted figure for this device"


def test_an_unknown_device_is_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        roofline.main(["--device", "Abacus"])
    assert "invalid choice: 'Abacus'" in capsys.readouterr().err
