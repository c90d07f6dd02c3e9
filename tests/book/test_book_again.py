"""The book, built twice in a row, while and after tests run: apart from
test_book.py, so that another worker can do it."""

import shutil
import subprocess

import pytest
from book_builder import REPO, build_book

pytestmark = pytest.mark.book


def git_status() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=REPO,
                          capture_output=True, text=True).stdout


def test_builds_twice_and_leaves_no_trace():
    out = REPO / "_build" / "again"
    shutil.rmtree(out, ignore_errors=True)
    before = git_status()
    for options in ([], ["--builder", "html"]):
        again = build_book(out, *options)
        assert again.returncode == 0, again.stdout[-6000:]
    assert "Executing notebook" not in again.stdout
    assert git_status() == before
