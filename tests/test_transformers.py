"""The Hugging Face Trainer's callback, in real trainings, offline."""

from __future__ import annotations

import os

os.environ |= {"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import pytest
import torch
from torch import nn

import seqgrad as sg

pytest.importorskip("transformers", reason="needs transformers: pip install 'seqgrad[hf]'")
pytest.importorskip("accelerate", reason="needs accelerate: pip install 'seqgrad[hf]'")

from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import ModelOutput

from seqgrad.integrations.transformers import GradientCallback

N, T, V, H, STEPS = 3, 12, 5, 8, 6


class Speller(nn.Module):
    """A language model of the shape that the Trainer expects: it computes its own loss."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(V, H)
        self.rnn = sg.LSTM(H, H, batch_first=True)
        self.head = nn.Linear(H, V)

    def forward(self, input_ids, labels):
        scores = self.head(self.rnn(self.embed(input_ids))[0])
        return {"loss": nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten()), "logits": scores}


class Output(ModelOutput):
    loss: torch.Tensor | None = None


class Pretrained(PreTrainedModel):
    """The same as a model of transformers, which divides its loss by the items of all accumulated batches."""

    config_class = PretrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.speller = Speller()
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, input_ids, labels, num_items_in_batch=None, **kwargs):
        scores = self.speller(input_ids, labels)["logits"]
        total = nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum")
        return (total / (labels.numel() if num_items_in_batch is None else num_items_in_batch), scores)


def rows(count):
    data = torch.Generator().manual_seed(1)
    text = torch.randint(0, V, (count, T + 1), generator=data)
    return [{"input_ids": row[:-1], "labels": row[1:]} for row in text]


def batches(accumulate=1):
    data = rows(N * STEPS * accumulate)
    return [
        {key: torch.stack([row[key] for row in data[k : k + N]]) for key in data[0]} for k in range(0, len(data), N)
    ]


def built(kind=Speller):
    torch.manual_seed(0)
    return Pretrained(PretrainedConfig()) if kind is Pretrained else kind()


def trainer_of(model, folder, callbacks=(), kind=Trainer, eval_dataset=None, **options):
    defaults = {
        "output_dir": str(folder), "max_steps": STEPS, "per_device_train_batch_size": N, "use_cpu": True,
        "report_to": [], "save_strategy": "no", "disable_tqdm": True, "optim": "sgd", "learning_rate": 0.1,
        "lr_scheduler_type": "constant", "train_sampling_strategy": "sequential", "dataloader_pin_memory": False,
        "max_grad_norm": 0.0,
    }  # fmt: skip
    arguments = TrainingArguments(**{**defaults, **options})
    data = rows(N * STEPS * arguments.gradient_accumulation_steps)
    return kind(model, arguments, train_dataset=data, eval_dataset=eval_dataset, callbacks=list(callbacks))


def by_hand(accumulate=1):
    model = built()
    mon = sg.Monitor(model, every=1, on_finding=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    micro = batches(accumulate)
    for k in range(0, len(micro), accumulate):
        losses = []
        with mon:
            for batch in micro[k : k + accumulate]:
                losses.append(model(**batch)["loss"] / accumulate)
                losses[-1].backward()
        mon.step(loss=torch.stack(losses).sum().detach())
        optimizer.step()
        optimizer.zero_grad()
    return mon.history


def watch(**options):
    return GradientCallback(**{"every": 1, "on_finding": None, **options})


def same(seen, expected, prefix="", rtol=0.0):
    """With ``rtol`` where the order of float32 operations differs."""
    assert seen.steps == expected.steps
    assert len(seen.steps) > 1
    assert seen.series == tuple(prefix + name for name in expected.series)
    for quantity in ("grad_h", "grad_carry", "grad_c", "h"):
        ours, theirs = seen.matrix(f"{prefix}rnn.l0", quantity), expected.matrix("rnn.l0", quantity)
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=0.0)
    assert seen.losses == pytest.approx(expected.losses, rel=1e-6)
    for mine, theirs in zip(seen.entries, expected.entries, strict=True):
        assert mine.figures["grad_norm"] == pytest.approx(theirs.figures["grad_norm"], rel=1e-6)
        if theirs.step:
            assert mine.figures["update"] == pytest.approx(theirs.figures["update"], rel=1e-5)


def test_a_training_is_seen_as_by_a_loop_of_ones_own(tmp_path):
    callback = watch()
    trainer_of(built(), tmp_path, [callback]).train()
    same(callback.history, by_hand())
    assert not sg._recorder._recording


def test_accumulated_gradients_are_one_step(tmp_path):
    callback = watch()
    trainer_of(built(), tmp_path, [callback], gradient_accumulation_steps=2).train()
    same(callback.history, by_hand(accumulate=2))


def test_a_loss_divided_by_the_items_of_all_batches_adds_up(tmp_path):
    callback = watch()
    trainer_of(built(Pretrained), tmp_path, [callback], gradient_accumulation_steps=2).train()
    same(callback.history, by_hand(accumulate=2), "speller.", rtol=1e-4)  # float32 over 6 steps of 24 products


def test_gradients_are_those_before_clipping(tmp_path):
    callback = watch(every=100, log=False, first=1)
    trainer_of(built(), tmp_path, [callback], max_grad_norm=1e-3).train()
    assert callback.history.entries[0].figures["grad_norm"] == pytest.approx(
        by_hand().entries[0].figures["grad_norm"], rel=1e-6
    )


def test_norms_are_divided_by_the_scale_of_accelerates_scaler(tmp_path):
    class Scaled(Trainer):
        def create_accelerator_and_postprocess(self):
            super().create_accelerator_and_postprocess()
            # fp16=True is refused without a GPU; this is what it comes to.
            self.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4, growth_interval=1)

    callback = watch()
    trainer_of(built(), tmp_path, [callback], kind=Scaled, max_grad_norm=1e9).train()
    assert [entry.figures.pop("scale") for entry in callback.history.entries] == [2.0 ** (4 + k) for k in range(STEPS)]
    same(callback.history, by_hand(), rtol=1e-5)


class Ears(TrainerCallback):
    """An integration that the Trainer reports to."""

    def __init__(self):
        self.heard = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.heard.append((state.global_step, dict(logs)))


def test_attached_it_logs_through_the_trainer(tmp_path):
    ears, callback = Ears(), watch(every=2, log=False, first=0)
    trainer = trainer_of(built(), tmp_path, [ears])
    assert callback.attach(trainer) is callback
    callback.attach(trainer)
    assert trainer.callback_handler.callbacks.count(callback) == 1
    trainer.train()
    heard = [(step, logs) for step, logs in ears.heard if "seqgrad/rnn.l0/ratio" in logs]
    assert [step for step, _ in heard] == [1, 3, 5] == [step + 1 for step in callback.history.steps]
    assert [logs["seqgrad/rnn.l0/ratio"] for _, logs in heard] == callback.history.figures("rnn.l0")["ratio"]
    assert all(len([name for name in logs if name.startswith("seqgrad/rnn.l0/")]) <= 6 for _, logs in heard)
    kept = [line["step"] for line in trainer.state.log_history if "seqgrad/rnn.l0/ratio" in line]
    assert kept == [1, 3, 5]


def test_as_a_mere_callback_it_adds_to_the_log_history(tmp_path):
    callback = watch(prefix="look")
    trainer = trainer_of(built(), tmp_path, [callback])
    trainer.train()
    lines = [line for line in trainer.state.log_history if "look/rnn.l0/ratio" in line]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["look/loss"] for line in lines] == callback.history.losses


def test_evaluation_is_not_recorded(tmp_path):
    callback = watch()
    trainer_of(built(), tmp_path, [callback], eval_strategy="steps", eval_steps=2, eval_dataset=rows(4)).train()
    same(callback.history, by_hand())


def test_a_model_without_a_loss_of_its_own_is_watched_without_one(tmp_path):
    class Mute(Speller):
        def forward(self, input_ids, labels=None):
            return {"logits": self.head(self.rnn(self.embed(input_ids))[0])}

    def cross_entropy(outputs, labels, num_items_in_batch=None):
        return nn.functional.cross_entropy(outputs["logits"].flatten(0, 1), labels.flatten())

    callback = watch()
    trainer = trainer_of(built(Mute), tmp_path, [callback])
    trainer.compute_loss_func = cross_entropy
    trainer.train()
    assert torch.equal(callback.history.matrix("rnn.l0"), by_hand().matrix("rnn.l0"))
    assert all(loss != loss for loss in callback.history.losses)


def test_hooks_are_gone_afterwards_and_only_scheduled_steps_have_any(tmp_path):
    seen = []

    class Look(Speller):
        def forward(self, input_ids, labels):
            seen.append((sg._recorder._recording, len(self._forward_hooks)))
            return super().forward(input_ids, labels)

    model = built(Look)
    trainer_of(model, tmp_path, [watch(every=4, log=False, first=0)]).train()
    assert seen == [(True, 1), (False, 0), (False, 0), (False, 0), (True, 1), (False, 0)]
    assert not model._forward_hooks


def test_findings_are_warnings_and_can_end_the_training(tmp_path):
    def exploding():
        model = built()
        model.rnn = sg.init.identity_(sg.RNN(H, H, batch_first=True), 4.0)
        model.embed.weight.data.zero_()
        return model

    rules = [sg.rules.Exploding()]
    with pytest.warns(sg.FindingWarning, match=r"rnn l0 \(forward\): the gradient explodes"):
        trainer_of(exploding(), tmp_path, [watch(on_finding="warn", rules=rules, every=9, log=False, first=0)]).train()
    sink = sg.sinks.JSONL(tmp_path / "run.jsonl")
    trainer = trainer_of(exploding(), tmp_path, [watch(on_finding="raise", rules=rules, sinks=[sink])])
    with pytest.raises(sg.FindingError, match="explodes"):
        trainer.train()
    assert not sg._recorder._recording
    sink.close()
    assert sg.History.load(tmp_path / "run.jsonl").findings


def test_after_an_exception_the_next_training_begins_afresh(tmp_path):
    class Fails(Speller):
        broken = True

        def forward(self, input_ids, labels):
            output = super().forward(input_ids, labels)
            if self.broken:
                raise ArithmeticError("on purpose")
            return output

    model, callback = built(Fails), watch()
    trainer = trainer_of(model, tmp_path, [callback])
    with pytest.raises(ArithmeticError, match="on purpose"):
        trainer.train()
    model.broken = False
    trainer.train()
    same(callback.history, by_hand())
    assert not model._forward_hooks
    assert not sg._recorder._recording


def test_close_ends_the_watch_over_a_training_that_broke_off(tmp_path):
    class Fails(Speller):
        def forward(self, input_ids, labels):
            raise ArithmeticError("on purpose")

    callback, model = watch(), built(Fails)
    with pytest.raises(ArithmeticError, match="on purpose"):
        trainer_of(model, tmp_path, [callback]).train()
    assert sg._recorder._recording
    callback.close()
    assert not sg._recorder._recording
    assert not model._forward_hooks


def test_a_resumed_training_counts_on(tmp_path):
    sink = sg.sinks.JSONL(tmp_path / "run.jsonl")
    model = built(Pretrained)
    trainer_of(model, tmp_path, [watch(sinks=[sink])], max_steps=3, save_strategy="steps", save_steps=3).train()
    resumed = watch(sinks=[sg.sinks.JSONL(tmp_path / "run.jsonl")])
    trainer_of(built(Pretrained), tmp_path, [resumed]).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert resumed.history.steps == [3, 4, 5]
    assert sg.History.load(tmp_path / "run.jsonl").steps == list(range(STEPS))


# Dynamo looks at every attribute of a tensor that it finds where the graph breaks.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_model_keeps_its_names(tmp_path):
    callback = watch(every=3, log=False, first=0)
    trainer_of(built(), tmp_path, [callback], torch_compile=True, torch_compile_backend="aot_eager").train()
    expected = by_hand()
    assert callback.history.steps == [0, 3]
    assert callback.history.series == ("rnn.l0",)
    torch.testing.assert_close(
        callback.history.matrix("rnn.l0"), expected.matrix("rnn.l0")[[0, 3]], rtol=1e-4, atol=0.0
    )


def test_bad_arguments_are_told_at_once_and_a_model_without_our_layers_at_train(tmp_path):
    with pytest.raises(ValueError, match="every must be an int >= 1, got 0"):
        GradientCallback(every=0)
    model = sg.revert_(built())
    with pytest.raises(ValueError, match=r"convert_\(model\) first"):
        trainer_of(model, tmp_path, [watch()]).train()
