"""A run folder: how it is made, how it is opened.

What stands in it:

    run.json         preset, corpus, split rule, provenance (written last)
    tokenizer.json   the vocabulary and its merges
    train.bin val.bin, each with a .json header: the token files; where the
                     recipe reads sentences, val-rows.bin has the validation
                     text once more, as the model is to be measured on it
    log.jsonl timing.jsonl settings.json checkpoints/ snapshots/:
                     written by the trainer
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course_lib.machine.device import choose_device
from course_lib.machine.files import write_json
from course_lib.machine.lock import LOCK, locked
from course_lib.machine.origin import provenance
from course_lib.machine.progress import bar
from course_lib.model.gpt import GPT
from course_lib.presets import Preset
from course_lib.text.documents import Corpus, separators
from course_lib.text.rows import sentences
from course_lib.text.split import choose_split, side
from course_lib.text.token_files import AGAIN, Tokens, pack
from course_lib.text.tokenizer import (
    EOT,
    Tokenizer,
    load_tokenizer,
    train_tokenizer,
)
from course_lib.training import checkpoint, settings
from course_lib.training.log import read_log
from course_lib.training.trainer import train

# Merges settle long before this much text, and counting pairs costs memory.
TOKENIZER_BYTES = 100_000_000
# Repeated text is worth ever less (Muennighoff et al. 2023); a small model
# without dropout gains nothing from this many passes.
MANY_PASSES = 16


@dataclass(frozen=True)
class Run:
    """An existing, complete run folder; made by `prepare` or `open_run`."""

    folder: Path
    record: dict

    @cached_property
    def preset(self) -> Preset:
        return Preset.from_dict(self.record["preset"])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.folder / "tokenizer.json")

    @cached_property
    def train_tokens(self) -> Tokens:
        return self._tokens("train")

    @cached_property
    def val_tokens(self) -> Tokens:
        return self._tokens("val")

    @cached_property
    def measured_tokens(self) -> Tokens:
        """The validation text as this run's model reads it."""
        if self.preset.layout == "packed":
            return self.val_tokens
        return self._tokens("val-rows")

    def _tokens(self, name: str) -> Tokens:
        """Counts that the loss is divided by stand in two places."""
        tokens = Tokens(self.folder / f"{name}.bin", self.tokenizer)
        recorded = self.record["files"].get(name, {})
        for what, count in recorded.items():
            if tokens.header.get(what, count) != count:
                raise ValueError(
                    f"{name}.json says {tokens.header[what]:,} {what} and "
                    f"run.json {count:,}: one of them is damaged; {AGAIN}")
        return tokens

    @property
    def number_format(self) -> str | None:
        """The number format that it is trained in, once that is settled."""
        return settings.read(self.folder).get("number_format")

    @property
    def log(self) -> list[dict]:
        """The records of log.jsonl, oldest first."""
        return read_log(self.folder / "log.jsonl")

    @property
    def timing(self) -> list[dict]:
        """The records of timing.jsonl, oldest first."""
        return read_log(self.folder / "timing.jsonl")

    @property
    def started(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return bool(checkpoint.checkpoints(self.folder / "checkpoints"))

    @property
    def finished(self) -> bool:
        """Whether the last step was taken, saved and evaluated."""
        log = self.log
        return (self.started and bool(log) and "val_loss" in log[-1]
                and log[-1]["step"] == self.preset.steps)

    def train(self, **options):
        """Start or go on training; options as in `course_lib.training.train`.

        Raises BlockingIOError when another process is at it.
        """
        self._empty_model()
        return train(self.folder, self.preset, self.train_tokens,
                     self.measured_tokens, **options)

    def model(self, where: str = "cpu") -> GPT:
        """The newest model, in evaluation mode. Raises FileNotFoundError
        before training, ValueError when it does not fit the tokenizer."""
        model = self._empty_model()
        state = checkpoint.load_newest(self.folder / "checkpoints", model)
        if state is None:
            raise FileNotFoundError(f"{self.folder} has no trained model yet:"
                                    f" run `course train {self.folder}`")
        if not self.tokenizer.known_as(state["fingerprint"]["tokenizer"]):
            raise ValueError(f"{self.folder / 'tokenizer.json'} is not the "
                             "tokenizer that the checkpoints were trained "
                             "with: one of the two is from another run")
        return model.to(where).eval()

    def snapshots(self) -> Iterator[tuple[int, GPT]]:
        """(step, model) at 0, 1, 10 and 100% of the run."""
        for folder in sorted((self.folder / "snapshots").glob("step-*")):
            model = self._empty_model()
            checkpoint.load_weights(folder / "model.safetensors", model)
            yield int(folder.name.removeprefix("step-")), model.eval()

    def _empty_model(self) -> GPT:
        config, tokenizer = self.preset.model, self.tokenizer
        if tokenizer.vocab_size != config.vocab_size:
            raise ValueError(
                f"the tokenizer in {self.folder} has {tokenizer.vocab_size} "
                f"entries and the model {config.vocab_size}: one of the two "
                "files is from another run")
        return GPT(config)


def open_run(folder) -> Run:
    """Open a prepared run folder. Raises FileNotFoundError or ValueError."""
    folder = Path(folder)
    path = folder / "run.json"
    if not path.is_file():
        found = "is no run folder (no run.json in it)" if folder.is_dir() \
            else "does not exist"
        raise FileNotFoundError(f"{folder} {found}: make one with `course "
                                f"prepare --out {folder}`")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        Preset.from_dict(record["preset"])
        record["corpus"]["fingerprint"], record["files"]["train"]["bytes"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): prepare the run "
                         "again in a new folder") from None
    return Run(folder, record)


def prepare(folder, preset: Preset, corpus: Corpus,
            report: Callable[[str], None] = lambda line: None) -> Run:
    """Make a run folder ready for training: tokenizer and token files.

    Doing it again with the same preset and corpus changes nothing. Raises
    FileExistsError when the folder holds anything else, and ValueError when
    the text is too little for the preset.
    """
    if not str(folder):
        raise ValueError("the run folder needs a name, not an empty one")
    folder = Path(folder)
    try:
        str(folder).encode()
    except UnicodeEncodeError:  # safetensors could not open it again
        raise ValueError(f"{ascii(str(folder))} is not UTF-8: choose another "
                         "name for the run folder") from None
    if (folder / "run.json").exists():
        return _prepare(folder, preset, corpus, report)
    if folder.exists() and not folder.is_dir() or not _ours(folder):
        raise FileExistsError(f"{folder} exists and is no run folder: "
                              "choose a new one with --out")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        return _prepare(folder, preset, corpus, report)


def _prepare(folder: Path, preset: Preset, corpus: Corpus, report) -> Run:
    wanted = dict(preset=preset.to_dict(),
                  corpus=dict(name=corpus.name,
                              fingerprint=corpus.fingerprint,
                              revision=corpus.revision))
    if (folder / "run.json").is_file():
        run = open_run(folder)
        if (run.record["preset"] != wanted["preset"] or corpus.fingerprint
                != run.record["corpus"]["fingerprint"]):
            raise FileExistsError(f"{folder} holds another run: choose a new "
                                  "folder with --out")
        report(f"{folder} is already prepared")
        return run
    if marked := sum(map(separators, corpus.files)):
        report(f"{marked:,} {EOT} in the text separate documents")
    rule = choose_split(corpus.texts())

    def part(validation: bool):
        return side(corpus.texts(), rule, validation)

    tokenizer = _tokenizer(folder, preset.model.vocab_size, wanted,
                           lambda: part(False), report)
    files, T = {}, preset.model.context_length
    rows = dict(row=T) if preset.layout == "sentences" else {}
    for name, validation, layout in [
            ("val", True, {}), *[("val-rows", True, rows)] * bool(rows),
            ("train", False, rows | dict(cut_long=True) if rows else {})]:
        texts = part(validation)
        with bar(desc=f"{name}.bin", unit="B", unit_scale=True,
                 delay=2) as shown:
            tokens = pack(sentences(texts) if layout else texts, tokenizer,
                          folder / f"{name}.bin", shown.update,
                          f"{corpus.fingerprint} {rule} {name}", **layout)
        tokens.windows(T)
        report(f"{name}.bin: {tokens.tokens:,} tokens of {tokens.bytes:,} "
               f"bytes in {tokens.documents:,} "
               f"{'rows' if layout else 'documents'}"
               + (f", {tokens.targets / tokens.windows(T) / T:.0%} of them "
                  "no padding" if layout else ""))
        files[name] = dict(tokens=tokens.tokens, bytes=tokens.bytes,
                           documents=tokens.documents)
    passes = preset.tokens / files["train"]["tokens"]
    if passes > MANY_PASSES:
        report(f"{preset.tokens:,} tokens are {passes:.0f} passes over this "
               "text: it will be learned by heart; add text, or train on "
               f"less with --tokens {MANY_PASSES * files['train']['tokens']}")
    write_json(folder / "run.json", dict(
        **wanted, split=rule, files=files, tokenizer_bytes=TOKENIZER_BYTES,
        prepared=provenance(choose_device())))
    return open_run(folder)


def _tokenizer(folder: Path, vocab_size: int, wanted: dict, texts,
               report) -> Tokenizer:
    """The folder's tokenizer, trained unless an interrupted `prepare` of
    the same run has left it."""
    path, mark = folder / "tokenizer.json", folder / UNFINISHED
    if path.is_file() and mark.is_file() \
            and mark.read_text(encoding="utf-8") == json.dumps(wanted):
        with contextlib.suppress(ValueError):  # damaged: train it again
            return load_tokenizer(path)
    path.unlink(missing_ok=True)
    # the mark's name goes when run.json is written in its place
    mark.write_text(json.dumps(wanted), encoding="utf-8")
    report(f"training a tokenizer of {vocab_size:,} entries")
    tokenizer = train_tokenizer(first_bytes(texts(), TOKENIZER_BYTES),
                                vocab_size)
    tokenizer.save(path)
    return tokenizer


UNFINISHED = "run.json.partial"


def _ours(folder: Path) -> bool:
    """Whether a folder is empty, or was left so by an earlier `prepare`."""
    inside = {path.name for path in folder.iterdir()} \
        if folder.is_dir() else set()
    return inside <= {LOCK} or UNFINISHED in inside


def first_bytes(texts: Iterable[str], limit: int) -> Iterator[str]:
    """The first documents, as many as begin within `limit` bytes."""
    for text in texts:
        if limit <= 0:
            return
        limit -= len(text)
        yield text
