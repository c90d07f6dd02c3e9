"""What a recorded result says of where it comes from."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from course_lib.machine.origin import provenance


@pytest.fixture
def project(repo, tmp_path):
    """A repository of the package and one recorded result."""
    shutil.copytree(repo / "course_lib", tmp_path / "course_lib",
                    ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "book" / "results").mkdir(parents=True)
    (tmp_path / "book" / "results" / "one.json").write_text("{}")
    return tmp_path


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org",
         *arguments], cwd=folder, check=True, capture_output=True,
        text=True).stdout.strip()


def commit_of(project):
    """The commit that the package in that folder names."""
    said = subprocess.run(
        [sys.executable, "-c", "import json; from course_lib.machine import "
         "provenance; print(json.dumps(provenance('cpu')))"], cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)}, check=True,
        capture_output=True, text=True).stdout
    return json.loads(said)["commit"]


def test_the_commit_is_dirty_when_code_is_and_not_when_a_result_is(project):
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "all")
    commit = git(project, "rev-parse", "--short", "HEAD")
    (project / "book" / "results" / "one.json").write_text('{"more": 1}')
    assert commit_of(project) == commit
    with (project / "course_lib" / "runs.py").open("a") as file:
        file.write("# changed\n")
    assert commit_of(project) == f"{commit}-dirty"


@pytest.mark.parametrize("typed, noted", [
    (["benchmarks/one.py", "--x", "a b"],
     "python benchmarks/one.py --x 'a b'"),
    (["benchmarks/ladder.py", "laptop"], "python benchmarks/ladder.py laptop"),
    (["course_lib/__main__.py", "train"], "python -m course_lib train"),
    (["benchmarks/one.py", "/elsewhere/nanoGPT", "{beside}/books"],
     "python benchmarks/one.py nanoGPT ../books"),
    (["/usr/bin/course", "doctor"], "course doctor")])
def test_the_command_can_be_typed_again(repo, monkeypatch, typed, noted):
    script, *words = typed
    monkeypatch.setattr(sys, "argv", [str(repo / script), *(
        word.format(beside=repo.parent) for word in words)])
    assert provenance("cpu")["command"] == noted


def test_without_a_repository_the_commit_is_unknown(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    assert commit_of(project) == "unknown"
