"""What survives: atomic, verified saves of all that a resume needs.

A checkpoint is a folder with model.safetensors, optimizer.safetensors and
state.json (step, fingerprints, sha256 of the other two). It is written
under another name, flushed to the disk and renamed, so a folder called
step-NNNNNNNN is whole; it is verified again when read. Nothing in it can
execute code. Random states need no place in it: the trainer derives all
randomness from (seed, step).
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from course_lib.data import write_json

KEEP = 2
FILES = ("model.safetensors", "optimizer.safetensors")


def save_checkpoint(folder, step: int, model, optimizer, state: dict) -> Path:
    """Write folder/step-NNNNNNNN and keep the newest two.

    `state` is anything JSON can hold; it comes back from `load_checkpoint`.
    """
    folder = Path(folder)
    final = folder / f"step-{step:08d}"
    partial = folder / f"partial-{step:08d}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(model.state_dict(), partial / FILES[0])
    save_file(optimizer_tensors(model, optimizer), partial / FILES[1])
    hashes = {name: _sha256(partial / name) for name in FILES}
    write_json(partial / "state.json",
               dict(step=step, sha256=hashes, **state))
    for path in (*partial.iterdir(), partial):
        _flush(path)
    if final.exists():  # the same step again, after a resume
        shutil.rmtree(final)
    os.replace(partial, final)
    _flush(folder)
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old)
    return final


def checkpoints(folder) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return sorted(Path(folder).glob("step-????????"))


def load_newest(folder, model, optimizer=None, report=print) -> dict | None:
    """Load the newest checkpoint that verifies; returns its state.

    A damaged one is named through `report` and the one before it is used.
    Returns None when there is none at all; raises ValueError when there
    are some and none is whole.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return load_checkpoint(path, model, optimizer)
        except ValueError as error:
            report(f"{error}; trying the one before")
    if found:
        raise ValueError(f"no checkpoint in {folder} is whole")
    return None


def load_checkpoint(path, model, optimizer=None) -> dict:
    """Load one checkpoint folder into model and optimizer, in place.

    Raises ValueError, naming the file, when a byte is not as it was saved
    or when the weights are another model's.
    """
    path = Path(path)
    try:
        state = json.loads((path / "state.json").read_text())
        wrong = [name for name in FILES
                 if _sha256(path / name) != state["sha256"][name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from None
    if wrong:
        raise ValueError(f"{path / wrong[0]} is damaged: its checksum is "
                         "not the saved one")
    load_weights(path / FILES[0], model)
    if optimizer is not None:
        _restore(optimizer, model, load_file(path / FILES[1]))
    return state


def load_weights(path, model) -> None:
    """Load a .safetensors file of weights; ValueError if it does not fit."""
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} does not fit the model: {reason}") from None


def optimizer_tensors(model, optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as flat names, `exp_avg/transformer.wte...`."""
    names = {p: name for name, p in model.named_parameters()}
    return {f"{key}/{names[parameter]}": torch.as_tensor(value).contiguous()
            for parameter, values in optimizer.state.items()
            for key, value in values.items()}


def _restore(optimizer, model, tensors: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for flat, value in tensors.items():
        key, name = flat.split("/", 1)
        parameter = parameters[name]
        # AdamW keeps its step count on the CPU unless it is fused there
        device = parameter.device if value.dim() else value.device
        optimizer.state[parameter][key] = value.to(device)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
