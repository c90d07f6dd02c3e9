"""The house rules that a machine can check: arrows one way, no circle, short
functions, one training loop, and rooms that open only what is asked for."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "course_lib"
# From the ground up: a module imports from its own floor's room, or below.
FLOORS = [{"stories", "machine"}, {"model"}, {"text"},
          {"measuring", "sampling", "presets"}, {"recipes"}, {"training"},
          {"run_folder"}, {"runs"}, {"scaling", "sharing"}, {"stages"},
          {"exercises"}, {"showing", "cli"}]
FLOOR = {room: number for number, rooms in enumerate(FLOORS)
         for room in rooms}
FILES = sorted(p for p in PACKAGE.rglob("*.py")
               if p.name not in ("__init__.py", "__main__.py"))
each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The package's modules that a file imports, at its top or within."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (
                node.module or "").startswith("course_lib"):
            rest = node.module.split(".")[1:]
            found |= {".".join([*rest, *(
                [alias.name] if len(rest) < 2 and (
                    PACKAGE.joinpath(*rest, f"{alias.name}.py").is_file()
                    or PACKAGE.joinpath(*rest, alias.name).is_dir())
                else [])]) for alias in node.names}
    return found


def test_every_room_has_its_floor():
    assert {room(path) for path in FILES} == FLOOR.keys()


@each_file
def test_arrows_go_down(path):
    up = {name for name in imported(path)
          if name.split(".")[0] != room(path)
          and FLOOR[name.split(".")[0]] >= FLOOR[room(path)]}
    assert not up, f"{path.name} of {room(path)} imports {up}"


def test_no_circle_inside_a_room():
    arrows = {".".join(path.relative_to(PACKAGE).with_suffix("").parts):
              imported(path) for path in FILES}
    while free := [name for name, needs in arrows.items()
                   if not needs & arrows.keys()]:
        for name in free:
            del arrows[name]
    assert not arrows


@each_file
def test_a_module_is_one_concept_and_a_function_fits_on_a_screen(path):
    lines = path.read_text().count("\n")
    # the words of the stories are read line by line, like a table
    assert lines <= (600 if path.name == "words.py" else 350), lines
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 56, (node.name, length)


@each_file
def test_only_training_takes_a_training_step(path):
    if room(path) == "exercises":  # whose steps are the reader's
        return
    code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.S)
    if room(path) != "training":
        assert not re.search(r"train_step|\.backward\(|optimizer\.step", code)


def test_a_room_opens_only_what_is_asked_for():
    """`course --help`, the presets' names and a whole room cost no torch."""
    done = subprocess.run([sys.executable, "-c", """
import sys
import course_lib.model, course_lib.training, course_lib.text
import course_lib.sharing, course_lib.scaling, course_lib.sampling
import course_lib.cli.main, course_lib.exercises
assert "torch" not in sys.modules, "torch"
from course_lib.model import GPTConfig
assert "torch" not in sys.modules, "torch"
from course_lib.model import GPT
assert "torch" in sys.modules
assert "datasets" not in sys.modules
"""], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(
    path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_all_that_a_room_offers_is_there(name):
    module = __import__(f"course_lib.{name}", fromlist=["x"])
    for offered in getattr(module, "__all__", []):
        assert getattr(module, offered) is not None


def test_the_names_of_the_design():
    """Notebooks and readers' own code rely on these."""
    from course_lib.machine import GPUS
    from course_lib.measuring import evaluate
    from course_lib.model import (
        GPT,
        GPTConfig,
        count_parameters,
        flops_per_token,
    )
    from course_lib.sampling import generate, quantize_int8
    from course_lib.scaling import ScalingLaw, bootstrap, fit
    from course_lib.sharing import from_hf, load_hf, save_hf
    from course_lib.text import (
        Tokens,
        load_corpus,
        load_tokenizer,
        pack,
        train_tokenizer,
    )
    from course_lib.training import (
        learning_rate,
        make_optimizer,
        train,
        train_step,
    )
    offered = [evaluate, GPT, GPTConfig, count_parameters, flops_per_token,
               generate, quantize_int8, ScalingLaw, bootstrap, fit, from_hf,
               load_hf, save_hf, Tokens, load_corpus, load_tokenizer, pack,
               train_tokenizer, learning_rate, make_optimizer, train,
               train_step]
    assert all(map(callable, offered)) and GPUS["H100"]
