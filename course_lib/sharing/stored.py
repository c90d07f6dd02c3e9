"""What a Hugging Face folder holds, looked at before it is believed.

A folder may come from anywhere. Only the configuration and the headers of
the weights are read here, and each thing that is not as it should be is one
line: a ValueError, or a FileNotFoundError for a file that is not there.
"""

import re
import reprlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from course_lib.machine.files import read_object, whole_number
from course_lib.machine.lines import one_line

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# The number formats a GPT here can have, as the files spell them.
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
          "BF16": torch.bfloat16}


class Stored(NamedTuple):
    """A tensor of which only the header was read. `dtype` is None where the
    number format is none of DTYPES."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None
    read: Callable[[], torch.Tensor]


def stored_weights(folder: Path) -> dict[str, Stored]:
    """Every tensor by name, of model.safetensors or of the several files
    that its index names."""
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        if not (folder / WEIGHTS).is_file():
            _say_what_is_there(folder)
        return _headers(folder / WEIGHTS)
    files = read_object(folder / INDEX).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise ValueError(f"{folder / INDEX} has no weight_map that says in "
                         "which file a tensor stands")
    found = {}
    for file in dict.fromkeys(map(_plain_name, files.values())):
        headers = _headers(folder / file)
        for name in headers:
            if files.get(name) != file:
                raise ValueError(f"{folder / file} holds {name}, which "
                                 f"{INDEX} does not say")
        found |= headers
    if missing := files.keys() - found.keys():
        name = min(missing)
        raise ValueError(f"{folder / files[name]} has no {name}, which "
                         f"{INDEX} says it holds")
    return found


def _say_what_is_there(folder: Path) -> None:
    """Raise FileNotFoundError for weights that are there in another form."""
    parts = [*folder.glob("*-of-*.safetensors")]
    if parts:
        raise FileNotFoundError(f"no {INDEX} in {folder}, which says what "
                                f"its {len(parts)} .safetensors files hold")
    if any(folder.glob("pytorch_model*.bin")):
        raise FileNotFoundError(
            f"no {WEIGHTS} in {folder}, only pickles, which could run code "
            "and are not read: load them with transformers and save them "
            "again")


def in_memory(state: dict[str, torch.Tensor]) -> dict[str, Stored]:
    """The same of tensors that are loaded already."""
    return {name: Stored(
        tuple(value.shape),
        value.dtype if value.dtype in DTYPES.values() else None,
        value.detach) for name, value in state.items()}


def _plain_name(file) -> str:
    """The name of a file in the folder; nothing may lead out of it."""
    if not isinstance(file, str) \
            or not re.fullmatch(r"[\w.-]+\.safetensors", file):
        raise ValueError(f"{INDEX} must name .safetensors files of its own "
                         f"folder, not {reprlib.repr(file)}")
    return file


def _headers(path: Path) -> dict[str, Stored]:
    """Every tensor of one file."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}: give a "
                                "folder that holds a GPT-2 or a Qwen3 in "
                                "Hugging Face's format")
    found = {}
    try:
        file = safe_open(path, "pt")
        for name in file.keys():
            part = file.get_slice(name)
            found[name] = Stored(tuple(part.get_shape()),
                                 DTYPES.get(part.get_dtype()),
                                 partial(file.get_tensor, name))
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({one_line(error)})") from None
    return found


def require_sizes(fields: dict, names: Iterable[str], whose: str) -> None:
    """Refuse a configuration without these whole numbers."""
    missing = set(names) - fields.keys()
    if missing:
        raise ValueError(f"this is not {whose}'s configuration: it has no "
                         f"{', '.join(sorted(missing))}")
    for name in names:
        whole_number(fields, name, 1)


def require(fields: dict, wanted: dict, whose: str) -> None:
    """Refuse a configuration that says anything else than `wanted`. What it
    leaves out has that value in `transformers`."""
    for name, value in wanted.items():
        if fields.get(name, value) != value:
            raise ValueError(
                f"this is not {whose}'s architecture: {name} is "
                f"{reprlib.repr(fields[name])}, and only {value!r} is known")
