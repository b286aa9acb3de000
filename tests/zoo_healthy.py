"""Sound networks in training, on which the instrument keeps silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from zoo import H, I, Model, N, T, first_unit, noise, quiet_rnn

import seqgrad as sg
from seqgrad.rules import Finding


# -- healthy -----------------------------------------------------------------------------------------------------------
def _trained(
    model: nn.Module, batch: Callable[[], Tensor], *, steps: int = 8, loss: Any = None, **options: Any
) -> list[Finding]:
    """All findings of a short, sound training with Adam and clipping."""
    mon = sg.Monitor(model, every=1, on_finding=None)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    found: list[Finding] = []
    for _ in range(steps):
        optimizer.zero_grad()
        with mon:
            value = (loss or (lambda y: y.square().mean()))(model(batch(), **options))
            value.backward()
        found += mon.step(loss=value)
        sg.clip.grad_norm_(model, 1.0)
        optimizer.step()
    return found


def lstm_with_open_forget_gates() -> list[Finding]:
    return _trained(nn.Sequential(Model(sg.init.chrono_(sg.LSTM(I, H), 2 * T)), nn.Linear(H, 2)), noise())


def orthogonal_tanh() -> list[Finding]:
    rnn = sg.init.identity_(sg.RNN(I, H))
    return _trained(nn.Sequential(Model(sg.init.orthogonal_(rnn)), nn.Linear(H, 2)), noise(0.1))


def identity_relu() -> list[Finding]:
    rnn = sg.init.identity_(sg.RNN(I, H, nonlinearity="relu"))
    return _trained(nn.Sequential(Model(rnn), nn.Linear(H, 2)), noise(0.3))


def residual() -> list[Finding]:
    rnn = sg.ResidualRNN(I, H, residual_scale=1 / T)
    return _trained(nn.Sequential(Model(rnn), nn.Linear(H, 2)), noise())


def tagger_with_lengths() -> list[Finding]:
    rnn = sg.LSTM(I, H, num_layers=2, bidirectional=True, dropout=0.2)
    lengths = torch.tensor([40, 31, 12, 22])

    class Tagger(Model):
        def forward(self, x: Tensor, **options: Any) -> Tensor:
            return super().forward(x, lengths=lengths)

    def batch() -> Tensor:
        x = torch.randn(T, N, I)
        return torch.where((torch.arange(T).unsqueeze(1) < lengths).unsqueeze(2), x, 0.0)

    return _trained(nn.Sequential(Tagger(rnn, lambda out: out), nn.Linear(2 * H, 2)), batch)


def truncated_language_model() -> list[Finding]:
    """A state carried over chunks and steps, detached; gradients accumulate over two chunks per optimizer step."""
    rnn, head = sg.GRU(I, H, batch_first=True), nn.Linear(H, I)
    model = nn.ModuleDict({"rnn": rnn, "head": head})
    mon = sg.Monitor(model, every=1, on_finding=None)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    state, found = None, []
    for _ in range(6):
        for chunk, _, _, _ in sg.tbptt(torch.randn(N, 20, I), size=10, batch_first=True):
            with mon:
                out, state = rnn(chunk, sg.detach(state))
                (head(out).square().mean() / 2).backward()
        found += mon.step()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    return found


def converted_encoder_and_decoder() -> list[Finding]:
    """torch.nn's layers converted; the decoder starts from the encoder's state, made outside the block."""
    model = sg.convert_(nn.ModuleDict({"encoder": nn.GRU(I, H), "decoder": nn.GRU(I, H), "head": nn.Linear(H, I)}))
    mon = sg.Monitor(model, every=1, on_finding=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for _ in range(4):
        x = torch.randn(8, N, I)
        _, state = model["encoder"](x)
        with mon:
            loss = model["head"](model["decoder"](x, state)[0]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found += mon.step(loss=loss)
    return found


def smooth_signals() -> list[Finding]:
    def batch() -> Tensor:
        phase, t = 7 * torch.rand(12, 1, I), torch.arange(T).view(1, T, 1)
        return torch.sin(0.3 * t + phase)

    model = nn.Sequential(Model(sg.GRU(I, H, batch_first=True), lambda out: out), nn.Linear(H, 2))
    return _trained(model, batch)


def masked_loss_over_padding() -> list[Finding]:
    def batch() -> Tensor:
        x = torch.randn(T, N, I)
        for n, length in enumerate((40, 31, 12, 22)):
            x[length:, n] = 0.0
        return x

    inside = torch.arange(T).unsqueeze(1) < torch.tensor([40, 31, 12, 22])
    return _trained(Model(sg.GRU(I, H), lambda out: out), batch, loss=lambda y: y[inside].square().mean())


def scaled_half_precision() -> list[Finding]:
    rnn = quiet_rnn(1.0).half()
    model = Model(rnn)
    mon = sg.Monitor(model, every=1, on_finding=None)
    found = []
    for _ in range(3):
        with mon:
            (first_unit(model((0.1 * torch.randn(T, N, I)).half()).float()) * 2.0**-20 * 2.0**16).backward()
        found += mon.step(scaler=2.0**16)
        model.zero_grad()
    return found


HEALTHY = [
    lstm_with_open_forget_gates,
    orthogonal_tanh,
    identity_relu,
    residual,
    tagger_with_lengths,
    truncated_language_model,
    converted_encoder_and_decoder,
    smooth_signals,
    masked_loss_over_padding,
    scaled_half_precision,
]
