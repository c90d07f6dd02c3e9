"""A run folder that is there: opened, read, trained. `runs.prepare` makes it,
and its first lines say what stands in it."""

import reprlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from course_lib.machine.device import memory
from course_lib.machine.distributed import first_process
from course_lib.machine.files import read_object, whole_number, write_json
from course_lib.machine.lines import one_line, quoted
from course_lib.machine.lock import locked
from course_lib.model.cost import count_parameters
from course_lib.model.gpt import GPT
from course_lib.presets import Preset
from course_lib.text.split import SPLIT_RULES
from course_lib.text.token_files import AGAIN, COUNTS, Tokens
from course_lib.text.tokenizer import Tokenizer, load_tokenizer
from course_lib.training import beginning, checkpoint, sessions, settings
from course_lib.training.log import read_log
from course_lib.training.trainer import train


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
        return self._check(Tokens(self.folder / f"{name}.bin",
                                  self.tokenizer))

    def _check(self, tokens: Tokens) -> Tokens:
        """What the loss depends on, and no checksum is of, stands in two
        places."""
        name = tokens.path.stem
        recorded = self.record["files"].get(name, {}) | dict(
            row=row_of(self.preset, name))
        for what, value in recorded.items():
            found = tokens.header.get(what)
            if found != value:
                raise ValueError(
                    f"{name}.json says {reprlib.repr(found)} {what} and "
                    f"run.json {reprlib.repr(value)}: one of them is "
                    f"damaged; {AGAIN}")
        return tokens

    def damaged(self, tokenizers: set[str]) -> set[str]:
        """What of tokenizer and token files is not as it was written, when
        `tokenizers` are the fingerprints that were recorded."""
        found = set()
        try:
            if not all(map(self.tokenizer.known_as, tokenizers)):
                found.add("tokenizer")
        except (FileNotFoundError, ValueError):
            found.add("tokenizer")
        for name in self.record["files"]:
            try:
                self._check(Tokens(self.folder / f"{name}.bin")).verify()
            except (FileNotFoundError, ValueError):
                found.add(name)
        return found

    @property
    def number_format(self) -> str | None:
        """The number format that it is trained in, once that is settled."""
        return settings.read(self.folder).get("number_format")

    @property
    def forecast(self) -> dict | None:
        """What was predicted of it when it was prepared
        (`scaling.Forecast`), where anything was."""
        return self.record.get("forecast")

    @property
    def log(self) -> list[dict]:
        """The records of log.jsonl, oldest first."""
        return read_log(self.folder / "log.jsonl")

    @property
    def timing(self) -> list[dict]:
        """The records of timing.jsonl, oldest first."""
        return read_log(self.folder / "timing.jsonl")

    @property
    def sessions(self) -> list[dict]:
        """When it was trained and on what, oldest first, and how often that
        was interrupted (`training.sessions`)."""
        return sessions.read(self.folder)

    @property
    def hours(self) -> float:
        """Of wall clock that training took so far, lost steps included."""
        return sessions.spent(self.folder) / 3600

    @property
    def started(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return bool(checkpoint.checkpoints(self.folder / "checkpoints"))

    @property
    def step(self) -> int:
        """The newest checkpoint's step; 0 before there is one."""
        found = checkpoint.checkpoints(self.folder / "checkpoints")
        return int(found[-1].name.removeprefix("step-")) if found else 0

    @property
    def finished(self) -> bool:
        """Whether the last step was taken, saved and evaluated."""
        log = self.log
        return (self.started and bool(log) and "val_loss" in log[-1]
                and log[-1]["step"] == self.preset.steps)

    @property
    def begun_from(self) -> dict | None:
        """Where the weights that it begins with are from, if it does not
        begin with fresh ones: `path` and `sha256`."""
        return self.record.get("begun_from")

    def begin_from(self, source: GPT, tokenizer: Tokenizer,
                   name: str) -> "Run":
        """Have the training begin with the weights of `source`, which come
        from the folder `name`; returns the run as it is then.

        Raises ValueError when shapes or tokenizers differ, and when the run
        has begun with other weights; BlockingIOError when another process is
        at it.
        """
        model = beginning.copied(source, self.preset.model, name, self.folder)
        if not self.tokenizer.known_as(tokenizer.fingerprint):
            raise ValueError(
                f"the tokenizer of {name} is not that of {self.folder}: "
                f"prepare a run with --tokenizer {quoted(name)}")
        sha256 = beginning.digest(model)
        if not first_process():  # the first one writes, before they meet
            return replace(self, record=self.record | dict(
                begun_from=dict(path=name, sha256=sha256)))
        with locked(self.folder):
            run = open_run(self.folder)
            before = run.begun_from or dict(sha256=None)
            if run.started and before["sha256"] != sha256:
                whose = f"those of {before['path']}" if run.begun_from \
                    else "fresh ones"
                raise ValueError(
                    f"{self.folder} was begun with other weights, {whose}: "
                    "leave out --from, or prepare a new run")
            if not run.started:
                beginning.write(model, self.folder)
                write_json(self.folder / "run.json", run.record | dict(
                    begun_from=dict(path=name, sha256=sha256)))
        return open_run(self.folder)

    def over(self, tokens: int) -> "Run":
        """The run with another length, shorter or longer, in training tokens.
        What it has learned so far is kept, to the bit, so that the length
        may be chosen late; a forecast was of another run, and goes.

        Raises ValueError where the steps so far would have been others, had
        it been planned so; BlockingIOError when another process is at it.
        """
        if tokens == self.preset.tokens:
            return self
        preset = replace(self.preset, tokens=tokens)
        if not settings.same_so_far(self.preset, preset, self.step):
            raise ValueError(
                f"{self.folder} is at step {self.step:,}, and in a run of "
                f"{self.preset.steps:,} steps or in one of {preset.steps:,} "
                "the learning rate has begun to decay by then: its length is "
                "settled")
        record = {name: value for name, value in self.record.items()
                  if name != "forecast"} | dict(preset=preset.to_dict())
        if first_process():
            with locked(self.folder):
                write_json(self.folder / "run.json", record)
        return replace(self, record=record)

    def train(self, **options):
        """Start or go on training; options as in `course_lib.training.train`.

        Raises BlockingIOError when another process is at it.
        """
        self._empty_model()
        if self.begun_from:
            options = dict(begin=self._beginning, compares=True) | options
        return train(self.folder, self.preset, self.train_tokens,
                     self.measured_tokens, **options)

    def _beginning(self) -> GPT | None:
        """The weights that were loaded, until there is a checkpoint."""
        return None if self.started else beginning.read(
            self.folder, self._empty_model(), self.begun_from["sha256"])

    def model(self, where: str = "cpu") -> GPT:
        """The newest model, in evaluation mode. Raises FileNotFoundError
        before training, ValueError when it does not fit the tokenizer."""
        model = self._empty_model()
        state = checkpoint.load_newest(self.folder / "checkpoints", model)
        if state is None:
            raise FileNotFoundError(f"{self.folder} has no trained model yet:"
                                    " run `course train "
                                    f"{quoted(self.folder)}`")
        if not self.tokenizer.known_as(state["fingerprint"]["tokenizer"]):
            raise ValueError(f"{self.folder / 'tokenizer.json'} is not the "
                             "tokenizer that the checkpoints were trained "
                             "with: one of the two is from another run")
        self._check_model(state)
        return model.to(where).eval()

    def _check_model(self, state: dict) -> None:
        """Refuse weights of a model that had other parts. Not all of them
        show in a shape: the number of heads, or the bend of an MLP."""
        if "fingerprint" not in state:  # a snapshot of an older version
            return
        ours = self.preset.model
        theirs = Preset.from_dict(state["fingerprint"]["preset"]).model
        for name, value in asdict(theirs).items():
            if getattr(ours, name) != value:
                raise ValueError(
                    f"{self.folder / 'run.json'} has {name}="
                    f"{getattr(ours, name)} and its weights were trained "
                    f"with {value}: one of the two is damaged")

    def snapshots(self) -> Iterator[tuple[int, GPT]]:
        """(step, model) at 0, 1, 10, 30 and 100% of the run."""
        for folder in checkpoint.numbered(self.folder / "snapshots"):
            model = self._empty_model()
            self._check_model(checkpoint.load_snapshot(folder, model))
            yield checkpoint.step_of(folder), model.eval()

    def _empty_model(self) -> GPT:
        config, tokenizer = self.preset.model, self.tokenizer
        if tokenizer.vocab_size != config.vocab_size:
            raise ValueError(
                f"the tokenizer in {self.folder} has {tokenizer.vocab_size} "
                f"entries and the model {config.vocab_size}: one of the two "
                "files is from another run")
        needed, there = 4 * count_parameters(config).total, memory("cpu")
        if needed > there:
            raise MemoryError(f"{needed:,} bytes of weights, and {there:,} "
                              "of memory")
        return GPT(config)


def open_run(folder) -> Run:
    """Open a prepared run folder. Raises FileNotFoundError or ValueError."""
    folder = Path(folder)
    path = folder / "run.json"
    if not path.is_file():
        found = "is no run folder (no run.json in it)" if folder.is_dir() \
            else "does not exist"
        raise FileNotFoundError(f"{folder} {found}: make one with `course "
                                f"prepare --out {quoted(folder)}`")
    try:
        record = read_object(path)
        _check_record(record)
    except KeyError as error:
        raise ValueError(f"{path} is damaged (it has no {error}): prepare "
                         "the run again in a new folder") from None
    except (ValueError, TypeError) as error:
        reason = one_line(str(error).removeprefix(f"{path} "))
        if not reason.startswith("is damaged"):  # which says it already
            reason = f"is damaged ({reason})"
        raise ValueError(f"{path} {reason}: prepare the run again in a new "
                         "folder") from None
    return Run(folder, record)


def token_files(preset: Preset) -> tuple[str, ...]:
    """The names of a run's token files, the smallest first."""
    return ("val", "train") if preset.layout == "packed" \
        else ("val", "val-rows", "train")


def row_of(preset: Preset, name: str) -> int | None:
    """How many tokens a padded row of a token file has; None where it is
    packed."""
    rows = preset.layout == "sentences" and name != "val"
    return preset.model.context_length if rows else None


# What of a run was there before, and how it is described.
FROM_ELSEWHERE = dict(tokenizer_from=("path", "fingerprint"),
                      begun_from=("path", "sha256"))


def _check_record(record: dict) -> None:
    """Raise KeyError, TypeError or ValueError where something is missing, or
    is not what `prepare` writes."""
    preset = Preset.from_dict(record["preset"])
    for what in (record["corpus"]["name"], record["corpus"]["fingerprint"]):
        if not isinstance(what, str):
            raise ValueError(f"corpus has {what!r}")
    if record["split"] not in SPLIT_RULES:
        raise ValueError(f"split is {record['split']!r}")
    for name, parts in FROM_ELSEWHERE.items():
        if name in record and not all(
                isinstance(record[name][part], str) for part in parts):
            raise ValueError(f"{name} is {reprlib.repr(record[name])}")
    for name in token_files(preset):
        for what in COUNTS:
            whole_number(record["files"][name], what)
    if extra := record["files"].keys() - {*token_files(preset)}:
        raise ValueError(f"files has {min(extra)}")
