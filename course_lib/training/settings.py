"""What a run found out once and decides its bits: the number format, and how
many rows go through the model at once (chapter 4)."""

import json
from pathlib import Path

from course_lib.machine.device import PRECISIONS
from course_lib.machine.files import write_json

FILE = "settings.json"


def read_settings(folder: Path) -> dict:
    """`number_format` and `micro_rows`; nothing where none are stored, or
    what is stored makes no sense."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        rows, number_format = found["micro_rows"], found["number_format"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if type(rows) is not int or rows < 1 or number_format not in PRECISIONS:
        return {}
    return dict(number_format=number_format, micro_rows=rows)


def write_settings(folder: Path, settings: dict) -> None:
    """Keep them for the next time."""
    write_json(folder / FILE, settings)
