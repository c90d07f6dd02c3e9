"""Make or load: what chapters and the command line build on.

Each stage is idempotent and guarded by a file lock, so that two notebooks
never train the same model twice. Results stand under $COURSE_HOME (runs/ by
default) in a folder named by the fingerprint of everything that decided
them: preset, corpus, and the package's own source.
"""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from filelock import FileLock

from course_lib.machine.origin import ROOT
from course_lib.model.cost import count_parameters
from course_lib.presets import Preset, load_preset
from course_lib.runs import Run, prepare
from course_lib.scaling.forecasting import Forecast, forecast
from course_lib.scaling.rungs import Ladder, load
from course_lib.stories import generator as stories
from course_lib.text.corpus import load_corpus
from course_lib.text.token_files import Tokens
from course_lib.text.tokenizer import Tokenizer

# Rooms and modules whose source decides what a run ends with.
DECIDE = ("stories", "text", "model", "training", "measuring/evaluation.py")
RECORDED = ROOT / "book" / "results"


def home() -> Path:
    """The folder of all runs: $COURSE_HOME, or runs/ in the project."""
    return Path(os.environ.get("COURSE_HOME") or ROOT / "runs")


def corpus_name(preset: Preset) -> str:
    """The preset's corpus; at `full`, $COURSE_CORPUS where that is set."""
    chosen = os.environ.get("COURSE_CORPUS")
    return chosen if chosen and preset.name == "full" else preset.corpus


def prepared(preset: Preset, report=print) -> Run:
    """The preset's run folder, with tokenizer and token files."""
    corpus = load_corpus(corpus_name(preset))
    key = json.dumps([preset.to_dict(), corpus.fingerprint, _source()])
    name = hashlib.sha256(key.encode()).hexdigest()[:8]
    folder = home() / f"{preset.name}-{name}"
    home().mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if (folder / "run.json").is_file():
            report = _silent
        return prepare(folder, preset, corpus, report)


def tokenizer(preset: Preset) -> Tokenizer:
    """The preset's tokenizer."""
    return prepared(preset).tokenizer


def tokens(preset: Preset) -> tuple[Tokens, Tokens]:
    """The preset's (training, validation) token files."""
    run = prepared(preset)
    return run.train_tokens, run.val_tokens


def trained(preset: Preset) -> Run:
    """The preset's run, trained to its last step."""
    run = prepared(preset)
    with FileLock(f"{run.folder}.train.lock"):
        if not run.finished:
            run.train()
    return run


def ladder(preset: Preset) -> Ladder:
    """The recorded ladder of a scale and a recipe. Raises FileNotFoundError
    where none was recorded (`benchmarks/ladder.py`)."""
    path = RECORDED / ladder_file(preset)
    if not path.is_file():
        raise FileNotFoundError(
            f"no ladder was recorded for {preset.name} by the "
            f"{preset.recipe} recipe: {path} is missing")
    return load(path)


def ladder_file(preset: Preset) -> str:
    """The name of a recorded ladder: of a scale, thus of a text and a
    tokenizer, and of a recipe."""
    return f"ladder_{preset.name}_{preset.recipe}.json"


def loss_floor(preset: Preset, ladder: Ladder) -> float:
    """Nats per token that no model gets below, on text whose entropy is
    known; 0 for other text."""
    if not preset.corpus.startswith("stories"):
        return 0.0
    return stories.entropy_bits_per_byte() / ladder.bits_per_byte(1.0)


def prediction(preset: Preset) -> Forecast:
    """What the preset's ladder says that its run will end with."""
    steps = ladder(preset)
    return forecast(steps, count_parameters(preset.model).total,
                    preset.steps * preset.batch_tokens,
                    loss_floor(preset, steps))


@cache
def _source() -> str:
    digest, package = hashlib.sha256(), ROOT / "course_lib"
    for name in DECIDE:
        place = package / name
        for path in sorted(place.glob("*.py")) or [place]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _silent(line: str) -> None:
    pass


if __name__ == "__main__":  # `make` does this before it builds the book
    trained(load_preset())
