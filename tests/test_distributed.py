"""Two processes train as one does on the whole batch, each records its own part, and records say whose they are."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import rank_scenarios as scenarios
import ranks
import torch
from oracle import assert_close, assert_within_ratio
from rank_scenarios import CELLS, KINDS, LAYERS

import seqgrad as sg

NAMES = (
    "ddp", "ddp_static_graph", "ddp_unused_parameters", "ddp_recorded", "ddp_accumulated", "ddp_checkpointed",
    "monitored", "fsdp", "fsdp_mixed_precision", "fsdp_accumulated_and_checkpointed", "fsdp_around", "fsdp_limits",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this torch is built without gloo",
)


class Findings:
    """Of all scenarios, by name; the two processes run once for the whole file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found = ranks.run(folder, NAMES)

    def __getitem__(self, name: str) -> list[Any]:
        for rank, found in enumerate(self._found[name]):
            assert not isinstance(found, str), f"rank {rank}: {found}"
        return self._found[name]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return Findings(tmp_path_factory.mktemp("ranks"))


def assert_same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, value in got.items():
        assert_close(value, expected[name], what=name)


def alone_recorded(kind: str) -> tuple[dict[str, torch.Tensor], sg.GradientRecord]:
    """Gradients and record of one process on the whole batch."""
    model = scenarios.net(kind)
    with sg.record(model) as record:
        scenarios.loss(model, scenarios.batches()[0]).backward()
    return {f"d {name}": p.grad for name, p in model.named_parameters()}, record


def check_parts(parts: list[dict[str, list[torch.Tensor]]], record: sg.GradientRecord, passes: int) -> None:
    """Each rank has the norms of its own samples. Its mean loss is over half the batch: they are twice as large."""
    assert record.rank is None
    for rank, part in enumerate(parts):
        assert list(part) == list(record)
        for key, series in part.items():
            assert len(series) == passes
            samples = [record[key].data[..., 2 * rank : 2 * rank + 2]]
            samples = list(samples[0].chunk(passes, -1)) if passes > 1 else samples
            for data, exact in zip(series, samples, strict=True):
                assert_close(data, 2 * exact, what=f"rank {rank}: {key}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["ddp", "ddp_static_graph", "ddp_unused_parameters"])
def test_ddp_has_the_gradients_and_weights_of_one_process(found: Findings, mode: str, kind: str):
    expected = scenarios.alone(kind, spare=mode == "ddp_unused_parameters")
    for rank in range(2):
        assert_same(found[mode][rank][kind], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_each_rank_records_its_own_samples(found: Findings, kind: str):
    grads, record = alone_recorded(kind)
    parts = [one[kind] for one in found["ddp_recorded"]]
    check_parts([one["norms"] for one in parts], record, 1)
    for rank, one in enumerate(parts):
        assert one["rank"] == rank
        assert_same(one["grads"], grads)


def test_a_record_says_whose_it_is_wherever_it_is_shown_and_stored(found: Findings):
    for rank, one in enumerate(found["ddp_recorded"]):
        short, summary, html, *empty = one["texts"]
        assert short.startswith(f"<GradientRecord of rank {rank}: 1 series")
        assert summary.startswith(f"Gradient norms |dL/dh_t| over rank {rank}'s part of the batch")
        assert f"of rank {rank}<" in html
        assert all(f"of rank {rank}" in text for text in empty)
        assert one["dict"] == rank
        loaded = sg.GradientRecord.load(found.folder / f"record{rank}.npz")
        assert loaded.rank == rank
        assert loaded.to_pandas()["rank"].unique().tolist() == [rank]
        with open(found.folder / f"record{rank}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["rank"] for row in rows} == {str(rank)}


def test_without_torch_distributed_nothing_speaks_of_ranks():
    _, record = alone_recorded("GRU")
    assert "rank" not in record.to_pandas().columns
    assert "rank" not in record.to_dict()
    assert "rank" not in repr(record) + record.summary() + record._repr_html_()


@pytest.mark.parametrize("kind", KINDS)
def test_accumulation_under_no_sync_equals_one_backward_and_appends_records(found: Findings, kind: str):
    grads, record = alone_recorded(kind)
    parts = [one[kind] for one in found["ddp_accumulated"]]
    for one in parts:
        assert_same(one["grads"], grads)
    check_parts([one["norms"] for one in parts], record, 2)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("kind", ["GRU", "LSTMCell"])
def test_ddp_with_checkpointing_has_gradients_and_norms_of_one_process(found: Findings, kind: str, reentrant: bool):
    grads, record = alone_recorded(kind)
    parts = [one[kind, reentrant] for one in found["ddp_checkpointed"]]
    for one in parts:
        assert_same(one["grads"], grads)
    check_parts([one["norms"] for one in parts], record, 1)


def test_the_monitors_of_two_ranks_write_files_of_their_own(found: Findings):
    seen = found["monitored"]
    for rank, names in enumerate((("run.jsonl", "run.csv"), ("run.rank1.jsonl", "run.rank1.csv"))):
        run, table = (found.folder / name for name in names)
        history = sg.History.load(run)
        assert history.header.get("rank") == rank
        assert history.steps == [0, 1, 2]
        assert torch.equal(history.matrix("rnn.l0"), seen[rank]["norms"])
        assert {finding.rank for finding in history.findings} == seen[rank]["ranks"] == {rank}
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows] == [str(step) for step in range(3) for _ in range(4)]
    assert not torch.equal(seen[0]["norms"], seen[1]["norms"])
    assert seen[0]["figures"] == seen[1]["figures"]  # gradients of parameters are those after the reduction
    assert seen[0]["figures"][-1] == pytest.approx(seen[0]["reduced"], rel=1e-6)


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_fully_shard_has_the_gradients_weights_and_norms_of_one_process(found: Findings, kind: str, inner: bool):
    expected = scenarios.alone(kind)
    _, record = alone_recorded(kind)
    parts = [one[kind, inner] for one in found["fsdp"]]
    for rank, one in enumerate(parts):
        assert one["rank"] == rank
        assert_same(one["result"], expected)
        assert {len(series) for series in one["norms"].values()} == {scenarios.STEPS}
    check_parts([{key: series[:1] for key, series in one["norms"].items()} for one in parts], record, 1)


@pytest.mark.parametrize("kind", LAYERS[:3])
def test_fully_shard_in_bfloat16_errs_no_more_than_torch_nn(found: Findings, kind: str):
    model = scenarios.net(kind)
    exact_out = model(scenarios.batches()[0])
    exact_out.square().mean().backward()
    exact = {f"d {name}": p.grad for name, p in model.named_parameters()}
    for rank, one in enumerate(found["fsdp_mixed_precision"]):
        ours, peer = one[kind, "ours"], one[kind, "peer"]
        assert ours["out"].dtype == torch.bfloat16
        assert_within_ratio(ours.pop("out"), peer.pop("out"), scenarios.part(exact_out, rank), what="out")
        for name, value in ours.items():
            assert value.dtype == torch.float32
            # The floor of the rule is in units of the dtype that was computed in.
            assert_within_ratio(value.bfloat16(), peer[name].bfloat16(), exact[name], what=name)


def test_fully_shard_with_accumulation_and_checkpointing(found: Findings):
    grads, record = alone_recorded("LSTM")
    for name, passes in (("accumulated", 2), ("reentrant=False", 1), ("reentrant=True", 1)):
        parts = [one[name] for one in found["fsdp_accumulated_and_checkpointed"]]
        for one, _ in parts:
            assert_same(one, grads)
        check_parts([series for _, series in parts], record, passes)


def test_sharded_parameters_and_gradients_are_measured_and_clipped_whole(found: Findings):
    """As one process does on the whole batch; float32, whose sums come in another order."""
    model, x = scenarios.net("GRU", torch.float32), scenarios.batches(torch.float32)[0]
    mon = sg.Monitor(model, every=1, on_finding=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    for _ in range(2):
        optimizer.zero_grad()
        with mon:
            (1e5 * scenarios.loss(model, x)).backward()
        mon.step()
        optimizer.step()
    checked = [(f.rule, f.series, pytest.approx(f.value, rel=1e-5)) for f in sg.check_grads(model, 100.0)]
    figures = [pytest.approx(entry.figures, rel=1e-5) for entry in mon.history.entries]
    assert {"grad_norm", "weight_norm"} <= mon.history.entries[0].figures.keys()
    assert "update" in mon.history.entries[1].figures
    norm = pytest.approx(float(sg.clip.grad_norm_(model, float("inf"))), rel=1e-5)
    for one in found["fsdp_around"]:
        assert one["checked"] == checked
        assert one["figures"] == figures
        assert one["torch's norm"] == one["norm"] == norm
        assert one["clipped"] == pytest.approx(1.0, rel=1e-5)


def test_a_model_on_meta_is_sharded_then_allocated(found: Findings):
    for one in found["fsdp_around"]:
        assert one["late"] is True
        assert one["repr"] == "FSDPGRU(3, 5, num_layers=2, bidirectional=True)"


def test_what_sharding_cannot_do_is_said(found: Findings):
    for one in found["fsdp_limits"]:
        assert "got mixed torch.Tensor and DTensor" in one["around the sharded module"]
        assert "does not have a sharding strategy" in one["a DTensor as input"]


def test_cells_and_layers_are_all_there():
    assert {*LAYERS, *CELLS} == {n for n in sg.nn.__all__ if isinstance(getattr(sg.nn, n), type)}
