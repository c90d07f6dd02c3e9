"""The book's verbs from a terminal: `course --help`.

Every user's mistake ends in one line on stderr and exit code 2.
"""

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

GPU_MFU = 0.4  # assumed where nothing was measured, and always shown


def main(arguments=None) -> int:
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print("course: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `course sample ... | head`
        sys.stderr.close()
        return 0
    except (ValueError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename}: {error.strerror}"
        print(f"course {options.command}: {reason}", file=sys.stderr)
        return 2


def doctor(options) -> None:
    """What this machine is and what each preset would take on it."""
    import torch

    from course_lib import device as machine
    from course_lib.budget import dollars, find_gpu, flops_per_token, hours
    from course_lib.presets import PRESETS
    from course_lib.train import measure_speed
    device = machine.choose_device()
    peak = machine.matmul_peak(device)
    print(f"device     {machine.device_name(device)} ({device})")
    print(f"precision  {machine.precision(device)}")
    print(f"memory     {machine.memory(device) / 2**30:.1f} GiB")
    print(f"matmul     {peak / 1e12:.3g} TFLOP/s measured")
    print(f"torch      {torch.__version__}, {torch.get_num_threads()} threads")
    price = None
    if device == "cuda":
        try:
            price = find_gpu(machine.device_name(device)).dollars_per_hour
        except ValueError:
            pass
    for preset in PRESETS.values():
        speed = measure_speed(preset, device)
        work = flops_per_token(preset.model, preset.model.context_length)
        mine = preset.tokens / speed / 3600
        line = (f"{preset.name:<10} {speed:,.0f} tokens/s "
                f"({work * speed / peak:.0%} of the matmul peak): "
                f"{duration(mine)}")
        if price:
            line += f", ${mine * price:.2f} at ${price}/h"
        else:
            flop = work * preset.tokens
            line += (f"; projected on an A100 at {GPU_MFU:.0%} MFU: "
                     f"{duration(hours(flop, 'A100', GPU_MFU))}, "
                     f"${dollars(flop, 'A100', GPU_MFU):.2f}")
        print(line)


def duration(hours: float) -> str:
    """Hours as a person would say them."""
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} seconds"
    if hours < 1.5:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 72 else f"{hours / 24:.1f} days"


def plan(options) -> None:
    """What a budget buys: compute, model, tokens, loss."""
    from course_lib.budget import plan as make_plan
    for line in make_plan(options.dollars, options.gpu, options.mfu).lines():
        print(line)


def prepare(options) -> None:
    """Make a run folder with tokenizer and token files."""
    from course_lib.corpus import load_corpus
    from course_lib.presets import for_prose, load_preset
    from course_lib.runs import prepare
    preset = load_preset(options.preset)
    corpus = load_corpus(*(options.corpus or [preset.corpus]))
    if not corpus.name.startswith("stories"):
        preset = for_prose(preset)
    model = {name: getattr(options, name) for name in SHAPE
             if getattr(options, name) is not None}
    run = {name: getattr(options, name) for name in TRAINING
           if getattr(options, name) is not None}
    preset = replace(preset, model=replace(preset.model, **model), **run)
    run = prepare(options.out, preset, corpus, print)
    print(f"ready: course train {run.folder}")


def train(options) -> None:
    """Train a prepared run."""
    from course_lib.runs import open_run
    run = open_run(options.folder)
    if run.finished:
        print(f"{run.folder} is trained: course sample {run.folder}")
        return None
    if run.started and not options.resume:
        raise ValueError(f"{run.folder} already has checkpoints: add "
                         "--resume to go on from the newest")
    result = run.train(micro_rows=options.micro_rows)
    if result.step < run.preset.steps:
        print(f"stopped and saved at step {result.step:,} of "
              f"{run.preset.steps:,}: course train {run.folder} --resume")
        return 130
    print(figures(result.evaluation))


def figures(evaluation) -> str:
    """An evaluation in one line."""
    return (f"loss {evaluation.loss:.4f} nats per token, perplexity "
            f"{evaluation.perplexity:.2f}, {evaluation.bits_per_byte:.4f} "
            f"bits per byte ({evaluation.tokens:,} tokens, "
            f"{evaluation.bytes:,} bytes)")


def evaluate(options) -> None:
    """Loss, perplexity and bits per byte."""
    from course_lib.corpus import load_corpus
    from course_lib.device import choose_device
    from course_lib.evaluate import evaluate, evaluate_text
    from course_lib.runs import open_run
    run = open_run(options.folder)
    model = run.model(choose_device())
    if options.text:
        texts = load_corpus(*options.text).texts()
        result = evaluate_text(model, run.tokenizer, texts)
    else:
        result = evaluate(model, run.val_tokens)
    if options.json:
        print(json.dumps(dict(
            loss=result.loss, perplexity=result.perplexity,
            bits_per_byte=result.bits_per_byte, tokens=result.tokens,
            bytes=result.bytes)))
    else:
        print(figures(result))


def sample(options) -> None:
    """Continue a prompt."""
    from course_lib.device import choose_device
    from course_lib.runs import open_run
    from course_lib.sample import stream
    run = open_run(options.folder)
    model, tokenizer = run.model(choose_device()), run.tokenizer
    prompt = tokenizer.encode(options.prompt) or [tokenizer.eot]
    rows = defaultdict(list)
    drawn = stream(model, [prompt] * options.n, options.tokens,
                   options.temperature, options.top_k, options.top_p,
                   tokenizer.eot, options.seed)
    for row, token in drawn:
        rows[row].append(token)
    for row in range(options.n):
        print(("\n" if row else "") + options.prompt
              + tokenizer.decode(rows[row]))


def export(options) -> None:
    """Write the model in Hugging Face's format."""
    from course_lib.hub import export_run
    from course_lib.runs import open_run
    run = open_run(options.folder)
    target = Path(options.to)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is not empty: choose a new folder")
    export_run(run, target)
    print(f"{target}: load it with transformers' AutoModelForCausalLM and "
          "AutoTokenizer")


# Options of `prepare` that change a preset: field -> (flag, help)
SHAPE = {
    "vocab_size": ("--vocab", "tokenizer entries"),
    "context_length": ("--context", "tokens a row"),
    "n_layer": ("--layers", "blocks"),
    "n_head": ("--heads", "attention heads, a divisor of the width"),
    "n_embd": ("--width", "channels"),
}
TRAINING = {
    "tokens": ("--tokens", "tokens to train on"),
    "batch_tokens": ("--batch", "tokens a step, a multiple of the context"),
    "learning_rate": ("--learning-rate", "the peak"),
    "seed": ("--seed", "of initial weights and order"),
}


def number(text: str) -> int:
    """A count such as 4096, 4e6, 20M or 1.1B."""
    scale = {"K": 1e3, "M": 1e6, "B": 1e9}.get(text[-1:].upper())
    try:
        value = float(text[:-1]) * scale if scale else float(text)
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number such "
                                     "as 4096, 20M or 1.1B")


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="course", description="Train a small GPT, from text to a "
        "speaking model. Start with `course doctor`.")
    verbs = top.add_subparsers(dest="command", required=True,
                               metavar="COMMAND")

    def verb(run, folder=True):
        made = verbs.add_parser(
            run.__name__, help=run.__doc__.rstrip("."),
            description=run.__doc__,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        made.set_defaults(run=run)
        if folder:
            made.add_argument("folder", metavar="RUN", help="a run folder")
        return made.add_argument

    verb(doctor, folder=False)
    add = verb(plan, folder=False)
    add("--dollars", type=float, required=True, help="budget in US$")
    add("--gpu", default="A100", help="a name from the book's table")
    add("--mfu", type=float, default=GPU_MFU, help="share of the GPU's peak "
        "that training reaches: an assumption unless you measured it")
    add = verb(prepare, folder=False)
    add("--corpus", nargs="+", metavar="CORPUS", help="stories[:COUNT], "
        "bookcorpus, or files and folders of text; the preset's without")
    add("--preset", default=None, help="smoke, laptop or full; "
        "$COURSE_SCALE or laptop without")
    add("--out", required=True, metavar="RUN", help="folder to make")
    for name, (flag, text) in (SHAPE | TRAINING).items():
        add(flag, dest=name, help=f"{text}; the preset's without",
            type=float if name == "learning_rate" else number)
    add = verb(train)
    add("--resume", action="store_true", help="go on from the newest "
        "checkpoint, or start where there is none")
    add("--micro-rows", type=int, help="rows in one forward pass, when "
        "memory is short")
    add = verb(evaluate)
    add("--text", nargs="+", help="files or folders instead of the run's "
        "validation text")
    add("--json", action="store_true", help="print JSON")
    add = verb(sample)
    add("--prompt", default="life is about", help="text to continue")
    add("-n", type=int, default=1, help="how many continuations")
    add("--tokens", type=number, default=100, help="new tokens at most")
    add("--temperature", type=float, default=0.8, help="0 is greedy")
    add("--top-k", type=int, help="keep the k likeliest tokens")
    add("--top-p", type=float, help="keep the likeliest that reach p")
    add("--seed", type=int, help="the same seed gives the same text")
    add = verb(export)
    add("--to", required=True, metavar="DIR", help="folder to make")
    return top
