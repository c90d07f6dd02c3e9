"""A run at smoke scale, from tokenizer to sample, with nothing but the
reader's own parts.

    python -m course_lib.exercises.graduation FILE
    python -m course_lib.exercises.graduation FILE --record SEEDS

`course check FILE --graduate` starts the first in a child process. The
second records what a right file ends with: the band that others are held
against. Only the text, its cutting into words and the sizes are the
course's.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from tokenizers.pre_tokenizers import ByteLevel

from course_lib.exercises.bank import steps
from course_lib.exercises.build import build, logits_of
from course_lib.exercises.file import ReadersFile
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.stages import RECORDED
from course_lib.text.corpus import load_corpus
from course_lib.text.split import choose_split, side

RECORD = RECORDED / "graduation.json"
SURE = 0.99  # share of right files that end within the band
USED = ("gpt", "bpe_train", "bpe_encode", "bpe_decode", "pack", "batch",
        "bigram_counts", "bigram_loss", "cross_entropy", "adamw",
        "learning_rate", "training_step", "generate", "bits_per_byte")


class Parts:
    """What is in the reader's file, by the names of the steps."""

    def __init__(self, path):
        self.file = ReadersFile(path)

    def __getattr__(self, step: str):
        name = self.file.find(steps()[step].objects)
        if name is None:
            raise ValueError(f"{self.file.path} has no {step} yet")
        return self.file.objects[name]


class Optimizer:
    """The reader's AdamW for a list of parameters; matrices decay."""

    def __init__(self, adamw, parameters):
        self.adamw, self.parameters, self.steps = adamw, parameters, 0
        self.rate = 0.0
        self.averages = [(torch.zeros_like(p), torch.zeros_like(p))
                         for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        for place, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            weight, *self.averages[place] = self.adamw(
                p.detach().clone(), p.grad, *self.averages[place],
                self.steps, self.rate, 0.1 if p.dim() >= 2 else 0.0)
            p.copy_(torch.as_tensor(weight))

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters:
            p.grad = None


class Run:
    """The parts at work, one method for each stage."""

    def __init__(self, path, seed: int = 0, report=print):
        self.parts, self.seed, self.report = Parts(path), seed, report
        for step in USED:  # before any time is spent
            getattr(self.parts, step)
        smoke = load_preset("smoke")
        # long enough to be far better than the table of pairs, whatever the
        # seed: a shorter one may still be in its first plateau
        self.preset = replace(smoke, tokens=3 * smoke.tokens,
                              warmup_steps=50)
        self.merges, self.model = [], None

    def prepare(self) -> None:
        """Tokenizer and packed rows."""
        corpus = load_corpus(self.preset.corpus)
        rule = choose_split(corpus.texts())
        texts = [list(side(corpus.texts(), rule, held_out))
                 for held_out in (False, True)]
        counts = Counter(word for text in texts[0] for word in words(text))
        V = self.preset.model.vocab_size
        self.merges = self.parts.bpe_train(counts, V - 257)
        encode = cache(lambda word: [*map(int, self.parts.bpe_encode(
            word, self.merges))])
        self.eot, self.encode = V - 1, lambda text: [
            i for word in words(text) for i in encode(word)]
        self.train, self.held_out = (torch.as_tensor(np.asarray(
            self.parts.pack([self.encode(text) for text in part], self.eot)
        )).long() for part in texts)
        self.bytes = sum(len(text.encode()) for text in texts[1])
        self.report(f"{len(self.merges)} merges; {len(self.train):,} tokens "
                    "to train on")
        table = self.parts.bigram_counts(self.train, V)
        pairs = float(self.parts.bigram_loss(table, self.held_out))
        self.report(f"counting pairs: {pairs:.3f} nats a token")

    def learn(self) -> None:
        """All training steps."""
        parts, preset = self.parts, self.preset
        torch.manual_seed(self.seed)
        self.model = build(parts.gpt, preset.model).train()
        parameters = list(self.model.parameters())
        optimizer = Optimizer(parts.adamw, parameters)
        begun = time.monotonic()
        for step in range(preset.steps):
            inputs, targets = parts.batch(
                self.train, step, preset.rows, preset.model.context_length,
                self.seed)
            optimizer.rate = float(parts.learning_rate(
                step, preset.steps, preset.warmup_steps,
                preset.learning_rate))
            loss = parts.training_step(
                self.loss, optimizer, parameters, inputs, targets,
                preset.rows // 2, preset.clip)
            if step % 20 == 0 or step == preset.steps - 1:
                self.report(f"step {step + 1} of {preset.steps}: loss "
                            f"{float(loss):.3f}, "
                            f"{time.monotonic() - begun:.0f} s")

    def loss(self, inputs, targets):
        """Mean nats a target, by the reader's model and cross-entropy."""
        logits = logits_of(self.model, inputs)
        return self.parts.cross_entropy(logits.flatten(0, 1),
                                        targets.flatten())

    @torch.no_grad()
    def measure(self) -> float:
        """Nats a token over an epoch of the held-out text."""
        self.model.eval()
        T, rows = self.preset.model.context_length, self.preset.rows
        count = (len(self.held_out) - 1) // T // rows
        losses = [float(self.loss(*self.parts.batch(
            self.held_out, step, rows, T, 0))) for step in range(count)]
        loss = sum(losses) / count
        bits = float(self.parts.bits_per_byte(loss, len(self.held_out),
                                              self.bytes))
        self.report(f"held out: {loss:.4f} nats a token, {bits:.3f} bits a "
                    "byte")
        return loss

    def speak(self, prompt: str = "life is about") -> str:
        """The prompt, continued."""
        ids, T = self.encode(prompt), self.preset.model.context_length
        new = self.parts.generate(
            lambda ids: logits_of(self.model, ids).detach(), ids, 60, T, 0.8)
        new = [*map(int, new)]
        if self.eot in new:
            new = new[:new.index(self.eot)]
        return self.parts.bpe_decode([*ids, *new], self.merges)


def words(text: str) -> list[bytes]:
    """GPT-2's words of a text, as bytes."""
    places = ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [text[a:b].encode() for _, (a, b) in places]


def graduate(path, report=print, seed: int = 0) -> float:
    """Train with a file's parts and sample; returns the held-out loss in
    nats a token."""
    run = Run(path, seed, report)
    run.prepare()
    run.learn()
    loss = run.measure()
    report(run.speak())
    return loss


def band(losses) -> tuple[float, float]:
    """Where the loss of one more right file falls with probability SURE,
    if losses scatter like these (Student's t)."""
    n = len(losses)
    width = stats.t.ppf((1 + SURE) / 2, n - 1) * np.std(
        losses, ddof=1) * math.sqrt(1 + 1 / n)
    return np.mean(losses) - width, np.mean(losses) + width


def judged(loss: float) -> tuple[bool, str]:
    """Whether a loss lies in the recorded band, in words."""
    low, high = band(json.loads(RECORD.read_text())["losses"])
    where = f"the band of right files, {low:.3f} to {high:.3f}"
    if low <= loss <= high:
        return True, f"{loss:.3f} lies in {where}: graduated"
    side = ("below: does something look ahead?" if loss < low
            else "above: something learns worse than it should")
    return False, f"{loss:.3f} does not lie in {where}, but {side}"


def record(path, seeds: int) -> None:
    """Write what a right file ends with, by the seeds from 0 on; those that
    stand there already are kept."""
    kept = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    losses = kept.get("losses", [])
    run = Run(path)
    run.prepare()  # once: no seed changes it
    for run.seed in range(len(losses), seeds):
        run.learn()
        losses.append(run.measure())
        write_json(RECORD, dict(
            what="What a right file ends with in `course check --graduate`: "
            "held-out nats a token at smoke scale, by the seed.",
            provenance=provenance("cpu", "float32"), losses=losses))


def main() -> int:
    """The exit code: 0 where the loss lies in the band."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--record", type=int, metavar="SEEDS")
    options = parser.parse_args()

    def report(line):
        print(line, flush=True)

    if options.record:
        record(options.file, options.record)
        return 0
    try:
        good, said = judged(graduate(options.file, report))
    except KeyboardInterrupt:  # the parent says so
        return 130
    except Exception as error:  # whatever a reader's code may raise
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(f"graduation ended: {said}")
        return 1
    report(said)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
