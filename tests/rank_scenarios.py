"""What each of two processes does in tests/test_distributed.py, and the same on the whole batch in one process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import seqgrad as sg

FOLDER = Path()  # set by ranks.py
T, N, I, H = 6, 4, 3, 5  # noqa: E741 - N over both ranks
STEPS = 3
LAYERS = ("RNN", "GRU", "LSTM", "ResidualRNN")
CELLS = tuple(f"{name}Cell" for name in LAYERS)
KINDS = (*LAYERS, *CELLS)


class Net(nn.Module):
    """A recurrent layer or a cell in a loop, and a head. ``spare`` gets no gradient."""

    def __init__(self, kind: str, *, home: Any = sg, spare: bool = False) -> None:
        super().__init__()
        self.loop = kind.endswith("Cell")
        self.rnn = getattr(home, kind)(I, H, **({} if self.loop else {"num_layers": 2, "bidirectional": True}))
        self.head = nn.Linear(H if self.loop else 2 * H, 2)
        if spare:
            self.spare = getattr(home, kind)(I, H)

    def forward(self, x: Tensor) -> Tensor:
        if not self.loop:
            return self.head(self.rnn(x)[0])
        state, outs = None, []
        for step in x:
            state = self.rnn(step, state)
            outs.append(self.head(state[0] if isinstance(state, tuple) else state))
        return torch.stack(outs)


def net(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> Net:
    torch.manual_seed(0)
    return Net(kind, **options).to(dtype)


def batches(dtype: torch.dtype = torch.float64) -> Tensor:
    """``[STEPS, T, N, I]``."""
    return torch.randn(STEPS, T, N, I, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def part(x: Tensor, rank: int) -> Tensor:
    """This rank's samples."""
    return x.chunk(2, -2)[rank]


def loss(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).square().mean()


def train(model: nn.Module, inputs: Tensor, backward: Callable[[Tensor], None]) -> dict[str, Tensor]:
    """Gradients of the first step and weights after all, by name of the parameter."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    found = {}
    for x in inputs:
        optimizer.zero_grad()
        backward(x)
        if not found:
            found = {f"d {name}": whole(p.grad) for name, p in model.named_parameters() if p.grad is not None}
        optimizer.step()
    return found | {name: whole(p) for name, p in model.named_parameters()}


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def alone(kind: str, **options: Any) -> dict[str, Tensor]:
    """One process on the whole batch."""
    model = net(kind, **options)
    return train(model, batches(), lambda x: loss(model, x).backward())


def norms(record: sg.GradientRecord) -> dict[str, list[Tensor]]:
    return {key: [series.data for series in record.all(key)] for key in record}


# -- DistributedDataParallel -------------------------------------------------------------------------------------------
def _ddp(rank: int, **options: Any) -> dict[str, Any]:
    found = {}
    for kind in KINDS:
        model = net(kind, spare=bool(options.get("find_unused_parameters")))
        ddp = DistributedDataParallel(model, **options)
        found[kind] = train(model, batches(), lambda x, ddp=ddp: loss(ddp, part(x, rank)).backward())
    return found


def ddp(rank: int) -> dict[str, Any]:
    return _ddp(rank)


def ddp_static_graph(rank: int) -> dict[str, Any]:
    return _ddp(rank, static_graph=True, gradient_as_bucket_view=True)


def ddp_unused_parameters(rank: int) -> dict[str, Any]:
    return _ddp(rank, find_unused_parameters=True)


def ddp_recorded(rank: int) -> dict[str, Any]:
    """Records, and that they change nothing."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        model = net(kind)
        ddp, x = DistributedDataParallel(model), part(batches()[0], rank)
        with sg.record(ddp.module) as record:
            loss(ddp, x).backward()
        grads = {f"d {name}": p.grad for name, p in model.named_parameters()}
        found[kind] = {"norms": norms(record), "rank": record.rank, "grads": grads}
    with sg.record(ddp) as empty:
        pass
    record.save(FOLDER / f"record{rank}.npz")
    record.to_csv(FOLDER / f"record{rank}.csv")
    texts = [repr(record), record.summary(), record._repr_html_(), repr(empty), empty.summary(), empty._repr_html_()]
    return found | {"texts": texts, "dict": record.to_dict()["rank"]}


def ddp_accumulated(rank: int) -> dict[str, Any]:
    """One sample after the other, exchanged at the last."""
    found = {}
    for kind in KINDS:
        model = net(kind)
        ddp = DistributedDataParallel(model)
        first, second = part(batches()[0], rank).chunk(2, 1)
        with sg.record(model) as record:
            with ddp.no_sync():
                (loss(ddp, first) / 2).backward()
            (loss(ddp, second) / 2).backward()
        grads = {f"d {name}": p.grad for name, p in model.named_parameters()}
        found[kind] = {"grads": grads, "norms": norms(record)}
    return found


def ddp_checkpointed(rank: int) -> dict[str, Any]:
    """With use_reentrant=True DDP asks for static_graph, and a leaf that requires grad."""
    found = {}
    for kind in ("GRU", "LSTMCell"):
        for reentrant in (False, True):
            model = net(kind)
            ddp = DistributedDataParallel(model, static_graph=reentrant)
            x = part(batches()[0], rank).clone().requires_grad_(reentrant)
            with sg.record(model) as record:
                checkpoint(lambda v, ddp=ddp: loss(ddp, v), x, use_reentrant=reentrant).backward()
            grads = {f"d {name}": p.grad for name, p in model.named_parameters()}
            found[kind, reentrant] = {"grads": grads, "norms": norms(record)}
    return found


def monitored(rank: int) -> dict[str, Any]:
    model = net("RNN", torch.float32)
    with torch.no_grad():
        model.rnn.weight_hh_l0.mul_(0.01)  # vanishes: something to find
    ddp = DistributedDataParallel(model)
    files = [sg.sinks.JSONL(FOLDER / "run.jsonl"), sg.sinks.CSV(FOLDER / "run.csv")]
    mon = sg.Monitor(ddp, every=1, sinks=files, on_finding=None)
    ranks = set()
    for x in batches(torch.float32):
        with mon:
            model_loss = loss(ddp, part(x, rank))
            model_loss.backward()
        ranks |= {finding.rank for finding in mon.step(loss=model_loss)}
        model.zero_grad()
    mon.close()
    size = nn.utils.get_total_norm([p.grad for p in train_once(ddp, part(x, rank))])
    figures = [entry.figures["grad_norm"] for entry in mon.history.entries]
    return {"ranks": ranks, "norms": mon.history.matrix("rnn.l0"), "figures": figures, "reduced": float(size)}


def train_once(model: nn.Module, x: Tensor) -> list[nn.Parameter]:
    loss(model, x).backward()
    return list(model.parameters())


# -- FSDP2 -------------------------------------------------------------------------------------------------------------
def shard(model: Net, *, inner: bool = True, **options: Any) -> Net:
    mesh = init_device_mesh("cpu", (2,))
    if inner:
        fully_shard(model.rnn, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)


def fsdp(rank: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in KINDS:
        for inner in (True, False):
            model = shard(net(kind), inner=inner)
            assert all(isinstance(p, DTensor) for p in model.parameters())
            with sg.record(model) as record:
                result = train(model, batches(), lambda x, model=model: loss(model, part(x, rank)).backward())
            assert all(isinstance(p, DTensor) for p in model.parameters())
            found[kind, inner] = {"result": result, "norms": norms(record), "rank": record.rank}
    return found


def fsdp_mixed_precision(rank: int) -> dict[str, Any]:
    """bfloat16 parameters, gathered and reduced from float32 ones: ours and torch.nn's."""
    found: dict[str, Any] = {}
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for kind in LAYERS[:3]:
        for name, home in (("ours", sg), ("peer", nn)):
            model = shard(net(kind, torch.float32, home=home), mp_policy=policy)
            out = model(part(batches(torch.float32)[0], rank))
            out.float().square().mean().backward()
            found[kind, name] = {f"d {key}": whole(p.grad) for key, p in model.named_parameters()}
            found[kind, name]["out"] = out.detach()
    return found


def fsdp_accumulated_and_checkpointed(rank: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    x = part(batches()[0], rank)
    model = shard(net("LSTM"))
    with sg.record(model) as record:
        model.set_requires_gradient_sync(False)
        (loss(model, x[:, :1]) / 2).backward()
        model.set_requires_gradient_sync(True)
        (loss(model, x[:, 1:]) / 2).backward()
    found["accumulated"] = {f"d {k}": whole(p.grad) for k, p in model.named_parameters()}, norms(record)
    for reentrant in (False, True):
        model = shard(net("LSTM"))
        leaf = x.clone().requires_grad_(reentrant)
        with sg.record(model) as record:
            checkpoint(lambda v, model=model: loss(model, v), leaf, use_reentrant=reentrant).backward()
        found[f"{reentrant=}"] = {f"d {k}": whole(p.grad) for k, p in model.named_parameters()}, norms(record)
    return found


def fsdp_around(rank: int) -> dict[str, Any]:
    """What looks at sharded parameters and gradients, and a model that is first allocated when it is sharded."""
    model = shard(net("GRU", torch.float32))
    x = part(batches(torch.float32)[0], rank)
    mon = sg.Monitor(model, every=1, on_finding=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    for _ in range(2):
        optimizer.zero_grad()
        with mon:
            (1e5 * loss(model, x)).backward()
        mon.step()
        optimizer.step()
    found: dict[str, Any] = {"checked": [(f.rule, f.series, f.value) for f in sg.check_grads(model, 100.0)]}
    found["figures"] = [entry.figures for entry in mon.history.entries]
    found["torch's norm"] = float(nn.utils.get_total_norm([p.grad for p in model.parameters()]).full_tensor())
    found["norm"] = float(sg.clip.grad_norm_(model.parameters(), 1.0).full_tensor())
    found["clipped"] = float(sg.clip.grad_norm_(model.parameters(), 1.0).full_tensor())
    with torch.device("meta"):
        late = Net("LSTM")
    shard(late).to_empty(device="cpu")
    late.rnn.reset_parameters()
    late.head.reset_parameters()
    out = late(x)
    out.sum().backward()
    found["late"] = bool(out.isfinite().all()) and all(p.grad is not None for p in late.parameters())
    found["repr"] = repr(model.rnn)
    return found


def fsdp_limits(rank: int) -> dict[str, Any]:
    """Calls that cannot work: what they raise."""
    found: dict[str, Any] = {}
    x = part(batches()[0], rank)
    model = shard(net("GRU"), inner=False)
    mesh = init_device_mesh("cpu", (2,))
    layer = copy.deepcopy(net("GRU").rnn)
    for name, p in list(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(distribute_tensor(p.detach(), mesh, [Replicate()])))
    calls = {
        "around the sharded module": lambda: model.rnn(x),
        "a DTensor as input": lambda: layer(distribute_tensor(x, mesh, [Replicate()])),
    }
    for name, call in calls.items():
        try:
            call()
        except (RuntimeError, NotImplementedError) as error:
            found[name] = str(error)
    return found
