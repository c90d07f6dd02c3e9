"""What survives: atomic, verified saves of all that a resume needs.

A checkpoint is a folder with model.safetensors, optimizer.safetensors and
state.json (step, fingerprints, sha256 of the other two and of itself). It
is written under another name, flushed to the disk and renamed, so a folder
called step-NNNNNNNN is whole; it is verified again when read. Nothing in it
can execute code. Random states need no place in it: the trainer derives all
randomness from (seed, step).
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from course_lib.machine.files import write_json, write_tensors
from course_lib.machine.progress import warn
from course_lib.training.optimizers import members

KEEP = 2
SAVE_SECONDS = 120  # at least this long between checkpoints
SAVE_SHARE = 0.01  # of the time goes into them, at most
NAME = re.compile(r"step-[0-9]{8,}")
FILES = ("model.safetensors", "optimizer.safetensors")


class Damaged(ValueError):
    """A byte of a checkpoint is not as it was saved."""


def save_checkpoint(folder, step: int, model, optimizer, state: dict) -> Path:
    """Write folder/step-NNNNNNNN and keep the newest two.

    `state` is anything JSON can hold; it comes back from `load_checkpoint`.
    """
    final = _write(Path(folder), step, state, {
        FILES[0]: model.state_dict(),
        FILES[1]: optimizer_tensors(model, optimizer)})
    found = checkpoints(folder)
    place = found.index(final) + 1  # what comes after it was damaged
    for old in found[:max(0, place - KEEP)] + found[place:]:
        _remove(old)
    return final


def save_snapshot(folder, step: int, model, state: dict | None = None,
                  ) -> Path:
    """Write folder/step-NNNNNNNN, a checkpoint of weights alone, for looking
    back; `state` as in `save_checkpoint`."""
    return _write(Path(folder), step, state or {},
                  {FILES[0]: model.state_dict()})


def _write(folder: Path, step: int, state: dict, files: dict) -> Path:
    """The tensors of each file and a state.json with their checksums, as
    folder/step-NNNNNNNN, seen whole or not at all."""
    final = folder / f"step-{step:08d}"
    partial = folder / f"partial-{step:08d}"
    for left in folder.glob("partial-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, tensors in files.items():
        write_tensors(tensors, partial / name)
    hashes = {name: _sha256(partial / name) for name in files}
    state = dict(step=step, sha256=hashes, **state)
    write_json(partial / "state.json", dict(state, digest=_digest(state)))
    for path in (*partial.iterdir(), partial):
        _flush(path)
    if final.exists():  # the same step again, after a resume
        _remove(final)
    os.replace(partial, final)
    _flush(folder)
    return final


def save_interval(seconds: float, wanted: float | None = None) -> float:
    """Seconds until the next checkpoint, when one takes `seconds`: those
    `wanted`, or else what keeps saving a small share of the time."""
    if wanted is not None:
        return wanted
    return max(SAVE_SECONDS, seconds / SAVE_SHARE)


def checkpoints(folder) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return numbered(folder)


def numbered(folder) -> list[Path]:
    """What is called step-NNNNNNNN in a folder, and no other way, such as a
    copy that somebody made; in order."""
    found = [path for path in Path(folder).glob("step-*")
             if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step in the name of a checkpoint or a snapshot."""
    return int(path.name.removeprefix("step-"))


def _remove(path: Path) -> None:
    """A folder with all that is in it; of a link to one only the link."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def set_aside(folder, step: int) -> None:
    """Rename the checkpoints after `step`, which `load_newest` passed over as
    damaged, so that they do not count among the two that are kept."""
    for path in checkpoints(folder):
        if step_of(path) > step:
            aside = path.with_name(path.name.replace("step", "damaged"))
            if aside.exists() or aside.is_symlink():
                _remove(aside)
            path.rename(aside)


def load_newest(folder, model, optimizer=None, report=None) -> dict | None:
    """Load the newest checkpoint that verifies; returns its state.

    A damaged one is named through `report` (by default on stderr) and the
    one before it is used. Returns None when there is none at all; raises
    ValueError when there are some and none is whole, or when the newest
    whole one is another model's.
    """
    problems = []
    for path in reversed(checkpoints(folder)):
        try:
            state = load_checkpoint(path, model, optimizer)
        except Damaged as error:
            problems.append(str(error))
            continue
        for line in problems:
            (report or warn)(f"{line}: {path.name} is used instead")
        return state
    if problems:
        raise Damaged(f"no checkpoint in {folder} is whole: {problems[0]}")
    return None


def load_checkpoint(path, model, optimizer=None) -> dict:
    """Load one checkpoint folder into model and optimizer, in place.

    Raises Damaged, naming the file, when a byte is not as it was saved, and
    ValueError when the weights are another model's. Values that are no
    numbers are damage too, done by the training.
    """
    path = Path(path)
    state = _verified(path, FILES)
    if optimizer is not None:
        tensors = _numbers(path / FILES[1])
    load_weights(path / FILES[0], model)
    if optimizer is not None:
        _restore(optimizer, model, tensors)
    return state


def load_snapshot(path, model) -> dict:
    """Load the weights of a snapshot; returns its state. Raises as
    `load_checkpoint` does; one of the first edition has no state and no
    checksum."""
    path, state = Path(path), {}
    if (path / "state.json").exists():
        state = _verified(path, FILES[:1])
    load_weights(path / FILES[0], model)
    return state


def _verified(path: Path, names) -> dict:
    """The state of a checkpoint in which every byte is as it was saved."""
    try:
        state = json.loads((path / "state.json").read_text())
        if state.pop("digest", _digest(state)) != _digest(state):
            raise ValueError("state.json is not as it was saved")
        if NAME.fullmatch(path.name) and state["step"] != step_of(path):
            raise ValueError(f"it is of step {state['step']}")
        wrong = [name for name in names
                 if _sha256(path / name) != state["sha256"][name]]
    except PermissionError:  # that is no damage, and says what it is
        raise
    except OSError as error:
        raise Damaged(f"{path} is damaged ({error.strerror}: "
                      f"{Path(error.filename or path).name})") from None
    except (ValueError, KeyError, TypeError, AttributeError,
            RecursionError) as error:
        raise Damaged(f"{path} is damaged ({error})") from None
    if wrong:
        raise Damaged(f"{path / wrong[0]} is damaged: its checksum is not "
                      "the saved one")
    return state


def load_weights(path, model) -> None:
    """Load a .safetensors file of weights. Raises ValueError if it does not
    fit; Damaged, with nothing loaded, for a value that is NaN."""
    try:
        model.load_state_dict(_numbers(path))
    except PermissionError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} does not fit the model: {reason}") from None


def _numbers(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, when all that they hold are numbers."""
    tensors = load_file(path)
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise Damaged(f"{path} holds values in {name} that are NaN "
                          "or infinite: its training diverged")
    return tensors


def optimizer_tensors(model, optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as flat names, `exp_avg/transformer.wte...`."""
    names = {p: name for name, p in model.named_parameters()}
    return {f"{key}/{names[parameter]}": torch.as_tensor(value).contiguous()
            for each in members(optimizer)
            for parameter, values in each.state.items()
            for key, value in values.items()}


def _restore(optimizer, model, tensors: dict[str, torch.Tensor]) -> None:
    """Everything goes to its parameter's device: the fused AdamW wants its
    count of steps there too."""
    parameters, owner = dict(model.named_parameters()), {}
    for each in members(optimizer):
        each.state.clear()
        owner |= {p: each for group in each.param_groups
                  for p in group["params"]}
    for flat, value in tensors.items():
        key, name = flat.split("/", 1)
        parameter = parameters[name]
        owner[parameter].state[parameter][key] = value.to(parameter.device)


def _digest(state: dict) -> str:
    text = json.dumps(state, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
