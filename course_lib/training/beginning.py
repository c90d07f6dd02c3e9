"""Weights to begin with that were trained before: fine-tuning (chapter 5).

They are copied into the run folder, so that a run that was killed before its
first checkpoint begins with them again, wherever they came from.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from course_lib.machine.files import write_tensors
from course_lib.machine.lines import quoted
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.training.checkpoint import Damaged, load_weights

FILE = "beginning.safetensors"
FREE = ("dropout", "first_weights")  # weights that are there fit either way


def copied(source: GPT, config: GPTConfig, name: str, folder) -> GPT:
    """A GPT of this configuration with the weights of `source`, in float32.
    Raises ValueError that names each field in which they differ, and what to
    type; `name` and `folder` say whose weights they are, and for which run.
    """
    theirs, ours = _shape(source.config), _shape(config)
    differ = [field for field in ours if theirs[field] != ours[field]]
    if differ:
        said = ", ".join(f"{field} is {_json(theirs[field])} there and "
                         f"{_json(ours[field])} here" for field in differ)
        changes = [f"{field}={_json(theirs[field])}" for field in differ
                   if field != "vocab_size"]
        raise ValueError(
            f"the weights of {name} do not fit {folder}: {said}; prepare a "
            f"run with --tokenizer {quoted(name)}"
            + (f" --change {' '.join(changes)}" if changes else ""))
    model = GPT(config)
    model.load_state_dict(source.state_dict())
    return model


def _shape(config: GPTConfig) -> dict:
    fields = asdict(config) | dict(n_inner=config.inner_width)
    return {name: fields[name] for name in fields if name not in FREE}


def _json(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def digest(model: GPT) -> str:
    """Identifies the weights (sha256 of their names and bytes)."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.cpu().contiguous().numpy())
    return found.hexdigest()


def write(model: GPT, folder: Path) -> None:
    """Keep the weights in a run folder."""
    partial = folder / f"{FILE}.partial"
    write_tensors(model.state_dict(), partial)
    os.replace(partial, folder / FILE)


def read(folder: Path, model: GPT, sha256: str) -> GPT:
    """The weights that were kept, in `model`. Raises Damaged where they are
    not those that the run was to begin with."""
    path = folder / FILE
    if not path.is_file():
        raise Damaged(f"{path} is gone, with which the run begins: add --from"
                      " and the folder that the weights came from")
    load_weights(path, model)
    if digest(model) != sha256:
        raise Damaged(f"{path} is damaged: its checksum is not the saved one;"
                      " add --from and the folder that the weights came from")
    return model
