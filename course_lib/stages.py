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

from course_lib.corpus import load_corpus
from course_lib.data import Tokens
from course_lib.device import ROOT
from course_lib.presets import Preset, load_preset
from course_lib.runs import Run, prepare
from course_lib.tokenizer import Tokenizer

DECIDE = ("stories", "stories_plots", "stories_words", "grammar", "corpus",
          "hub_corpus", "tokenizer", "data", "model", "train",
          "micro", "evaluate")


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


def prediction(preset: Preset):
    """What the preset's ladder says that its run will end with, a
    `ladder.Prediction`, stored before the run for chapter 4 to check."""
    from course_lib import ladder  # which itself makes and loads by stages
    return ladder.predict(preset)


@cache
def _source() -> str:
    digest = hashlib.sha256()
    for module in DECIDE:
        digest.update((ROOT / "course_lib" / f"{module}.py").read_bytes())
    return digest.hexdigest()


def _silent(line: str) -> None:
    pass


if __name__ == "__main__":  # `make` does this before it builds the book
    trained(load_preset())
