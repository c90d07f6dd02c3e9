"""A reader's file, checked here or in a child process."""

import sys
from pathlib import Path

import pytest

from course_lib.exercises import process, worker
from course_lib.exercises.file import ReadersFile

sys.path[:0] = [str(Path(__file__).parent)]


@pytest.fixture
def here(monkeypatch):
    """Check in this process, as the child does it: a test of many files
    need not start Python for each."""
    def child(path, names, seconds):
        file = ReadersFile(path)
        for name in names:
            yield worker.one(file, name, seconds)
    monkeypatch.setattr(process, "_child", child)


