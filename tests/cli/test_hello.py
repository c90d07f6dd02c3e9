"""`make hello`, the first command of the README."""

import subprocess
import sys

import pytest
import tiny

from course_lib.sharing import export_run


def hello(repo, model):
    """`make hello` in this environment, which is not installed again."""
    return subprocess.run(
        ["make", "--no-print-directory", "hello", f"VENV={sys.prefix}",
         f"MODEL={model}",
         "-o", f"{sys.prefix}/.installed"], cwd=repo, text=True,
        capture_output=True, timeout=300)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with tiny.quick_training():
        made = tiny.make_run(tmp_path_factory.mktemp("run"))
        made.train(progress=False)
    return made


def test_the_model_speaks(repo, run, tmp_path):
    export_run(run, tmp_path / "hf", number_format="bfloat16")
    done = hello(repo, tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("life is about")
    assert len(done.stdout) > 200 and not done.stderr


def test_before_it_is_there_one_line_says_so(repo, tmp_path):
    done = hello(repo, tmp_path / "none")
    assert done.returncode == 2 and not done.stdout
    [line] = done.stderr.splitlines()
    assert f"no model in {tmp_path / 'none'}: the one of the book" in line
