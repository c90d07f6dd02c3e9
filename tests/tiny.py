"""A run so small that a test can train it: text, preset, comparison."""

import contextlib
import hashlib
import random
from pathlib import Path

import pytest
import torch

from course_lib.model.config import GPTConfig
from course_lib.presets import Preset
from course_lib.runs import Run, prepare
from course_lib.text.corpus import load_corpus
from course_lib.training import trainer

PRESET = Preset(
    "tiny", "files",
    GPTConfig(vocab_size=300, context_length=16, n_layer=1, n_head=2,
              n_embd=16, dropout=0.1),
    tokens=60 * 64, batch_tokens=64, learning_rate=1e-2, warmup_steps=5)

WORDS = ("the cat saw a small red house and went home with some bread while "
         "her friend Jos\u00e9 sang \u201clife is about rain\u201d in the "
         "garden under old trees near water").split()


@contextlib.contextmanager
def quick_training():
    """No half second for the machine's peak in every call; and models as
    small as these run faster on one core, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "matmul_peak", lambda *of: 1e12)
        yield
    torch.set_num_threads(threads)


def write_text(folder: Path, files: int = 4, seed: int = 0) -> Path:
    """A folder of .txt files with paragraphs of random sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    for number in range(files):
        lines = [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) + "."
                 for _ in range(60)]
        (folder / f"book-{number}.txt").write_text(
            "\n\n".join(lines), encoding="utf-8")
    return folder


def make_run(folder: Path, preset: Preset = PRESET) -> Run:
    """A prepared run of random sentences in folder/run."""
    corpus = load_corpus(write_text(folder / "text"))
    return prepare(folder / "run", preset, corpus)


def places(value, most: int = 3, path=()):
    """Every place in a JSON value, as the way to it; of a list the first
    `most`."""
    yield path
    inside = value.items() if isinstance(value, dict) else \
        enumerate(value[:most]) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, most, (*path, key))


def bits(folder: Path) -> dict[str, str]:
    """What must be identical after a resume: hashes by file name."""
    newest = max((folder / "checkpoints").glob("step-*"))
    files = [newest / "model.safetensors", newest / "optimizer.safetensors",
             folder / "log.jsonl", *folder.glob("snapshots/*/*.safetensors")]
    return {str(path.relative_to(folder)): _hash(path) for path in files}


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, to see whether any was touched."""
    return {str(path.relative_to(folder)): _hash(path)
            for path in Path(folder).rglob("*") if path.is_file()}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
