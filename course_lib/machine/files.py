"""Files that are seen whole or not at all, and what they must hold."""

import json
import math
import os
import reprlib
from pathlib import Path

from course_lib.machine.lines import one_line


def to_json(value, **layout) -> str:
    """JSON as the standard has it: what is no number, or infinite, is null.
    """
    return json.dumps(_plain(value), allow_nan=False, **layout)


def _plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def write_json(path, value) -> None:
    """Write JSON so that a reader sees the old file or the new one."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(to_json(value, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_tensors(tensors: dict, path, metadata=None) -> None:
    """Write a .safetensors file that others may read where the umask says so.
    """
    from safetensors.torch import save_file  # with torch, not for all
    path = Path(path)
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata)  # it makes files for the owner alone
    path.chmod(mode)


def read_object(path) -> dict:
    """The JSON object in a file. Raises ValueError, naming the file, for
    anything else, and OSError where it cannot be read."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8, or no JSON
        raise ValueError(f"{path} is damaged ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, not "
                         f"{reprlib.repr(value)}")
    return value


def read_json(path, names) -> dict:
    """These fields of a JSON file; nothing when one cannot be read."""
    try:
        value = read_object(path)
        return {name: value[name] for name in names}
    except (OSError, ValueError, KeyError):
        return {}


def whole_number(record: dict, name: str, least: int = 0) -> int:
    """A count in a record. Raises ValueError for anything else."""
    value = record.get(name)
    if type(value) is not int or value < least:  # True is an int too
        raise ValueError(f"{name} must be a whole number of {least} or more, "
                         f"not {reprlib.repr(value)}")
    return value


def real_number(name: str, value) -> None:
    """Raise ValueError for what is neither a whole number nor a float, or is
    too large to become one."""
    if type(value) not in (int, float) or (
            type(value) is int and abs(value) > 2**1000):
        raise ValueError(f"{name} must be a number, not {reprlib.repr(value)}")
