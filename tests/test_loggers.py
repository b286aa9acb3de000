"""Sinks with the real loggers behind them, and what asking for a package that is not there says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

import seqgrad as sg

SCALARS = {"first", "last", "ratio", "horizon", "decay", "transmission"}


def import_path(*folders):
    """What lets another process import what this one does."""
    ours = os.path.dirname(os.path.dirname(sg.__file__))
    return {"PYTHONPATH": os.pathsep.join([*folders, ours, os.environ.get("PYTHONPATH", "")])}


def trained(*sinks, steps=3, **options):
    """A training whose gradient vanishes, watched."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": sg.LSTM(3, 4, bidirectional=True)})
    mon = sg.Monitor(model, every=1, on_finding=None, sinks=sinks, **options)
    for _ in range(steps):
        with mon:
            loss = model["rnn"](torch.zeros(60, 2, 3))[0][-1].sum()
            loss.backward()
        mon.step(loss=loss)
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        model.zero_grad()
    mon.close()
    return mon.history


# -- TensorBoard -------------------------------------------------------------------------------------------------------
def test_tensorboard_event_files_hold_scalars_findings_and_figures(tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        history = trained(sg.sinks.TensorBoard(writer, figures=2))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = events.Tags()
    assert {tag for tag in tags["scalars"] if tag.startswith("seqgrad/rnn.l0/")} == {
        f"seqgrad/rnn.l0/{name}" for name in SCALARS
    }
    for name in history.series:
        for column, tag in ((0, "first"), (-1, "last")):
            found = events.Scalars(f"seqgrad/{name}/{tag}")
            assert [event.step for event in found] == [0, 1, 2]
            expected = history.matrix(name)[:, column].tolist()
            assert [event.value for event in found] == pytest.approx(expected, rel=1e-7)  # event files hold float32
    losses = [event.value for event in events.Scalars("seqgrad/loss")]
    assert losses == pytest.approx(history.losses, rel=1e-7)
    texts = events.Tensors("seqgrad/findings/text_summary")
    assert [event.step for event in texts] == [0]
    assert b"**Vanishing** (warning)" in texts[0].tensor_proto.string_val[0]
    images = events.Images("seqgrad/rnn.l0/heatmap")
    assert [image.step for image in images] == [1]
    assert images[0].encoded_image_string.startswith(b"\x89PNG")


# -- Weights & Biases --------------------------------------------------------------------------------------------------
RUN = """
    import glob, json, struct, sys
    import wandb
    from test_loggers import trained
    import seqgrad as sg

    quiet = wandb.Settings(
        console="off", silent=True, x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True
    )
    run = wandb.init(mode="offline", project="seqgrad", dir=sys.argv[1], settings=quiet)
    history = trained(sg.sinks.Log(run), steps=3)
    run.finish()
    wandb.teardown()

    def records(path):
        # Blocks of 32 KiB, in them records: checksum, length, kind (1: a whole one), data.
        data = open(path, "rb").read()
        assert len(data) < 1 << 15
        at = 7
        while at < len(data):
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            assert kind == 1
            yield data[at + 7 : at + 7 + length]
            at += 7 + length

    from wandb.proto import wandb_internal_pb2

    (path,) = glob.glob(sys.argv[1] + "/wandb/offline-run-*/*.wandb")
    logged = []
    for data in records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            logged.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
    figures = history.figures("rnn.l0")
    print(json.dumps({"logged": logged, "first": history.matrix("rnn.l0")[:, 0].tolist(), "ratio": figures["ratio"]}))
"""


def test_weights_and_biases_gets_at_most_six_scalars_per_series(tmp_path):
    pytest.importorskip("wandb", reason="needs wandb: pip install wandb")
    told = {"WANDB_MODE": "offline", "WANDB_CONFIG_DIR": str(tmp_path), "WANDB_CACHE_DIR": str(tmp_path)}
    told |= import_path(os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN), str(tmp_path)],
        env=os.environ | told, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [line["_step"] for line in told["logged"]] == [0, 1, 2]
    for line, first, ratio in zip(told["logged"], told["first"], told["ratio"], strict=True):
        per_series = {name for name in line if name.startswith("seqgrad/rnn.l0/")}
        assert per_series == {f"seqgrad/rnn.l0/{name}" for name in SCALARS}
        assert line["seqgrad/rnn.l0/first"] == first
        assert line["seqgrad/rnn.l0/ratio"] == ratio
    assert [line["seqgrad/findings"] > 0 for line in told["logged"]] == [True, False, False]


# -- what is not there -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("module", "package", "line"),
    [
        ("lightning", "lightning", r"pip install 'seqgrad\[lightning\]'"),
        ("pytorch_lightning", "pytorch_lightning", "pip install pytorch-lightning"),
        ("transformers", "transformers", r"pip install 'seqgrad\[hf\]'"),
    ],
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch, module, package, line):
    name = f"seqgrad.integrations.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    for loaded in [key for key in sys.modules if key.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)  # Python's own way to say that there is none
    with pytest.raises(ImportError, match=f"{name} needs {package}: {line}"):
        __import__(name)


def test_nothing_of_it_is_imported_unasked():
    code = """
        import sys, seqgrad, seqgrad.integrations
        heavy = ("lightning", "pytorch_lightning", "transformers", "accelerate", "tensorboard", "wandb")
        loaded = [name for name in heavy if name in sys.modules]
        assert not loaded, loaded
    """
    environment = os.environ | import_path()
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, timeout=120, check=True)
