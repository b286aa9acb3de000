"""Answers to the exercises: a right one for each, and one for every way of being wrong that has a hint of its own."""

from __future__ import annotations

_PLOT = """
import matplotlib.pyplot as plt, torch, seqgrad as sg
def plot_gradient(model, x, target):
    with sg.record(model) as rec:
        torch.nn.functional.cross_entropy(model(x), target).backward()
    s = rec["rnn"].l0
    _, ax = plt.subplots()
    {draw}
    return {returned}
"""
_RIGHT_PLOT = 'ax.semilogy(s.norm("grad_h"))'


def _plot(draw: str, returned: str = "ax") -> str:
    return _PLOT.format(draw=draw, returned=returned)


_HORIZON = """
import seqgrad as sg
def horizon(rnn, x, eps):
    with sg.record(rnn) as rec:
        rnn(x)[0][-1].sum().backward()
    n = rec[""].l0.norm("grad_h").tolist()
    T = len(n)
    {body}
"""


def _horizon(body: str) -> str:
    return _HORIZON.format(body=body.strip().replace("\n", "\n    "))


_COUNT = """
k = 0
while k + 1 < T and n[T - 2 - k] >= {bar}:
    k += 1
return k{more}
"""

_INIT = """
import torch, seqgrad as sg
def initialise(rnn):
    {body}
"""

_TRAIN = """
import torch
def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr={rate})
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        {clip}
        losses.append(loss.item())
    return {returned}
"""


def _train(clip: str, rate: float = 0.01, returned: str = "losses") -> str:
    return _TRAIN.format(clip=clip.replace("\n", "\n        "), rate=rate, returned=returned)


_CLIP = "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
_CLIP_AND_STEP = f"{_CLIP}\noptimizer.step()"


def _step(*lines: str) -> str:
    known = {
        "zero": "optimizer.zero_grad()",
        "backward": "loss_fn(model(x), y).backward()",
        "clip": "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)",
        "step": "optimizer.step()",
    }
    body = "\n    ".join(known.get(line, line) for line in lines)
    return f"import torch\ndef training_step(model, optimizer, loss_fn, x, y, max_norm):\n    {body}\n"


_CHUNKS = """
import seqgrad as sg
def train_on(model, optimizer, loss_fn, x, y, size):
    state = None
    for chunk, target, t0, last in sg.tbptt(x, y, size):
        {body}
"""


def _chunks(body: str) -> str:
    return _CHUNKS.format(body=body.strip().replace("\n", "\n        "))


_RIGHT_CHUNKS = """
out, state = model(chunk, sg.detach(state))
optimizer.zero_grad()
loss_fn(out, target).backward()
optimizer.step()
"""

_REMEMBER = """
import torch, seqgrad as sg
def remember(lstm, steps):
    {body}
"""

_NAN = """
import torch, seqgrad as sg
def first_nan(model, loss_fn, x):
    with sg.record(model) as rec:
        loss_fn(model(x)).backward()
    {body}
"""

ANSWERS: dict[str, dict[str, str]] = {
    "exercise-1": {
        "right": _plot(_RIGHT_PLOT),
        "mirrored": _plot('ax.semilogy(s.norm("grad_h").flip(0))'),
        "carry": _plot('ax.semilogy(s.norm("grad_carry"))'),
        "summed": _plot("ax.semilogy(s.grad_h.sum(1))"),
        "averaged": _plot("ax.semilogy(s.grad_h.mean(1))"),
        "one_sample": _plot("ax.semilogy(s.grad_h[:, 0])"),
        "relative": _plot('ax.semilogy(s.norm("grad_h") / s.norm("grad_h")[-1])'),
        "log_of_norm": _plot('ax.plot(s.norm("grad_h").log10())'),
        "linear_axis": _plot('ax.plot(s.norm("grad_h"))'),
        "no_line": _plot("pass"),
        "length": _plot('ax.semilogy(s.norm("grad_h")[1:])'),
        "other": _plot('ax.semilogy(s.norm("grad_h") * 2)'),
        "wrong_type": _plot(_RIGHT_PLOT, "None"),
    },
    "exercise-2": {
        "right": _horizon(_COUNT.format(bar="eps * n[-1]", more="")),
        "off_by_one": _horizon(_COUNT.format(bar="eps * n[-1]", more=" + 1")),
        "index": _horizon("return next(t for t in range(T) if n[t] >= eps * n[-1])"),
        "absolute": _horizon(_COUNT.format(bar="eps", more="")),
        "gap": _horizon("return max(T - 1 - t for t in range(T) if n[t] >= eps * n[-1])"),
        "other": _horizon("return -7"),
        "wrong_type": _horizon("pass"),
    },
    "exercise-3": {
        "right": _INIT.format(
            body="sg.init.orthogonal_(rnn)\n    for n, p in rnn.named_parameters():\n"
            '        if "bias" in n: torch.nn.init.zeros_(p)'
        ),
        "vanishes": _INIT.format(body="sg.init.identity_(rnn, 0.9)"),
        "explodes": _INIT.format(body="sg.init.identity_(rnn); sg.init.orthogonal_(rnn, 1.5)"),
        "dead": _INIT.format(body="torch.nn.init.zeros_(rnn.weight_hh_l0)"),
        "deaf": _INIT.format(body="sg.init.identity_(rnn); torch.nn.init.zeros_(rnn.weight_ih_l0)"),
        "untouched": _INIT.format(body="torch.nn.init.orthogonal_(rnn.weight_hh_l0.clone())"),
        "elsewhere": _INIT.format(body="return sg.init.identity_(sg.RNN(10, rnn.hidden_size))"),
    },
    "exercise-4": {
        "right": _train(_CLIP_AND_STEP),
        "unclipped": _train(f"optimizer.step()\n{_CLIP}"),
        "stopped_early": _train(f"{_CLIP_AND_STEP}\nif len(losses) == 9: break"),
        "no_update": _train("if loss < 2: optimizer.step()"),
        "skipped": _train(f"{_CLIP}\nif len(losses) % 50 == 0: optimizer.step()", 1e-4),
        "too_slow": _train(_CLIP_AND_STEP, 1e-7),
        "nan": _train("for p in model.parameters(): p.grad.fill_(float('nan'))\noptimizer.step()"),
        "wrong_type": _train(_CLIP_AND_STEP, returned="losses[-1]"),
    },
    "exercise-5": {
        "right": _step("zero", "backward", "clip", "step"),
        "after_step": _step("zero", "backward", "step", "clip"),
        "accumulates": _step("backward", "clip", "step"),
        "zeroed": _step("zero", "backward", "clip", "zero", "step"),
        "by_value": _step("zero", "backward", "torch.nn.utils.clip_grad_value_(model.parameters(), max_norm)", "step"),
        "each": _step(
            "zero",
            "backward",
            "for p in model.parameters(): torch.nn.utils.clip_grad_norm_([p], max_norm)",
            "step",
        ),
        "length": _step(
            "zero", "backward", "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm / 2)", "step"
        ),
        "updates": _step("zero", "backward", "clip"),
        "other": _step("zero", "backward", "for p in model.parameters(): p.grad.sign_()", "step"),
    },
    "exercise-6": {
        "right": _chunks(_RIGHT_CHUNKS),
        "no_detach": _chunks(_RIGHT_CHUNKS.replace("sg.detach(state)", "state")),
        "half_detached": _chunks(_RIGHT_CHUNKS.replace("sg.detach(state)", "state and (state[0].detach(), state[1])")
                                 .replace("backward()", "backward(retain_graph=True)")),
        "forgets_state": _chunks(_RIGHT_CHUNKS.replace("sg.detach(state)", "None")),
        "no_step": _chunks(_RIGHT_CHUNKS.replace("optimizer.step()", "")),
        "steps": _chunks(_RIGHT_CHUNKS.replace("optimizer.step()", "last and optimizer.step()")),
        "accumulates": _chunks(_RIGHT_CHUNKS.replace("optimizer.zero_grad()", "")),
        "zeroed": _chunks(_RIGHT_CHUNKS.replace("optimizer.step()", "optimizer.zero_grad(); optimizer.step()")),
        "chunks": _chunks(_RIGHT_CHUNKS).replace("(x, y, size)", "(x, y, 7)"),
        "other": _chunks(_RIGHT_CHUNKS.replace("(out, target)", "(out, 0 * target)")),
    },
    "exercise-7": {
        "right": _REMEMBER.format(body="sg.init.chrono_(lstm, steps)"),
        "forgets": _REMEMBER.format(body="sg.init.orthogonal_(lstm)"),
        "forgets_more": _REMEMBER.format(body="sg.init.forget_bias_(lstm, -4.0)"),
        "wrong_gate": _REMEMBER.format(body="torch.nn.init.constant_(lstm.bias_ih_l0[: lstm.hidden_size], 4.0)"),
        "stuck": _REMEMBER.format(body="sg.init.forget_bias_(lstm, 20.0)"),
        "explodes": _REMEMBER.format(body="sg.init.orthogonal_(lstm, 3.0); sg.init.forget_bias_(lstm, 4.0)"),
        "dead": _REMEMBER.format(body="[torch.nn.init.zeros_(p) for p in lstm.parameters()]"),
        "untouched": _REMEMBER.format(body="pass"),
        "elsewhere": _REMEMBER.format(body="return sg.init.chrono_(sg.LSTM(10, 32), steps)"),
    },
    "exercise-8": {
        "right": _NAN.format(body='born = rec.first_nonfinite.get("rnn.l0")\n    return born and born.t'),
        "off_by_one": _NAN.format(body='born = rec.first_nonfinite.get("rnn.l0")\n    return born and born.t + 1'),
        "backwards": _NAN.format(body='born = rec.first_nonfinite.get("rnn.l0")\n    return born and 29 - born.t'),
        "overlooks": _NAN.format(body="return None"),
        "invents": _NAN.format(body='born = rec.first_nonfinite.get("rnn.l0")\n    return born.t if born else -1'),
        "other": _NAN.format(body="return 9"),
        "wrong_type": _NAN.format(body='return "17"'),
    },
}  # fmt: skip

# What the files of `--start` are told: each runs, and is wrong in the way its exercise is about.
STARTERS = {
    "exercise-1": "direct",
    "exercise-2": "absolute",
    "exercise-3": "biases",
    "exercise-4": "unclipped",
    "exercise-5": "unclipped",
    "exercise-6": "no_detach",
    "exercise-7": "too_short",
    "exercise-8": "earliest",
}
