"""Tokens per second of generation beside other ways to do it, on this CPU.

    python benchmarks/generation.py [--nanogpt CHECKOUT] [--run RUN]

The full preset's model with a context of 1,024 and random weights continues
a prompt of 4 tokens by 512, or sixteen at a time by 64: this package in
float32 (greedy, sampled, and without its cache) and in int8, `transformers`'
`generate` with its cache, and from a checkout nanoGPT's `generate`, which has
none. Beside them a bare loop over the same matrix-vector products and nothing
else, the ceiling of any float32 implementation that calls them so. The sides
alternate within one process, and a ratio is taken within a round. On one
thread the clock is the processor's, which does not run while other programs
do. With a trained run the cost of int8 in bits per byte of its validation
text is measured too. Writes book/results/generation.json (or --out).
"""

import argparse
import statistics
import time
from dataclasses import replace

import torch
from torch.nn import functional as F
from training_step import nano_gpt_model
from transformers import GPT2Config, GPT2LMHeadModel

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.evaluation import evaluate
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.runs import open_run
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import quantize_int8
from course_lib.sharing.hugging_face import hf_config, hf_weights
from course_lib.showing.page import RESULTS

PROMPT, BATCH, CONTEXT = [11, 22, 33, 44], 16, 1024
SAMPLED = {"temperature 0.8": dict(temperature=0.8),
           "top-k 50": dict(temperature=0.8, top_k=50),
           "top-p 0.9": dict(temperature=0.8, top_p=0.9)}


def clock() -> float:
    """Seconds, of the processor where one thread does it all."""
    return (time.process_time if torch.get_num_threads() == 1
            else time.perf_counter)()


def bare(model, rows, tokens):
    """The model's matrix products on one vector a row, and nothing else."""
    weights = [layer.weight for layer in model.modules()
               if isinstance(layer, torch.nn.Linear)] + [model.head]
    inputs = [torch.randn(rows, weight.size(1)) for weight in weights]
    with torch.inference_mode():
        for _ in range(tokens):
            for weight, x in zip(weights, inputs, strict=True):
                F.linear(x, weight)


def ours(model, rows, tokens, **options):
    """New tokens of each row, greedy without options."""
    options = options or dict(temperature=0)
    return generate(model, [PROMPT] * rows, tokens, seed=0, **options)


def transformers_gpt2(model):
    """Hugging Face's GPT-2 with the same weights, as a function."""
    theirs = GPT2LMHeadModel(GPT2Config(**hf_config(model, 0))).eval()
    theirs.load_state_dict(hf_weights(model), strict=False)
    theirs.generation_config.eos_token_id = None
    theirs.generation_config.pad_token_id = 0

    def run(rows, tokens):
        return theirs.generate(
            torch.tensor([PROMPT] * rows), max_new_tokens=tokens,
            do_sample=False, use_cache=True,
            attention_mask=torch.ones(rows, len(PROMPT), dtype=torch.long),
        )[:, len(PROMPT):].tolist()

    return run


def nano_gpt(checkout, model):
    """Karpathy's nanoGPT, from a checkout."""
    theirs = nano_gpt_model(checkout, model.config,
                            model.state_dict()).eval()

    def run(rows, tokens):
        return theirs.generate(torch.tensor([PROMPT] * rows), tokens,
                               top_k=1)[:, len(PROMPT):].tolist()

    return run


def compare(sides, tokens: int, rounds: int, seldom=()) -> dict:
    """Tokens per second of each side, and ratios to `course_lib`.

    sides: name -> (rows, function of rows and tokens). Those of `seldom`
    take so long that they run in the first round only.
    """
    for name, (rows, run) in sides.items():
        if name not in seldom:
            run(rows, 8)  # warms up
    times = {name: [] for name in sides}
    for turn in range(rounds):
        order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
        for name in order:
            if turn and name in seldom:
                continue
            rows, run = sides[name]
            begun = clock()
            run(rows, tokens)
            times[name].append(clock() - begun)
            print(f"{name:30} {rows * tokens / times[name][-1]:7.1f} "
                  "tokens/s", flush=True)
    return {name: summary(taken, times["course_lib"],
                          sides[name][0] * tokens)
            for name, taken in times.items()}


def summary(taken, our_time, tokens) -> dict:
    """Median tokens/s and how many times faster ours is: the median of the
    rounds' ratios, and their range."""
    ratios = [other / mine for other, mine in zip(taken, our_time)]
    return dict(tokens_per_second=tokens / statistics.median(taken),
                rounds=len(taken), ours_is_faster=statistics.median(ratios),
                range=[min(ratios), max(ratios)])


def cost_of_int8(folder) -> dict:
    """Bits per byte of the first 100,000 tokens of a run's validation text,
    float32 and int8."""
    run = open_run(folder)
    model = run.model()
    float32, int8 = (evaluate(m, run.val_tokens, max_tokens=100_000)
                     for m in (model, quantize_int8(model)))
    return dict(preset=run.preset.name, corpus=run.record["corpus"]["name"],
                tokens=int8.tokens, float32=float32.bits_per_byte,
                int8=int8.bits_per_byte,
                cost=int8.bits_per_byte - float32.bits_per_byte)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT")
    parser.add_argument("--run", help="a trained run, for the cost of int8")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, BATCH])
    parser.add_argument("--out", default="generation.json",
                        help="file in book/results/")
    options = parser.parse_args()
    torch.manual_seed(0)
    model = GPT(replace(load_preset("full").model, context_length=CONTEXT)
                ).eval()
    int8, theirs = quantize_int8(model), transformers_gpt2(model)

    def us(model=model, **settings):
        return lambda rows, tokens: ours(model, rows, tokens, **settings)

    result = dict(provenance=provenance("cpu"), tokens=options.tokens,
                  clock="processor" if torch.get_num_threads() == 1
                  else "wall")
    if options.run:
        result["bits_per_byte"] = cost_of_int8(options.run)
        print(result["bits_per_byte"], flush=True)
    same = sum(a == b for a, b in zip(ours(model, 1, 64)[0],
                                      theirs(1, 64)[0], strict=True))
    result["tokens_as_transformers"] = f"{same} of 64"
    for rows in options.batches:
        sides = {"course_lib": us(), "transformers": theirs,
                 "course_lib int8": us(int8), "bare loop":
                 lambda rows, tokens: bare(model, rows, tokens)}
        sides |= {f"course_lib {name}": us(**settings)
                  for name, settings in SAMPLED.items() if rows == 1}
        if rows == 1:
            sides["course_lib without cache"] = us(temperature=0,
                                                   use_cache=False)
        if options.nanogpt and rows == 1:
            sides["nanoGPT"] = nano_gpt(options.nanogpt, model)
        result[f"batch {rows}"] = compare(
            {name: (rows, run) for name, run in sides.items()},
            options.tokens // (8 if rows > 1 else 1), options.rounds,
            ["nanoGPT", *(f"course_lib {name}" for name in (
                "without cache", *SAMPLED))])
        for name, row in result[f"batch {rows}"].items():
            low, high = row["range"]
            print(f"batch {rows:2} {name:27}{row['tokens_per_second']:7.1f} "
                  f"tokens/s, ours is {row['ours_is_faster']:.2f}x "
                  f"({low:.2f} to {high:.2f})", flush=True)
        write_json(RESULTS / options.out, result)


if __name__ == "__main__":
    main()
