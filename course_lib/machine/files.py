"""Files that are seen whole or not at all."""

import json
import os
from pathlib import Path


def write_json(path, value) -> None:
    """Write JSON so that a reader sees the old file or the new one."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_json(path, names) -> dict:
    """These fields of a JSON file; nothing when one cannot be read."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: value[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
