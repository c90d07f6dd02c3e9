"""What can be typed after `course`: verbs, options, numbers such as 20M."""

import argparse
import json

from course_lib.machine.lines import one_line
from course_lib.scaling.budget import GPU_MFU

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


class Parser(argparse.ArgumentParser):
    """Argparse, with its errors in one line like all others."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {one_line(message)} (see {self.prog} "
                  "--help)\n")


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


def field_value(text: str):
    """FIELD=VALUE, the value as in JSON, or else a word."""
    name, equals, given = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE, such "
                                         "as optimizer=adamw")
    if name in ("name", "model"):  # the one is made of what is changed
        raise argparse.ArgumentTypeError(f"{name!r} is no part of a recipe: "
                                         "give the part itself")
    try:
        return name, json.loads(given)
    except (ValueError, RecursionError):
        return name, given


def parser(*verbs):
    """The grammar of `course`; each verb is the function that runs it."""
    top = Parser(
        prog="course", description="Train a small GPT, from text to a "
        "speaking model. Start with `course doctor`.")
    made = top.add_subparsers(dest="command", required=True,
                              metavar="COMMAND")
    for run in verbs:
        name = run.__name__
        verb = made.add_parser(
            name, help=run.__doc__.rstrip("."), description=run.__doc__,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        verb.set_defaults(run=run)
        if name in FOLDERS:
            verb.add_argument("folder", metavar="RUN", help=FOLDERS[name])
        if name in OPTIONS:
            OPTIONS[name](verb.add_argument)
    return top


FOLDERS = {
    "train": "a run folder",
    "evaluate": "a run folder, or with --text a folder in Hugging Face's "
                "format",
    "sample": "a run folder, or one in Hugging Face's format",
    "export": "a run folder, or one in Hugging Face's format",
}


def _plan(add):
    _budget(add)
    add("--recipe", default="modern", help="gpt2 or modern: whose law is "
        "asked")
    add("--tokens", type=number, help="the most to train on")
    add("--corpus", nargs="+", metavar="CORPUS", help="the text there is, "
        "as for prepare: it bounds the tokens, and `stories` has a law of "
        "its own")


def _budget(add):
    """The dial: one number of time or money."""
    add("--hours", type=float, help="budget in hours, on this machine "
        "without --gpu: its speed is measured, which takes seconds")
    add("--dollars", type=float, help="budget in US$, on a GPU")
    add("--gpu", help="a name from the book's table; A100 for --dollars "
        "without")
    add("--mfu", type=float, help="share of the GPU's peak that training "
        f"reaches, {GPU_MFU} without: an assumption unless you measured it")
    add("--largest", type=number, help="parameters that the model may have, "
        "such as 9e6 for one that a page can carry")


def _prepare(add):
    add("--corpus", nargs="+", metavar="CORPUS", help="stories[:COUNT], "
        "books, bookcorpus, hub:OWNER/NAME[@REVISION][#COLUMN] of the "
        "Hugging Face Hub (stream:... keeps no copy), or files and folders "
        "of text; the preset's without")
    add("--preset", default=None, help="the scale: smoke, laptop, evening or "
        "full; $COURSE_SCALE or laptop without")
    _budget(add)
    add("--recipe", help="2023, gpt2 or modern: how text becomes rows, what "
        "the model is made of, how it learns; gpt2 without, and modern for a "
        "budget")
    add("--change", nargs="+", type=field_value, metavar="FIELD=VALUE",
        default=[], help="parts of the recipe, such as optimizer=adamw, "
        "norm=layer or rate=0.5, a multiple of the preset's learning rate")
    add("--tokenizer", metavar="FOLDER", help="take the tokenizer that "
        "stands there, in a run's folder, one in Hugging Face's format or a "
        "tokenizer.json, and train none; it sets --vocab")
    add("--out", required=True, metavar="RUN", help="folder to make")
    for name, (flag, text) in (SHAPE | TRAINING).items():
        add(flag, dest=name, help=f"{text}; the preset's without",
            type=float if name == "learning_rate" else number)
    add("--schedule", choices=["cosine", "wsd", "constant"], help="of the "
        "learning rate after its warm-up; the preset's without")


def _train(add):
    add("--resume", action="store_true", help="go on from the newest "
        "checkpoint, or start where there is none")
    add("--from", dest="begin", metavar="FOLDER", help="begin with the "
        "weights that stand there, a run or a model in Hugging Face's "
        "format, for fine-tuning; shape and tokenizer must be the run's")
    add("--model", metavar="FILE", help="train the GPT in your file (see "
        "`course new`) instead of the package's")
    add("--micro-rows", type=int, help="rows in one forward pass; found by "
        "trying without, and stored in the run")
    add("--precision", choices=["bfloat16", "float16", "float32"],
        help="the number format of matrix products; what the device does "
        "best without")
    add("--compile", action=argparse.BooleanOptionalAction, default=None,
        help="let torch.compile make code for this model; where it pays "
        "without")
    add("--tokens", type=number, help="end after so many, fewer or more than "
        "planned, and keep what was trained: `wsd` allows it until its rate "
        "decays")
    add("--save-seconds", type=float, help="between checkpoints; 120 "
        "without, and longer where saving would take over 1%% of the time")
    add("--tensorboard", action="store_true", help="also write the logs for "
        "TensorBoard, under RUN/tensorboard")


def _evaluate(add):
    add("--text", nargs="+", help="files or folders instead of the run's "
        "validation text; a run's folder stands for its validation text")
    add("--by-document", action="store_true", help="read each document by "
        "itself and leave end-of-text out of the count, as "
        "lm-evaluation-harness does; without, windows go on across documents "
        "and end-of-text counts")
    add("--held-out", action="store_true", help="of --text only the documents "
        "that the hash rule keeps out of training, such as books")
    add("--json", action="store_true", help="print JSON")


def _sample(add):
    add("--prompt", default="life is about", help="text to continue")
    add("-n", type=int, default=1, help="how many continuations")
    add("--tokens", type=number, default=100, help="new tokens at most")
    add("--temperature", type=float, default=0.8, help="0 is greedy")
    add("--top-k", type=int, help="keep the k likeliest tokens")
    add("--top-p", type=float, help="keep the likeliest that reach p")
    add("--min-p", type=float, help="keep those at least p times as likely "
        "as the likeliest")
    add("--repetition-penalty", type=float, default=1.0, help="above 1 makes "
        "what was there already less likely")
    add("--seed", type=int, help="the same seed gives the same text")
    add("--stream", action="store_true", help="print text as it is drawn")
    add("--interactive", action="store_true", help="continue each line that "
        "you type instead of --prompt; implies --stream")
    add("--int8", action="store_true", help="round the weights to 8 bits and "
        "generate on the CPU, where that is faster")


def _export(add):
    add("--to", metavar="DIR", help="folder to make; one that holds this "
        "model already is left as it is")
    add("--page", action="store_true", help="write the model as one HTML "
        "file in which it speaks: DIR/page.html, or RUN/page.html without "
        "--to")
    add("--precision", choices=["bfloat16", "float16", "float32"],
        help="round the weights to this number format in DIR; a run's are "
        "float32 without")
    add("--gguf", action="store_true", help="also write DIR/model.gguf, for "
        "llama.cpp")
    add("--push", metavar="OWNER/NAME", help="also publish it under this "
        "name on the Hugging Face Hub; sign in with `hf auth login` before")
    add("--private", action="store_true", help="on a page that only you see")
    add("--dry-run", action="store_true", help="say what would be uploaded, "
        "and upload nothing")
    add("--license", help="for the model card, as the Hub writes it: mit, "
        "apache-2.0, cc0-1.0")


def _new(add):
    add("file", metavar="FILE", help="Python file to make, such as my_gpt.py")


def _check(add):
    add("file", metavar="FILE", help="the file that `course new` made")
    add("step", metavar="STEP", nargs="*", help="what to check; all without")
    add("--watch", action="store_true", help="again whenever it is saved")
    add("--hint", type=int, choices=(1, 2, 3), nargs="?", const=1, help="a "
        "first, second or third hint for the step, or for the first that is "
        "not right")
    add("--graduate", action="store_true", help="when all steps are right, "
        "train the smoke scale with nothing but them")
    add("--seconds", type=float, default=20.0, help="of the processor, for "
        "each step")


OPTIONS = {"plan": _plan, "prepare": _prepare, "train": _train,
           "evaluate": _evaluate, "sample": _sample, "export": _export,
           "new": _new, "check": _check}
