"""A training step and its forward half beside other GPT-2s, on this machine.

    python benchmarks/training_step.py [--nanogpt CHECKOUT] [--presets ...]

The same weights and the same batch go through `course_lib`, Hugging Face's
`transformers` and, from a checkout, nanoGPT's `model.py`. Each takes the step
that its own trainer takes: loss, backward, clipping at norm 1, AdamW (nanoGPT
with its own `configure_optimizers`; `transformers` with the fused AdamW that
its Trainer defaults to). The sides alternate within one process, and a ratio
is taken within a round, where the machine was about equally busy. Writes
book/results/training_step.json.

What a profile says of the differences. At full size ours gains where memory
is touched for the first time: the fused loss never makes 4,096 x 50,304
logits, and how much that is worth depends on what a page fault costs on the
machine. Four fifths of our step are then matrix products at their peak,
which leaves little to win. At laptop size there is nothing to win: 70% of
either step is the same products and 16% the same attention kernel. The fused
loss and optimizer save 4%, and GPT-2's tanh GELU, whose kernel takes 1.6
times as long as the exact one that nanoGPT uses instead, costs 4%. Compiling
the blocks, huge pages and smaller micro-batches changed nothing beyond noise.
"""

import argparse
import importlib.util
import statistics
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_lib.machine.device import matmul_peak
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import flops_per_token
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.sharing.hugging_face import hf_config, hf_weights
from course_lib.showing.page import RESULTS
from course_lib.training.optimizers import make_optimizer
from course_lib.training.step import train_step

TOKENS = {"laptop": 4_096, "full": 4_096}  # in one step


def ours(preset, state):
    """(loss, step): functions of a batch."""
    model = GPT(preset.model)
    model.load_state_dict(state)
    optimizer = make_optimizer(model, preset)

    def step(ids, targets):
        train_step(model, optimizer, (ids, targets), 1e-4, 1.0)

    return model.loss, step


def transformers_gpt2(preset, state):
    """Hugging Face's GPT-2; it shifts the labels itself."""
    original = GPT(preset.model)
    original.load_state_dict(state)
    model = GPT2LMHeadModel(GPT2Config(**hf_config(original, 0)))
    model.load_state_dict(hf_weights(original), strict=False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-4,
        betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def loss(ids, targets):
        labels = torch.cat([ids[:, :1], targets[:, :-1]], 1)
        return model(input_ids=ids, labels=labels, use_cache=False).loss

    return loss, plain_step(model, optimizer, loss)


def nano_gpt(checkout, preset, state):
    """Karpathy's nanoGPT, its model.py loaded from a checkout."""
    spec = importlib.util.spec_from_file_location(
        "nanogpt_model", f"{checkout}/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shape = preset.model
    model = module.GPT(module.GPTConfig(
        block_size=shape.context_length, vocab_size=shape.vocab_size,
        n_layer=shape.n_layer, n_head=shape.n_head, n_embd=shape.n_embd,
        dropout=0.0, bias=True))
    model.load_state_dict(
        {**state, "lm_head.weight": state["transformer.wte.weight"]})
    optimizer = model.configure_optimizers(0.1, 1e-4, (0.9, 0.95), "cpu")

    def loss(ids, targets):
        return model(ids, targets.masked_fill(targets == -100, -1))[1]

    return loss, plain_step(model, optimizer, loss)


def plain_step(model, optimizer, loss):
    """The step that both others' trainers take."""
    def step(ids, targets):
        optimizer.zero_grad(set_to_none=True)
        loss(ids, targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def seconds(call, *arguments) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begun


def compare(name: str, rounds: int, checkout: str | None) -> dict:
    """Tokens per second of every side and ratios to ours, for a preset."""
    preset = load_preset(name)
    torch.manual_seed(0)
    T = preset.model.context_length
    ids, targets = torch.randint(preset.model.vocab_size,
                                 (2, TOKENS[name] // T, T))
    targets[:, -1] = -100  # transformers has no target there
    state = GPT(preset.model).state_dict()
    sides = {"course_lib": ours(preset, state),
             "transformers": transformers_gpt2(preset, state)}
    if checkout:
        sides["nanoGPT"] = nano_gpt(checkout, preset, state)
    with torch.no_grad():
        losses = [loss(ids, targets).item() for loss, _ in sides.values()]
    assert max(losses) - min(losses) < 1e-4, losses

    def forward(loss):
        with torch.no_grad():
            loss(ids, targets)

    times = {side: dict(forward=[], step=[]) for side in sides}
    for turn in range(rounds + 1):  # the first only warms up
        order = list(sides) if turn % 2 else list(sides)[::-1]
        for side in order:
            loss, step = sides[side]
            both = dict(forward=seconds(forward, loss),
                        step=seconds(step, ids, targets))
            if turn:
                for what, took in both.items():
                    times[side][what].append(took)
    peak = matmul_peak("cpu", 2)
    flop = flops_per_token(preset.model) * ids.numel()
    return dict(
        preset=name, tokens=ids.numel(), rounds=rounds,
        matmul_peak_flop_per_second=peak,
        sides={side: {
            what: summary(taken, times["course_lib"][what], ids.numel(),
                          flop / (1 if what == "step" else 3) / peak)
            for what, taken in both.items()}
            for side, both in times.items()})


def summary(taken, our_time, tokens, ideal) -> dict:
    """Median tokens/s, share of the peak, and how many times faster ours
    is: the median of the rounds' ratios and their quartiles."""
    ratios = [other / mine for other, mine in zip(taken, our_time)]
    quarter, _, three_quarters = statistics.quantiles(ratios, n=4)
    median = statistics.median(taken)
    return dict(tokens_per_second=tokens / median,
                share_of_peak=ideal / median,
                ours_is_faster=statistics.median(ratios),
                quartiles=[quarter, three_quarters])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT")
    parser.add_argument("--presets", nargs="+", default=["laptop", "full"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows = []
    for name in options.presets:
        rows.append(compare(name, options.rounds, options.nanogpt))
        for side, both in rows[-1]["sides"].items():
            for what, row in both.items():
                print(f"{name:7} {side:13} {what:8}"
                      f"{row['tokens_per_second']:9,.0f} tokens/s "
                      f"{row['share_of_peak']:5.0%} of peak, ours is "
                      f"{row['ours_is_faster']:.2f}x (" + " to ".join(
                          f"{q:.2f}" for q in row["quartiles"]) + ")",
                      flush=True)
    write_json(RESULTS / "training_step.json",
               dict(provenance=provenance("cpu"), rows=rows))


if __name__ == "__main__":
    main()
