"""torch.func's transforms see a seqgrad layer as they see torch.nn's."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call, grad, vmap

import seqgrad as sg


def loss_of(model: torch.nn.Module):
    def loss(parameters, x):
        return functional_call(model, parameters, (x,))[0].square().mean()

    return loss


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_func_grad_gives_the_gradients_of_torch_nn(name):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(3, 5, dtype=torch.float64)
    ours = getattr(sg, name)(3, 5, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    expected = torch.autograd.grad(theirs(x)[0].square().mean(), list(theirs.parameters()))
    found = grad(loss_of(ours))(dict(ours.named_parameters()), x)
    for (key, value), exact in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(value, exact, rtol=1e-12, atol=1e-14, msg=key)


def test_per_sample_gradients_by_vmap_add_up_to_the_batch_gradient():
    torch.manual_seed(0)
    model = sg.GRU(3, 5, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    per_sample = vmap(grad(loss_of(model)), in_dims=(None, 1))(parameters, x.unsqueeze(2))
    whole = torch.autograd.grad(model(x)[0].square().mean(), list(parameters.values()))
    for key, exact in zip(parameters, whole, strict=True):
        torch.testing.assert_close(per_sample[key].mean(0), exact, rtol=1e-12, atol=1e-14, msg=key)


def test_state_clip_inside_a_transform_says_what_to_do():
    model = sg.RNN(3, 5, state_clip=sg.clip.Norm(1.0))
    with pytest.raises(RuntimeError, match="pass state_clip=None there"):
        grad(loss_of(model))(dict(model.named_parameters()), torch.randn(4, 2, 3))
