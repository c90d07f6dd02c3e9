"""A training step beside other GPT-2s, on this machine's processor.

    python benchmarks/training_step.py --nanogpt CHECKOUT [--scales ...]
        [--rounds 15]

The same weights and the same batch of 4,096 tokens go through `course_lib`
as `course train` runs it, through the path of this book's first edition
(float32, not compiled, memory given back), through Hugging Face's
`transformers` and, from a checkout, nanoGPT's `model.py`. Each takes the step
that its own trainer takes on a CPU: loss, backward, clipping at norm 1, AdamW
(nanoGPT with its own `configure_optimizers`; `transformers` with the fused
AdamW that its Trainer defaults to).

Every side has a process of its own, in which nothing that another sets can
help or hurt it. They take turns, one step at a time, and a ratio is taken
within a round, where the machine was about equally busy. Writes
book/results/training_step.json or, where the processor has no instructions
for bfloat16 and ours are float32 steps as well, training_step_float32.json.
"""

import argparse
import importlib.util
import multiprocessing
import resource
import statistics
import time

import torch

from course_lib.machine.device import (
    autocast,
    instructions,
    matmul_peak,
)
from course_lib.machine.files import write_json
from course_lib.machine.memory import keep_memory
from course_lib.machine.origin import provenance
from course_lib.model.cost import flops_per_token
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.showing.page import RESULTS
from course_lib.training.micro_batch import find_micro_rows
from course_lib.training.optimizers import make_optimizer
from course_lib.training.start import compiled_loss
from course_lib.training.step import train_step

TOKENS = 4_096  # in one step


def ours(preset, number_format, compiles=False, keeps=True):
    """A step of `course_lib`, in one of its ways."""
    if keeps:
        keep_memory()
    model, precision = first_model(preset), autocast("cpu", number_format)
    optimizer = make_optimizer(model, preset, number_format)
    rows = find_micro_rows(model, preset, "cpu", precision,
                           TOKENS // preset.model.context_length)
    loss = compiled_loss(model, rows, precision) if compiles else None
    return lambda ids, targets: train_step(
        model, optimizer, (ids, targets), 1e-4, 1.0, rows, precision,
        loss_of=loss)[0]


def first_model(preset) -> GPT:
    """The weights that every side begins with."""
    torch.manual_seed(0)
    return GPT(preset.model)


def transformers_gpt2(preset):
    """Hugging Face's GPT-2; it shifts the labels itself."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from course_lib.sharing.hugging_face import hf_config, hf_weights
    original = first_model(preset)
    model = GPT2LMHeadModel(GPT2Config(**hf_config(original, 0)))
    model.load_state_dict(hf_weights(original), strict=False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-4,
        betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def loss(ids, targets):
        labels = torch.cat([ids[:, :1], targets[:, :-1]], 1)
        return model(input_ids=ids, labels=labels, use_cache=False).loss

    return plain_step(model, optimizer, loss)


def nano_gpt_model(checkout, shape, state):
    """Karpathy's nanoGPT with these weights, its model.py loaded from a
    checkout."""
    spec = importlib.util.spec_from_file_location(
        "nanogpt_model", f"{checkout}/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.GPT(module.GPTConfig(
        block_size=shape.context_length, vocab_size=shape.vocab_size,
        n_layer=shape.n_layer, n_head=shape.n_head, n_embd=shape.n_embd,
        dropout=0.0, bias=True))
    model.load_state_dict(
        {**state, "lm_head.weight": state["transformer.wte.weight"]})
    return model


def nano_gpt(preset, checkout):
    """The same with the optimizer of its own trainer."""
    model = nano_gpt_model(checkout, preset.model,
                           first_model(preset).state_dict())
    optimizer = model.configure_optimizers(0.1, 1e-4, (0.9, 0.95), "cpu")

    def loss(ids, targets):
        return model(ids, targets.masked_fill(targets == -100, -1))[1]

    return plain_step(model, optimizer, loss)


def plain_step(model, optimizer, loss):
    """The step that both others' trainers take."""
    def step(ids, targets):
        optimizer.zero_grad(set_to_none=True)
        value = loss(ids, targets)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value.detach()

    return step


MAKERS = {"nanoGPT": nano_gpt, "transformers": transformers_gpt2,
          "course_lib": ours}


def work(pipe, maker: str, scale: str, arguments: dict) -> None:
    """A side's process: a step for each word that comes."""
    preset = load_preset(scale)
    step = MAKERS[maker](preset, **arguments)
    T = preset.model.context_length
    draw = torch.Generator().manual_seed(1)
    ids, targets = torch.randint(preset.model.vocab_size,
                                 (2, TOKENS // T, T), generator=draw)
    targets[:, -1] = -100  # transformers has no target there
    while pipe.recv():
        begun = time.perf_counter()
        loss = step(ids, targets).item()
        taken = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        pipe.send((taken, loss, peak))


def compare(scale: str, sides: dict, rounds: int) -> dict:
    """Tokens per second of every side and ratios to the first, at a scale.
    `sides` maps a name to a maker and its arguments."""
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for name, (maker, arguments) in sides.items():
        pipes[name], far = spawn.Pipe()
        spawn.Process(target=work, args=(far, maker, scale, arguments),
                      daemon=True).start()
    times = {name: [] for name in sides}
    losses, peaks = {}, {}
    for turn in range(rounds + 1):  # the first only warms up
        for name in list(sides)[::1 if turn % 2 else -1]:
            pipes[name].send(True)
            taken, loss, peaks[name] = pipes[name].recv()
            losses.setdefault(name, loss)
            if turn:
                times[name].append(taken)
    for pipe in pipes.values():
        pipe.send(False)
    spread = max(losses.values()) - min(losses.values())
    assert spread < 2e-2, losses  # as far as bfloat16 may be off
    preset = load_preset(scale)
    first = times[next(iter(sides))]
    work_done = flops_per_token(preset.model) * TOKENS
    return dict(scale=scale, tokens=TOKENS, rounds=rounds, sides={
        name: dict(summary(taken, first), flop_per_second=work_done
                   / statistics.median(taken), peak_bytes=peaks[name],
                   **sides[name][1]) for name, taken in times.items()})


def summary(taken, first) -> dict:
    """Median tokens/s, and how many times faster the first side is: the
    median of the rounds' ratios and their quartiles."""
    ratios = [other / mine for other, mine in zip(taken, first, strict=True)]
    quarter, _, three_quarters = statistics.quantiles(ratios, n=4)
    return dict(tokens_per_second=TOKENS / statistics.median(taken),
                first_is_faster=statistics.median(ratios),
                quartiles=[quarter, three_quarters])


def has_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(instructions()))


def sides_of(options, scale: str) -> dict:
    """Who takes part: the one that all are compared with first."""
    compiles = scale != "laptop"  # whose run is too short to win it back
    best = "bfloat16" if has_bfloat16() else "float32"

    def our(**other):
        return "course_lib", dict(number_format=best,
                                  compiles=compiles) | other

    sides = {"course_lib": our(),
             "first edition": our(number_format="float32", compiles=False,
                                  keeps=False),
             "not compiled": our(compiles=False),
             "memory given back": our(keeps=False),
             "transformers": ("transformers", {})}
    if has_bfloat16():
        sides["in float32"] = our(number_format="float32")
    if options.nanogpt:
        sides["nanoGPT"] = "nanoGPT", dict(checkout=options.nanogpt)
    return sides


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT")
    parser.add_argument("--scales", nargs="+",
                        default=["laptop", "evening", "full"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    peaks = {name: matmul_peak("cpu", name, 2)
             for name in ("float32", "bfloat16")}
    rows = []
    for scale in options.scales:
        rows.append(compare(scale, sides_of(options, scale), options.rounds))
        for name, row in rows[-1]["sides"].items():
            row.pop("checkout", None)
            print(f"{scale:8} {name:18}{row['tokens_per_second']:9,.0f} "
                  f"tokens/s, the first is {row['first_is_faster']:.2f}x ("
                  + " to ".join(f"{q:.2f}" for q in row["quartiles"])
                  + f"), {row['peak_bytes'] / 1e9:.2f} GB", flush=True)
    format_of = "" if has_bfloat16() else "_float32"
    write_json(RESULTS / f"training_step{format_of}.json", dict(
        provenance=provenance("cpu"), matmul_flop_per_second=peaks,
        rows=rows))


if __name__ == "__main__":
    main()
