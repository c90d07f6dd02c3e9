"""Arguments and files by chance, with fixed seeds: each command does what it
was asked or says in one line why not."""

import argparse
import contextlib
import copy
import io
import json
import random
import shutil

import pytest
import tiny

from course_lib.cli import main as cli
from course_lib.cli.arguments import field_value
from course_lib.presets import PRESETS
from course_lib.recipes import PARTS, RECIPES, Recipe
from course_lib.runs import open_run

NUMBERS = ["0", "-1", "1", "2", "7", "0.5", "1e-40", "1e6", "1e18", "1e300",
           "99999999999999999999", "-0", "nan", "inf", "-inf", "1e400", "",
           "x", "\u0663", "1_0", "0x10", " 3 ", "1" * 5000, "1.5", "20M"]
WORDS = ["", "x", "\x1b[31m\n\r", "\ud800", "a\nb", "--", "-", "/dev/null",
         "\u202e", "%s%n", "{}", "a" * 9000, "mlp=relu", "=", "norm=[]",
         "stories:0", "hub:", "2023", "modern", "smoke", "huge"]
OPTIONS = {
    "sample": {"-n": ["0", "1", "3", "-5", "x", "99999999999999999999"],
               "--tokens": ["0", "1", "5", "-1", "nan", "x"],
               "--prompt": WORDS, "--stream": None, "--int8": None,
               **{name: NUMBERS for name in (
                   "--temperature", "--top-k", "--top-p", "--min-p",
                   "--repetition-penalty", "--seed")}},
    "evaluate": {"--json": None, "--text": WORDS, "--what": WORDS},
    "train": {"--resume": None, "--micro-rows": NUMBERS, "--compile": NUMBERS,
              "--precision": WORDS, "--save-seconds": NUMBERS},
    "export": {"--to": WORDS[:4], "--license": WORDS, "--dry-run": None,
               "--private": None},
    "prepare": {"--preset": WORDS, "--recipe": WORDS, "--change": WORDS,
                "--schedule": WORDS, **{name: NUMBERS for name in (
                    "--vocab", "--context", "--layers", "--heads", "--width",
                    "--tokens", "--batch", "--learning-rate", "--seed")}},
}


@pytest.fixture(autouse=True, scope="module")
def quick():
    with tiny.quick_training():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tiny.make_run(tmp_path_factory.mktemp("trained"))
    run.train(progress=False, final_tokens=200)
    return run.folder


def course(arguments):
    """(code, stdout, stderr); nothing but SystemExit comes out of it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(arguments)
        except SystemExit as stop:  # argparse
            code = stop.code
    return code, out.getvalue(), err.getvalue()


def check(arguments):
    code, _, err = course(arguments)
    assert code in (0, 2), (arguments, code, err)
    if code:
        line = err.splitlines()[-1]
        assert line.startswith("course") and len(line) < 1200, (arguments, err)
        assert line.isprintable(), (arguments, line)
    return code


@pytest.mark.parametrize("verb, count", [
    ("sample", 400), ("evaluate", 60), ("train", 400), ("export", 60),
    ("prepare", 150)])
def test_arguments_by_chance(trained, tmp_path, monkeypatch, verb, count):
    monkeypatch.chdir(tmp_path)
    draw, codes = random.Random(verb), []
    for number in range(count):
        arguments = [verb]
        if verb == "prepare":
            arguments += [
                "--preset", "smoke", "--corpus", str(trained.parent / "text"),
                "--vocab", "300", "--context", "16", "--layers", "1",
                "--width", "16", "--tokens", "2560", "--batch", "64",
                "--out", str(tmp_path / str(number))]
        elif draw.random() < 0.9:
            arguments.append(str(trained))
        for name in draw.sample([*OPTIONS[verb]], draw.choice([1, 1, 2, 3])):
            arguments.append(name)
            if OPTIONS[verb][name] and draw.random() < 0.95:
                arguments.append(draw.choice(OPTIONS[verb][name]))
        codes.append(check(arguments))
    assert {0, 2} == {*codes}


def test_every_part_of_a_recipe_may_be_anything():
    """As --change reads it: a run by such a recipe, or one line."""
    fields = [*PARTS, *vars(RECIPES["gpt2"]), "no_such_part"]
    said = {True: 0, False: 0}
    for field in fields:
        for value in ("nan", "NaN", "1e400", "[]", "[1]", "{}", '{"a": 1}',
                      "null", "true", "-1", "0", "0.5", "1", "64", '"x"', "x",
                      "", "[" * 100_000, "9" * 400, "9" * 5000):
            try:
                name, read = field_value(f"{field}={value}")
                Recipe("by chance").but(**{name: read}).at(PRESETS["smoke"])
                said[True] += 1
            except (ValueError, argparse.ArgumentTypeError) as error:
                assert "\n" not in str(error)
                said[False] += 1
    assert min(said.values()) > 20, said


def test_what_is_no_command_by_chance():
    draw = random.Random(0)
    words = [*OPTIONS, *WORDS, *NUMBERS, "--help", "--out", "RUN", "-n"]
    for _ in range(1_500):
        arguments = draw.choices(words, k=draw.randint(0, 5))
        if not arguments or arguments[0] not in OPTIONS:
            check(arguments)


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"a":' * 100_000,
                                     "null", "[]", "\x00", "9" * 10_000])
@pytest.mark.parametrize("name", [
    "run.json", "val.json", "settings.json", "log.jsonl", "timing.jsonl",
    "sessions.json",
    "tokenizer.json", "checkpoints/*/state.json"])
def test_every_json_may_be_anything(trained, tmp_path, name, content):
    folder = shutil.copytree(trained, tmp_path / "run")
    for path in folder.glob(name):
        path.write_text(content)
    check(["evaluate", str(folder)])
    check(["train", str(folder), "--resume"])
    check(["export", str(folder), "--to", str(tmp_path / "hf")])


VALUES = [None, True, 0, -1, 1, 10**30, 0.5, float("nan"), float("inf"), "",
          "x", [], {}, [1], {"a": 1}, "\x1b[31m\n"]


@pytest.mark.parametrize("name, count", [
    ("run.json", 30), ("val.json", 8), ("settings.json", 8),
    ("log.jsonl", 8), ("timing.jsonl", 8), ("sessions.json", 8),
    ("checkpoints/*/state.json", 8)])
def test_values_in_json_by_chance(trained, tmp_path, name, count):
    folder = shutil.copytree(trained, tmp_path / "run")
    path = max(folder.glob(name))
    lines = path.read_text().splitlines() if name.endswith("l") \
        else [path.read_text()]
    draw = random.Random(name)
    known = [p for p in tiny.places(json.loads(lines[-1]), 2) if p]
    for number in range(count):
        value = json.loads(lines[-1])
        [*way, last] = known[number % len(known)]
        inside = value
        for key in way:
            inside = inside[key]
        if draw.random() < 0.2:
            del inside[last]
        else:
            inside[last] = copy.deepcopy(draw.choice(VALUES))
        path.write_text("\n".join([*lines[:-1], json.dumps(value)]) + "\n")
        check(["export", str(folder), "--to", str(tmp_path / f"hf{number}")])
        if number % 3 == 0:
            check(["evaluate", str(folder), "--json"])
        shutil.rmtree(tmp_path / f"hf{number}", ignore_errors=True)
    assert open_run(trained).finished
