"""A ladder of small models, and what it predicts for a preset (chapter 2).

Each rung trains a smaller model with the tokenizer, corpus, batch and context
of the preset, so that nats mean the same. Every run has its own schedule
that ends where the run ends: points along one long run would be too high
(Hoffmann et al. 2022, section 3.1). The law fitted to the rungs then says
what the preset's own run will end with, before it starts.

The smoke ladder is trained where it is asked for. The laptop ladder takes
half an hour of one core, so it is recorded in book/results/, by
`python -m course_lib.ladder laptop`.
"""

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from course_lib.budget import count_parameters
from course_lib.data import write_json
from course_lib.device import provenance
from course_lib.evaluate import evaluate
from course_lib.presets import Preset, load_preset
from course_lib.runs import Run
from course_lib.scaling import Bootstrap, Runs, bootstrap
from course_lib.stages import ROOT, prepared
from course_lib.train import learning_rate, start, train_step

WIDTHS = (1 / 4, 3 / 8, 1 / 2, 3 / 4)  # shares of the preset's C
# Shares of the preset's tokens. Shorter runs, of a hundred steps or less,
# have not yet begun to follow a power law.
TOKENS = (1 / 4, 1 / 2, 1)
VALIDATION = 131_072  # tokens: within 0.003 nats or so of all of them
RESAMPLES = 1000
RECORDED = ROOT / "book" / "results"


@dataclass(frozen=True)
class Prediction:
    """What the ladder says of the preset's run, in nats per token.

    `low` and `high` hold 90% of the resamples. They tell of the noise
    between rungs, not of a law that bends beyond them.
    """

    N: int
    D: int
    loss: float
    low: float
    high: float

    def __str__(self):
        return (f"{self.loss:.2f} nats per token (90% of resamples: "
                f"{self.low:.2f} to {self.high:.2f})")


def rungs(preset: Preset) -> list[Preset]:
    """The presets of the ladder, smallest first. The learning rate goes
    with 1/sqrt(C) and the warm-up is a tenth of a run at most."""
    ladder = []
    for width in WIDTHS:
        heads = max(1, round(preset.model.n_head * width))
        C = max(heads, round(preset.model.n_embd * width / heads) * heads)
        model = replace(preset.model, n_embd=C, n_head=heads, n_layer=max(
            1, round(preset.model.n_layer * width)))
        rate = preset.learning_rate * math.sqrt(preset.model.n_embd / C)
        for share in TOKENS:
            steps = max(2, round(preset.steps * share))
            ladder.append(replace(
                preset, model=model, tokens=steps * preset.batch_tokens,
                learning_rate=min(rate, 0.01),
                warmup_steps=min(preset.warmup_steps, steps // 10)))
    return ladder


def measure(rung: Preset, train_tokens, val_tokens) -> float:
    """Train one rung on the CPU and return its validation loss (nats)."""
    model, optimizer = start(rung, "cpu")
    for step in range(rung.steps):
        batch = train_tokens.batch(step, rung.rows,
                                   rung.model.context_length, rung.seed)
        train_step(model, optimizer, batch, learning_rate(step, rung),
                   rung.clip)
    return evaluate(model, val_tokens, max_tokens=VALIDATION).loss


def ladder(preset: Preset, report=print) -> Runs:
    """The preset's ladder: N (n,) parameters, D (n,) tokens, validation
    loss (n,) in nats per token. Loaded where it was recorded or measured
    before, else measured now. `report` is told which."""
    plan = rungs(preset)
    wanted = [rung.to_dict() for rung in plan]
    record = _load(RECORDED / f"ladder_{preset.name}.json", wanted)
    if record:
        made = record["provenance"]
        report(f"{len(plan)} runs, recorded {made['date'][:10]} on "
               f"{made['device']}")
    else:
        run = prepared(preset)
        path = run.folder / "ladder.json"
        with FileLock(f"{path}.lock"):
            record = _load(path, wanted) or _measure_all(run, plan)
            write_json(path, record)
        report(f"{len(plan)} runs, trained here in {record['seconds']:.0f} s")
    N = [count_parameters(rung.model).total for rung in plan]
    D = [rung.tokens for rung in plan]
    return Runs(*(np.array(v, float) for v in (N, D, record["losses"])))


def _load(path: Path, wanted: list[dict]) -> dict:
    record = json.loads(path.read_text()) if path.is_file() else {}
    return record if record.get("rungs") == wanted else {}


def _measure_all(run: Run, plan: list[Preset]) -> dict:
    began, state = time.monotonic(), torch.get_rng_state()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models so small that sharing costs more
    try:
        losses = [measure(rung, run.train_tokens, run.val_tokens)
                  for rung in tqdm(plan, "ladder", unit="run", mininterval=5)]
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    return dict(rungs=[rung.to_dict() for rung in plan], losses=losses,
                seconds=time.monotonic() - began,
                corpus=run.record["corpus"],
                tokenizer=run.tokenizer.fingerprint,
                provenance=provenance("cpu"))


def predict(preset: Preset, fits: Bootstrap | None = None) -> Prediction:
    """Predict the validation loss at the end of the preset's run from its
    ladder, and store it beside the run for chapter 4 to check. A stored
    prediction is made anew only when the ladder changed."""
    runs = ladder(preset, report=lambda line: None)
    path = prepared(preset).folder / "prediction.json"
    key = [float(value) for value in runs.loss]
    record = json.loads(path.read_text()) if path.is_file() else {}
    if record.get("ladder") != key:
        fits = fits or bootstrap(*runs, resamples=RESAMPLES)
        N = count_parameters(preset.model).total
        D = preset.steps * preset.batch_tokens
        low, high = fits.loss(N, D)
        made = Prediction(N, D, float(fits.fit.law.loss(N, D)), float(low),
                          float(high))
        record = dict(prediction=asdict(made), ladder=key)
        write_json(path, record)
    return Prediction(**record["prediction"])


if __name__ == "__main__":
    chosen = load_preset(sys.argv[1])
    write_json(RECORDED / f"ladder_{chosen.name}.json",
               _measure_all(prepared(chosen), rungs(chosen)))
