"""The files around the package agree with each other and with the rules."""

import contextlib
import json
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import pytest
import yaml
from jupytext.config import load_jupytext_config
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course_lib.showing import plots

REPO = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPO / "notebooks").glob("[0-9n]*.ipynb"))
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]

each_notebook = pytest.mark.parametrize(
    "notebook", NOTEBOOKS, ids=lambda path: path.stem)


def declared() -> list[Requirement]:
    """Every requirement that pyproject.toml states, extras included."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(r)
            for r in sum(extras, list(PROJECT["dependencies"]))]


def pins() -> dict[str, str]:
    """Name to version, as constraints.txt pins them."""
    lines = (REPO / "constraints.txt").read_text().splitlines()
    return {plain(line.split("==")[0]): line.split("==")[1]
            for line in lines if line and not line.startswith("#")}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def code_cells(notebook: Path) -> list[dict]:
    cells = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_every_requirement_has_a_pin_within_its_bounds():
    pinned = pins()
    wrong = {r.name: pinned.get(plain(r.name)) for r in declared()
             if not r.specifier.contains(pinned.get(plain(r.name), "0"))}
    assert not wrong


def test_conda_installs_the_package_and_nothing_twice():
    spec = yaml.safe_load((REPO / "environment.yml").read_text())
    conda = [d for d in spec["dependencies"] if isinstance(d, str)]
    [pip] = [d["pip"] for d in spec["dependencies"] if isinstance(d, dict)]
    extras = ",".join(PROJECT["optional-dependencies"])
    assert pip == ["-c constraints.txt", f"-e .[{extras}]"]
    assert [re.split("[=<>]", d)[0] for d in conda] == ["python", "pip"]
    python = conda[0].split("=")[-1]
    assert python in SpecifierSet(PROJECT["requires-python"])


def test_the_makefile_installs_every_extra():
    extras = ",".join(PROJECT["optional-dependencies"])
    assert f"-e '.[{extras}]'" in (REPO / "Makefile").read_text()


def tracked() -> dict[str, str]:
    """The text of every tracked file that is text."""
    names = subprocess.run(["git", "ls-files"], cwd=REPO, check=True,
                           capture_output=True, text=True).stdout.split()
    found = {}
    for name in names:
        with contextlib.suppress(UnicodeDecodeError):
            found[name] = (REPO / name).read_text(encoding="utf-8")
    return found


def test_no_file_names_a_package_index_or_a_folder_of_one_machine():
    # put together here, so that this file does not name them
    words = ["index" + "-url", "find" + "-links", "pypi" + ".org",
             "registry" + ".npmjs", "/work" + "/", "/root" + "/"]
    named = [(name, word) for name, text in tracked().items()
             for word in words if word in text]
    assert named == []
    for name in ("pyproject.toml", "constraints.txt", "environment.yml",
                 "Makefile", ".ci/run"):
        assert "://" not in (REPO / name).read_text(), name


def test_contributing_lists_every_verb():
    makefile = (REPO / "Makefile").read_text()
    verbs = re.findall(r"^([a-z]+):.*##", makefile, re.M)
    page = (REPO / "CONTRIBUTING.md").read_text()
    assert [v for v in verbs if f"make {v}" not in page] == []


def test_the_book_contains_every_chapter():
    toc = (REPO / "_toc.yml").read_text()
    assert NOTEBOOKS, "no chapters in notebooks/"
    assert [n.stem for n in NOTEBOOKS
            if f"file: notebooks/{n.stem}\n" not in toc] == []


@each_notebook
def test_pair_is_in_sync(notebook):
    made = jupytext.writes(jupytext.read(notebook), fmt="py:percent",
                           config=load_jupytext_config(str(notebook)))
    script = notebook.with_suffix(".py")
    assert script.exists(), f"{notebook.name} has no paired script"
    assert made == script.read_text(), (
        "`make pairs` brings the notebook up to date with its script")


def test_no_script_without_its_notebook():
    scripts = (REPO / "notebooks").glob("[0-9n]*.py")
    assert [s.name for s in scripts
            if not s.with_suffix(".ipynb").exists()] == []


@each_notebook
def test_committed_without_outputs(notebook):
    for cell in code_cells(notebook):
        assert not cell["outputs"], "".join(cell["source"])[:80]
        assert cell["execution_count"] is None


@each_notebook
def test_runs_in_the_kernel_of_the_environment(notebook):
    metadata = json.loads(notebook.read_text())["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"


@each_notebook
def test_cells_are_short_and_narrow(notebook):
    cells = ["".join(c["source"]).splitlines() for c in code_cells(notebook)]
    sizes = [sum(bool(line.strip()) for line in cell) for cell in cells]
    assert statistics.median(sizes) <= 8
    assert max(sizes) <= 40
    assert [line for cell in cells for line in cell if len(line) > 72] == []


def test_ruff_finds_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=concise"],
        cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_colour_of_the_palette_stands_out_from_white():
    def luminance(colour):
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                  for c in parts]
        return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear))

    contrast = {colour: 1.05 / (luminance(colour) + 0.05)
                for colour in plots.PALETTE}
    assert min(contrast.values()) >= 3, contrast
    assert len(set(map(str, plots.STYLES))) == len(plots.PALETTE)
