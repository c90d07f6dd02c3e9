"""A model and an optimizer to begin with, and how fast they are (chapter 4).
"""

import time

import torch

from course_lib.machine.device import autocast, synchronize
from course_lib.machine.memory import keep_memory
from course_lib.model.gpt import GPT
from course_lib.presets import Preset
from course_lib.training import micro_batch
from course_lib.training.optimizers import make_optimizer
from course_lib.training.step import train_step


def start(preset: Preset, device: str, model: GPT | None = None,
          number_format: str = "float32", compiles: bool | None = None):
    """A fresh (model, optimizer), the same for the same seed. On a GPU the
    model is compiled, unless `compiles` says otherwise, which leaves the
    names of the weights alone; a CPU has `compiled_loss`."""
    torch.manual_seed(preset.seed)
    model = (model or GPT(preset.model)).to(device).train()
    if device == "cpu":
        keep_memory()
    elif compiles if compiles is not None else device == "cuda":
        compile_whole(model)
    return model, make_optimizer(model, preset, number_format)


def compile_whole(model: GPT, backend: str = "inductor") -> None:
    """Let torch compile all of the model but its last linear map, without a
    break, anew for each shape: a shape that may change costs more."""
    model.hidden = torch.compile(model.hidden, fullgraph=True, dynamic=False,
                                 backend=backend)


def repeatable(graph, inputs):
    """torch's compiler, but for the gradient of an embedding: its own code
    has threads add to one row in the order in which they come, so that no
    two runs end in the same bits. PyTorch's operator does not."""
    from torch._functorch import config
    from torch._inductor.compile_fx import compile_fx  # slow to import
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.lowering import make_fallback

    gradient = torch.ops.aten.embedding_dense_backward
    make_fallback(gradient, warn=False)
    kept = {op: how for op, how in select_decomp_table().items()
            if op is not gradient.default}
    # this cache does not ask how a graph was decomposed
    with config.patch(enable_autograd_cache=False):
        return compile_fx(graph, inputs, decompositions=kept)


def compiled_loss(model: GPT, rows: int, precision, backend=repeatable):
    """`loss(ids, targets, last)` of a model on a CPU, compiled with its head
    for `rows` rows. Raises RuntimeError where that fails: there may be no
    C++ compiler."""
    loss = torch.compile(model.loss, fullgraph=True, dynamic=False,
                         backend=backend)
    ids = torch.zeros(rows, model.config.context_length, dtype=torch.long)
    try:
        with precision:
            value = loss(ids, ids)
        value.backward()
    except Exception as error:  # whatever a compiler may say
        # the first line names the backend, the second what it said
        why = (" ".join(str(error).split("\n", 2)[:2]).strip()
               or type(error).__name__)
        raise RuntimeError(f"the loss cannot be compiled: {why}") from error
    finally:
        model.zero_grad(set_to_none=True)
    return lambda ids, targets, last=True: loss(ids, targets)


def steps_on_random(preset: Preset, device: str,
                    number_format: str = "float32",
                    compiles: bool | None = None, share: int = 4):
    """(step(), its tokens): a training step on random tokens, of a `share`
    of a micro-batch, so that `full` can be tried anywhere. Compiled on a
    GPU, unless `compiles` says otherwise. Raises RuntimeError where the CPU's
    loss cannot be compiled."""
    torch.compiler.reset()  # what was compiled for another model
    model, optimizer = start(preset, device, None, number_format, compiles)
    T, precision = preset.model.context_length, autocast(device, number_format)
    limit = micro_batch.TOKENS[device] // share
    rows = max(1, min(preset.rows, limit // T))
    loss = None
    if compiles and device == "cpu":
        loss = compiled_loss(model, rows, precision)
    batch = torch.randint(preset.model.vocab_size, (2, rows, T),
                          device=device)

    def step():
        train_step(model, optimizer, batch, 1e-4, preset.clip,
                   precision=precision, loss_of=loss)
        synchronize(device)

    return step, rows * T


def measure_speed(preset: Preset, device: str, seconds: float = 5,
                  number_format: str = "float32",
                  compiles: bool | None = None) -> float:
    """Tokens per second of training steps as `steps_on_random` makes them,
    the best of three at least; of two where these take ten times the
    `seconds`."""
    step, tokens = steps_on_random(preset, device, number_format, compiles)
    best, steps, first = 0.0, 0, time.monotonic()
    while steps < 2 or time.monotonic() < first + seconds * (
            10 if steps == 2 else 1):
        begun = time.monotonic()
        step()
        best = max(best, tokens / (time.monotonic() - begun))
        steps += 1
    return best
