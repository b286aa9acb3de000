"""Lightning's callback, in real trainings: it must see what a loop of one's own with a Monitor sees."""

from __future__ import annotations

import csv
import os
import warnings

import pytest
import torch
from torch import nn

import seqgrad as sg

pytest.importorskip("lightning", reason="needs lightning: pip install 'seqgrad[lightning]'")

with warnings.catch_warnings():  # what Lightning's own dependencies deprecate is theirs to mend
    warnings.simplefilter("ignore")
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from lightning.pytorch.plugins import MixedPrecision
    from lightning.pytorch.strategies import DDPStrategy

from seqgrad.integrations.lightning import GradientCallback

pytestmark = [
    # torch deprecates what Lightning uses, and Lightning gives advice that a small test does not need
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than the logging interval"),
]

BATCHES, N, T, I, H = 6, 3, 12, 4, 8  # noqa: E741 - the letters of the formulas


class Reader(nn.Module):
    def __init__(self, rnn=None):
        super().__init__()
        self.rnn = sg.GRU(I, H, batch_first=True) if rnn is None else rnn
        self.head = nn.Linear(H, 1)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Task(LightningModule):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def loss(self, batch):
        x, y = batch
        return nn.functional.mse_loss(self.model(x).float(), y)

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Manual(Task):
    """Two optimizers, each with a backward of its own, stepping together every ``accumulate`` batches."""

    def __init__(self, model, accumulate=1, clear=True):
        super().__init__(model)
        self.automatic_optimization = False
        self.accumulate, self.clear = accumulate, clear

    def training_step(self, batch, batch_idx):
        self.manual_backward(self.loss(batch))
        self.manual_backward(0.5 * self.loss(batch))
        if (batch_idx + 1) % self.accumulate == 0:
            for optimizer in self.optimizers():
                optimizer.step()
                if self.clear:
                    optimizer.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.model.rnn, self.model.head)]


def batches():
    data = torch.Generator().manual_seed(1)
    return [(torch.randn(N, T, I, generator=data), torch.randn(N, 1, generator=data)) for _ in range(BATCHES)]


def task(kind=Task, **options):
    torch.manual_seed(0)
    return kind(Reader(), **options)


def fit(module, callback, folder, val=None, start=None, **options):
    loader = torch.utils.data.DataLoader(batches(), batch_size=None)
    defaults = {
        "accelerator": "cpu", "devices": 1, "max_epochs": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder,
    }  # fmt: skip
    trainer = Trainer(callbacks=[callback], **{**defaults, **options})
    trainer.fit(module, loader, val, **(start or {}))
    return trainer


def by_hand(accumulate=1, backwards=(1.0,)):
    """The training that ``fit`` does, as a plain loop."""
    module = task()
    mon = sg.Monitor(module.model, every=1, on_finding=None)
    optimizer = module.configure_optimizers()
    for k, batch in enumerate(batches()):
        with mon:
            for factor in backwards:
                (factor * module.loss(batch) / accumulate).backward()
        if (k + 1) % accumulate == 0:
            mon.step()
            optimizer.step()
            optimizer.zero_grad()
    return mon.history


def watch(**options):
    return GradientCallback(**{"every": 1, "on_finding": None, **options})


def same(seen, expected, rtol=0.0):
    assert seen.steps == expected.steps
    assert len(seen.steps) > 1
    assert seen.series == tuple(f"model.{name}" for name in expected.series)
    for name in expected.series:
        for quantity in ("grad_h", "grad_carry", "h"):
            torch.testing.assert_close(
                seen.matrix(f"model.{name}", quantity), expected.matrix(name, quantity), rtol=rtol, atol=0.0
            )
    for mine, theirs in zip(seen.entries, expected.entries, strict=True):
        assert mine.figures["grad_norm"] == pytest.approx(theirs.figures["grad_norm"], rel=max(rtol, 1e-7))
        if theirs.step:
            assert mine.figures["update"] == pytest.approx(theirs.figures["update"], rel=1e-5)


def test_automatic_optimisation_is_seen_as_by_a_loop_of_ones_own(tmp_path):
    callback = watch()
    fit(task(), callback, tmp_path)
    same(callback.history, by_hand())
    assert not sg._recorder._recording


def test_accumulated_gradients_are_one_step(tmp_path):
    callback = watch()
    fit(task(), callback, tmp_path, accumulate_grad_batches=2)
    same(callback.history, by_hand(accumulate=2))
    module = task()
    first = [module.loss(batch).item() for batch in batches()[:2]]
    assert callback.history.losses[0] == pytest.approx(sum(first) / 2, rel=1e-6)


def test_gradients_are_those_before_clipping(tmp_path):
    callback = watch(every=100, log=False, first=1)
    fit(task(), callback, tmp_path, gradient_clip_val=1e-3)
    assert callback.history.entries[0].figures["grad_norm"] == pytest.approx(
        by_hand().entries[0].figures["grad_norm"], rel=1e-7
    )


@pytest.mark.parametrize("kind", [Task, Manual])
def test_norms_are_divided_by_the_scale_of_the_precision_plugin(tmp_path, kind):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4, growth_interval=1)  # doubled by every optimizer step
    plugin = MixedPrecision("16-mixed", device="cpu", scaler=scaler)
    callback = watch(rules=[])
    fit(task(kind), callback, tmp_path, plugins=[plugin])
    growth = 1 if kind is Task else 2
    scales = [entry.figures["scale"] for entry in callback.history.entries]
    assert scales == [2.0 ** (4 + growth * k) for k in range(BATCHES)]
    # float16 has 11 bits; sixteen of its roundings on the way, of either sign
    same_within = 16 * 2.0**-11
    expected = by_hand(backwards=(1.0,) if kind is Task else (1.0, 0.5))
    seen = callback.history.matrix("model.rnn.l0")
    torch.testing.assert_close(seen[0], expected.matrix("rnn.l0")[0], rtol=same_within, atol=0.0)
    assert callback.history.entries[0].figures["grad_norm"] == pytest.approx(
        expected.entries[0].figures["grad_norm"], rel=same_within
    )


@pytest.mark.parametrize("accumulate", [1, 3])
def test_manual_optimisation_ends_a_step_with_the_batch_in_which_an_optimizer_stepped(tmp_path, accumulate):
    callback = watch()
    fit(task(Manual, accumulate=accumulate), callback, tmp_path)
    same(callback.history, by_hand(backwards=(accumulate, 0.5 * accumulate), accumulate=accumulate))
    assert not callback.history.findings


def test_gradients_that_manual_optimisation_forgets_to_clear_are_found(tmp_path):
    callback = watch()
    fit(task(Manual, clear=False), callback, tmp_path)
    assert [(f.rule, f.step) for f in callback.history.findings] == [("StaleGradients", 1)]


class Bare(Manual):
    def training_step(self, batch, batch_idx):
        self.loss(batch).backward()
        for optimizer in self.optimizers(use_pl_optimizer=False):
            optimizer.step()
            optimizer.zero_grad()


def test_bare_torch_optimizers_end_a_step_too(tmp_path):
    callback = watch()
    module = task(Bare)
    fit(module, callback, tmp_path)
    same(callback.history, by_hand())
    assert all(not optimizer._optimizer_step_pre_hooks for optimizer in module.optimizers(use_pl_optimizer=False))


def test_only_scheduled_steps_are_recorded(tmp_path):
    seen = []

    class Look(Task):
        def training_step(self, batch, batch_idx):
            seen.append(sg._recorder._recording)
            return super().training_step(batch, batch_idx)

    callback = watch(every=4, log=False, first=0)
    fit(task(Look), callback, tmp_path)
    assert callback.history.steps == [0, 4]
    assert seen == [True, False, False, False, True, False]


class Validated(Task):
    def validation_step(self, batch, batch_idx):
        self.loss(batch)


def test_validation_is_not_recorded(tmp_path):
    callback = watch()
    fit(
        task(Validated),
        callback,
        tmp_path,
        val=torch.utils.data.DataLoader(batches(), batch_size=None),
        val_check_interval=2,
    )
    same(callback.history, by_hand())


def test_loggers_and_callback_metrics_get_the_scalars(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="run", flush_logs_every_n_steps=1)
    callback = watch(every=2, log=False, first=0)
    trainer = fit(task(), callback, tmp_path, logger=logger, log_every_n_steps=1)
    with open(logger.experiment.metrics_file_path, newline="") as file:
        logged = [row for row in csv.DictReader(file) if row["seqgrad/model.rnn.l0/ratio"]]
    assert [int(row["step"]) for row in logged] == [0, 2, 4] == callback.history.steps
    ratio = callback.history.figures("model.rnn.l0")["ratio"]
    assert [float(row["seqgrad/model.rnn.l0/ratio"]) for row in logged] == ratio
    assert len([name for name in logged[0] if name.startswith("seqgrad/model.rnn.l0/")]) <= 6
    assert float(trainer.callback_metrics["seqgrad/model.rnn.l0/ratio"]) == pytest.approx(ratio[-1], rel=1e-6)


def test_tensorboard_logger_gets_the_scalars(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, name="", version="run")
    callback = watch(prefix="look")
    fit(task(), callback, tmp_path, logger=logger)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("look/model.rnn.l0/first")]
    assert [step for step, _ in found] == callback.history.steps
    first = callback.history.matrix("model.rnn.l0")[:, 0].tolist()
    assert [value for _, value in found] == pytest.approx(first, rel=1e-6)


class Deaf(Reader):
    """Explodes: states are 0, and the gradient grows by half with each step back."""

    def __init__(self):
        super().__init__(sg.init.identity_(sg.RNN(I, H, batch_first=True), 1.5))

    def forward(self, x):
        return super().forward(0 * torch.cat([x, x, x], dim=1))


def test_findings_are_warnings(tmp_path):
    with pytest.warns(sg.FindingWarning, match=r"model\.rnn l0 \(forward\): the gradient explodes"):
        fit(Task(Deaf()), watch(on_finding="warn", rules=[sg.rules.Exploding()]), tmp_path)


def test_findings_can_end_the_training_and_leave_nothing_open(tmp_path):
    module, callback = Task(Deaf()), watch(on_finding="raise", sinks=[sg.sinks.JSONL(tmp_path / "run.jsonl")])
    with pytest.raises(sg.FindingError, match="explodes"):
        fit(module, callback, tmp_path)
    assert not sg._recorder._recording
    assert sg.History.load(tmp_path / "run.jsonl").findings
    assert callback.monitor.sinks[0]._file is None


def test_an_exception_in_the_training_leaves_nothing_open(tmp_path):
    class Fails(Task):
        def training_step(self, batch, batch_idx):
            self.loss(batch)
            raise ArithmeticError("on purpose")

    callback = watch()
    with pytest.raises(ArithmeticError, match="on purpose"):
        fit(task(Fails), callback, tmp_path)
    assert not sg._recorder._recording
    assert len(callback.history) == 0


def test_a_resumed_training_counts_on(tmp_path):
    callback, module = watch(sinks=[sg.sinks.JSONL(tmp_path / "run.jsonl")]), task()
    trainer = fit(module, callback, tmp_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = watch(sinks=[sg.sinks.JSONL(tmp_path / "run.jsonl")])
    start = {"ckpt_path": tmp_path / "last.ckpt", "weights_only": False}
    fit(task(), resumed, tmp_path, max_epochs=2, start=start)
    assert resumed.history.steps == list(range(BATCHES, 2 * BATCHES))
    assert sg.History.load(tmp_path / "run.jsonl").steps == list(range(2 * BATCHES))


def test_a_second_fit_of_the_same_model_goes_on_where_it_fits(tmp_path):
    callback, module = watch(), task()
    trainer = fit(module, callback, tmp_path)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, torch.utils.data.DataLoader(batches(), batch_size=None))
    assert callback.history.steps == list(range(2 * BATCHES))
    fit(task(), callback, tmp_path)
    assert callback.history.steps == list(range(BATCHES))


def test_a_model_in_ddp_keeps_its_names(tmp_path):
    callback, environment = watch(), dict(os.environ)
    try:
        fit(
            task(),
            callback,
            tmp_path,
            strategy=DDPStrategy(process_group_backend="gloo"),
            use_distributed_sampler=False,
        )
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        os.environ.clear()  # Lightning leaves MASTER_ADDR, and accelerate starts a group where it sees that
        os.environ.update(environment)
    assert callback.monitor.rank == 0
    same(callback.history, by_hand())


def test_bad_arguments_are_told_at_once_and_a_model_without_our_layers_at_fit(tmp_path):
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="every must be an int >= 1, got 0"):
        GradientCallback(every=0)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(TypeError, match=r"sinks must be seqgrad\.sinks"):
        GradientCallback(sinks=["run.jsonl"])
    module = Task(Reader(nn.GRU(I, H, batch_first=True)))
    with pytest.raises(ValueError, match=r"convert_\(model\) first"):
        fit(module, watch(), tmp_path)


def test_before_a_fit_the_history_is_empty():
    callback = GradientCallback()
    assert callback.monitor is None
    assert len(callback.history) == 0


def test_the_package_under_its_old_name(tmp_path):
    pytest.importorskip("pytorch_lightning", reason="needs pytorch-lightning")
    import pytorch_lightning

    from seqgrad.integrations import pytorch_lightning as ours

    class Old(pytorch_lightning.LightningModule):
        loss, training_step = Task.loss, Task.training_step
        configure_optimizers = Task.configure_optimizers

        def __init__(self, model):
            super().__init__()
            self.model = model

    callback = ours.GradientCallback(every=1, on_finding=None)
    assert isinstance(callback, pytorch_lightning.Callback)
    trainer = pytorch_lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path, callbacks=[callback],
    )  # fmt: skip
    torch.manual_seed(0)
    trainer.fit(Old(Reader()), torch.utils.data.DataLoader(batches(), batch_size=None))
    same(callback.history, by_hand())
