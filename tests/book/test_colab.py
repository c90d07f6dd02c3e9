"""What a chapter needs on a machine that has nothing but Python."""

import os
import subprocess
import sys
import sysconfig

import colab
import jupytext
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

URL = "https://example.org/owner/name"


def a_notebook():
    return new_notebook(cells=[new_code_cell("1 + 1")])


def test_the_cell_comes_with_the_address_and_goes_with_it():
    notebook = colab.with_first_cell(a_notebook(), URL)
    again = colab.with_first_cell(notebook, URL)
    assert [URL in cell.source for cell in again.cells] == [True, False]
    without = colab.with_first_cell(again, "")
    assert [cell.source for cell in without.cells] == ["1 + 1"]


def test_the_cell_survives_the_pair():
    notebook = colab.with_first_cell(a_notebook(), URL)
    script = jupytext.writes(notebook, fmt="py:percent")
    back = jupytext.reads(script, fmt="py:percent")
    assert [c.source for c in back.cells] == [c.source
                                              for c in notebook.cells]
    assert back.cells[0].metadata["tags"] == colab.TAGS


def test_chapters_have_the_cell_of_the_address_in_the_configuration(repo):
    for script in sorted(repo.glob("notebooks/[0-9n]*.py")):
        notebook = jupytext.read(script)
        cells = [cell.source for cell in notebook.cells]
        wanted = colab.with_first_cell(notebook, *colab.repository()).cells
        assert cells == [cell.source for cell in wanted], "run `make pairs`"


def test_the_address_stands_in_one_place(repo):
    config = yaml.safe_load((repo / "_config.yml").read_text())["repository"]
    assert colab.repository() == (config["url"], config["branch"])


def test_an_address_must_be_one_that_colab_can_open():
    for good in "", "https://github.com/owner/name-of.it":
        assert colab.checked(good) == good
    for bad in (URL, "https://github.com/owner", "git@github.com:owner/name",
                "https://github.com/owner/name.git",
                "https://github.com/owner/name/"):
        with pytest.raises(ValueError, match="OWNER/NAME"):
            colab.checked(bad)


@pytest.mark.slow
def test_the_cell_fetches_and_installs(repo, tmp_path):
    """In a Python without course_lib, from a clone of this repository; what
    the package depends on is taken from here, so that no network is needed."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare],
                   check=True)
    origin = tmp_path / "origin"  # with a branch, wherever this clone stands
    subprocess.run(["git", "clone", "-q", repo, origin], check=True)
    subprocess.run(["git", "checkout", "-q", "-B", "published"], cwd=origin,
                   check=True)
    cell = colab.CELL.format(address=origin.as_uri(), branch="published")
    check = """
import course_lib
from course_lib.showing.page import load_result
print(course_lib.__file__)
print(load_result("timings.json")["scale"])
"""
    environment = os.environ | {
        "PYTHONPATH": sysconfig.get_path("purelib"), "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "1", "PIP_IGNORE_INSTALLED": "1"}
    for session in ("the first", "one that was restarted"):
        done = subprocess.run(
            [bare / "bin" / "python", "-c",
             f"import sys; sys.path[0:1] = ['']\n{cell}\n{check}"],
            cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{session}: {done.stderr}"
        first, second = done.stdout.splitlines()[-2:]
        assert str(tmp_path / "course" / "course_lib") in first
        assert second == "laptop"
    assert list(bare.glob("lib/*/site-packages/course_lib/model/gpt.py"))
    assert list(bare.glob(
        "lib/*/site-packages/course_lib/sharing/browser/gpt.js"))
