"""The head as a GPU runs it: in chunks, in a low number format, and with
nothing computed twice."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from course_lib.model import loss as module
from course_lib.model.config import GPTConfig
from course_lib.model.cost import flops_by_part, flops_per_token
from course_lib.model.gpt import GPT
from course_lib.model.loss import chunked_cross_entropy, linear_cross_entropy
from course_lib.presets import PRESETS

V, C = 5_003, 64


def inputs(rows=8_192, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(rows, C, requires_grad=True)
    weight = (0.05 * torch.randn(V, C)).requires_grad_()
    targets = torch.randint(V, (rows,))
    targets[::7] = -100
    return x, weight, targets


def gradients(loss, *of):
    return torch.autograd.grad(loss, of)


@pytest.mark.parametrize("kind, limit", [
    (torch.bfloat16, 5e-3), (torch.float16, 1e-3)])
def test_gradients_of_a_low_format_are_those_of_float32(kind, limit):
    """Over 8,192 rows in chunks of 1,024: of the head, whose gradient is a
    sum over all chunks, within a thousandth of its length."""
    x, weight, targets = inputs()
    plain = F.cross_entropy(x @ weight.T, targets)
    wanted_x, wanted = gradients(plain, x, weight)
    with torch.autocast("cpu", kind):
        loss = chunked_cross_entropy(x, weight, targets, 1024)
    found_x, found = gradients(loss, x, weight)
    assert found.dtype == found_x.dtype == torch.float32
    assert loss.item() == pytest.approx(plain.item(), rel=1e-4)
    # each row's gradient is rounded once, the sum of all is not
    assert (found_x - wanted_x).norm() < limit * wanted_x.norm()
    along = (found * wanted).sum() / wanted.square().sum()
    assert abs(along - 1) < 1e-3
    assert (found - wanted).norm() < limit * wanted.norm()


def test_no_small_gradient_is_lost_in_float16():
    """The mean over thousands of rows is taken after the products, else
    their gradients, each divided by thousands, would be zero."""
    x, weight, targets = inputs()
    with torch.autocast("cpu", torch.float16):
        loss = chunked_cross_entropy(x, weight, targets, 1024)
    scaled, = gradients(loss * 2.0**16, x)
    wanted, = gradients(F.cross_entropy(x @ weight.T, targets), x)
    counts = targets != -100
    lost = (scaled[counts] == 0) & (wanted[counts].abs() > 1e-9)
    assert lost.double().mean() < 1e-3


def test_the_chunks_compute_nothing_twice():
    """PyTorch's FLOP counter finds in the head what `flops_by_part` says,
    a part of the 330.7 MFLOP of a token at full size."""
    assert flops_per_token(PRESETS["full"].model) == pytest.approx(
        330.7e6, rel=1e-3)
    rows, T = 4, 512
    config = GPTConfig(V, T, 1, 8, 128)
    parts = flops_by_part(config)
    model = GPT(config)
    ids = torch.randint(V, (rows, T))
    with FlopCounterMode(display=False) as count, \
            torch.autocast("cpu", torch.bfloat16):
        hidden = model.hidden(ids).detach().flatten(0, 1).requires_grad_()
        before = count.get_total_flops()
        chunked_cross_entropy(hidden, model.head, ids.flatten(),
                              1024).backward()
        head = count.get_total_flops() - before
    assert head == rows * T * parts["head"]


def test_compiled_on_a_cpu_all_logits_are_made_at_once():
    """Inductor merges what is done with them; chunks it could not."""
    torch.compiler.reset()
    x, weight, targets = inputs(2_048)
    graphs = []

    def backend(graph, inputs):
        graphs.append(str(graph.graph))
        return graph

    loss = torch.compile(linear_cross_entropy, fullgraph=True,
                         backend=backend)(x, weight, targets)
    assert "cross_entropy" in graphs[0]
    assert loss.item() == pytest.approx(
        chunked_cross_entropy(x, weight, targets, 512).item(), rel=1e-5)


def test_without_gradients_it_only_adds_up():
    x, weight, targets = inputs(2_048)
    with torch.no_grad(), FlopCounterMode(display=False) as count:
        loss = chunked_cross_entropy(x, weight, targets, 512)
    assert count.get_total_flops() == 2_048 * 2 * V * C
    assert loss.item() == pytest.approx(
        F.cross_entropy(x @ weight.T, targets).item(), rel=1e-5)


class Widest(TorchDispatchMode):
    """Counts the rows of the tallest tensor of V columns that is made."""

    rows = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.shape[-1:] == (V,):
            self.rows = max(self.rows, made.size(0))
        return made


def test_logits_exist_for_a_chunk_at_a_time(monkeypatch):
    """Logits for a block, their slopes for a chunk, never for the batch."""
    sizes, real = [], F.log_softmax

    def spied(logits, *args, **options):
        sizes.append(tuple(logits.shape))
        return real(logits, *args, **options)

    monkeypatch.setattr(module.F, "log_softmax", spied)
    x, weight, targets = inputs(2_100)
    with Widest() as widest:
        chunked_cross_entropy(x, weight, targets, 512).backward()
    assert widest.rows == 512
    assert sizes == [(64, V)] * 32 + [(52, V)]


def test_no_tensor_is_made_on_the_host_in_a_training_step():
    """On a GPU a tensor of Python numbers is a copy that is waited for."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        seen = ()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            Watch.seen += (str(function),)
            return function(*args, **(kwargs or {}))

    model = GPT(GPTConfig(97, 24, 2, 4, 32, positions="rotary"))
    ids = torch.randint(97, (2, 3, 24))
    with Watch():
        model.loss(*ids)
    assert "aten.addmm.default" in Watch.seen or "aten.mm.default" in \
        Watch.seen
    assert not [name for name in Watch.seen if "lift_fresh" in name]
