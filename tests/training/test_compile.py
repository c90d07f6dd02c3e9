"""What is compiled on a GPU, tried on the CPU: no break in the graph, and no
shape that may change, whatever comes: an evaluation, a halved micro-batch,
another preset in the same process."""

from dataclasses import replace

import pytest
import tiny
import torch
from torch._dynamo.utils import counters

from course_lib.measuring.evaluation import evaluate
from course_lib.model.gpt import GPT
from course_lib.recipes import RECIPES
from course_lib.sampling.generation import generate
from course_lib.training import trainer
from course_lib.training.start import compile_whole, start
from course_lib.training.step import train_step

pytestmark = pytest.mark.usefixtures("quick")


class Compiled:
    """A backend of torch.compile that runs what it gets, and remembers."""

    def __init__(self):
        self.dynamic = []

    def __call__(self, graph, inputs):
        self.dynamic.append([
            size for value in inputs if isinstance(value, torch.Tensor)
            for size in value.shape if not isinstance(size, int)]
            + [value for value in inputs if isinstance(value, torch.SymInt)])
        return graph


@pytest.fixture
def backend():
    torch.compiler.reset()
    counters.clear()
    yield Compiled()
    torch.compiler.reset()


def batch(rows, T=16, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(300, (2, rows, T), generator=draw)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_shape_is_compiled_whole_and_none_may_change(recipe, backend):
    preset = RECIPES[recipe].at(tiny.PRESET)
    preset = replace(preset, model=replace(preset.model, context_length=16))
    model, optimizer = start(preset, "cpu", compiles=False)
    compile_whole(model, backend)
    for rows in (8, 8, 4, 3):  # a step, another, halved, an uneven rest
        train_step(model, optimizer, batch(rows), 1e-3, 1.0)
    model.eval()
    with torch.no_grad():
        model.loss(*batch(5))
    model.train()
    train_step(model, optimizer, batch(8, seed=1), 1e-3, 1.0)
    assert not counters["graph_break"]
    assert len(backend.dynamic) == 4 and not any(backend.dynamic)


def test_another_preset_in_the_same_process(backend):
    """As `course doctor` measures them, one after the other."""
    for layers, width in ((1, 16), (2, 32), (3, 64)):
        torch.compiler.reset()
        model = replace(tiny.PRESET.model, n_layer=layers, n_embd=width)
        made, optimizer = start(replace(tiny.PRESET, model=model), "cpu",
                                compiles=False)
        compile_whole(made, backend)
        train_step(made, optimizer, batch(4), 1e-3, 1.0)
    assert not counters["graph_break"]
    assert len(backend.dynamic) == 3 and not any(backend.dynamic)


def test_a_compiled_step_is_the_step(backend):
    plain, compiled = (start(tiny.PRESET, "cpu", compiles=False)
                       for _ in range(2))
    compile_whole(compiled[0], backend)
    for model, optimizer in (plain, compiled):
        for step in range(3):
            torch.manual_seed(step)
            train_step(model, optimizer, batch(4, seed=step), 1e-2, 1.0)
    assert plain[0].state_dict().keys() == compiled[0].state_dict().keys()
    for a, b in zip(plain[0].parameters(), compiled[0].parameters(),
                    strict=True):
        torch.testing.assert_close(a, b)


def test_a_trained_model_is_as_it_was_made(run, backend, monkeypatch):
    """It is evaluated compiled on the way, and after the run samples at any
    length without compiling anew for each."""
    def compiled(*args):
        model, optimizer = start(*args[:4], compiles=False)
        compile_whole(model, backend)
        return model, optimizer

    monkeypatch.setattr(trainer, "start", compiled)
    ended = run.train(progress=False)
    known = len(backend.dynamic)
    assert known > 1 and not any(backend.dynamic)
    assert type(ended.model.hidden).__name__ == "method"
    generate(ended.model, [[1, 2, 3]], 30)
    evaluate(ended.model, run.val_tokens)
    assert len(backend.dynamic) == known
    assert isinstance(ended.model, GPT)
