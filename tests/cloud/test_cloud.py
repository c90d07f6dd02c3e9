"""The task file for rented GPUs says only what the package understands."""

import importlib.util
import os
import re
import shlex
import subprocess
from pathlib import Path
from string import Template

import pytest
import yaml

from course_lib.cli import arguments
from course_lib.cli import main as cli
from course_lib.training import checkpoint

FILE = Path(__file__).resolve().parents[2] / "cloud" / "train.sky.yaml"
BUCKET = "a-bucket"
PREPARED = ("run.json", "tokenizer.json", "train.bin", "train.json",
            "val.bin", "val.json")
CHECKPOINT = (*checkpoint.FILES, "state.json")

both_scripts = pytest.mark.parametrize("script", ["setup", "run"])


def task() -> dict:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def names(script: str) -> set[str]:
    """The variables that a script reads and does not set itself."""
    read = set(re.findall(r"\$\{?([A-Za-z_]\w*)", script))
    return read - set(re.findall(r"(?:^|for +)\s*(\w+)(?:=|;)", script, re.M)
                      ) - {"HOME", "PATH", "file", "step"}


def commands(script: str) -> list[list[str]]:
    """The arguments of every call of the package, with samples for
    variables."""
    values = dict.fromkeys(re.findall(r"\$\{?(\w+)", script), "runs/x")
    values |= {key: value or BUCKET for key, value in task()["envs"].items()}
    text = Template(script.replace("\\\n", " ")).safe_substitute(values)
    found = []
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        parts = [[]]
        for word in words:
            if set(word) <= set(";|&"):
                parts.append([])
            else:
                parts[-1].append(word)
        for part in parts:
            if part[:1] == ["course"]:
                found.append(part[1:])
            elif "course_lib" in part:
                found.append(part[part.index("course_lib") + 1:])
    return found


def test_every_command_is_one_of_the_packages():
    grammar = arguments.parser(cli.doctor, cli.plan, cli.prepare, cli.train,
                               cli.evaluate, cli.sample, cli.export)
    asked = [grammar.parse_args(words) for script in ("setup", "run")
             for words in commands(task()[script])]
    assert [options.command for options in asked] == [
        "prepare", "train", "evaluate", "sample", "export"]
    prepare, train, *_ = asked
    assert (prepare.corpus, prepare.preset) == (["bookcorpus"], "full")
    assert train.resume


@both_scripts
def test_bash_reads_the_script(script):
    done = subprocess.run(["bash", "-n"], input=task()[script], text=True,
                          capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_variable_is_declared_and_used():
    wanted = {name for script in ("setup", "run")
              for name in names(task()[script])}
    wanted |= names(str(task()["file_mounts"]))
    given = {name for name in wanted if name.startswith("SKYPILOT_")}
    assert given == {"SKYPILOT_NUM_GPUS_PER_NODE"}
    assert wanted - given == set(task()["envs"])


def test_skypilot_takes_the_file():
    """A bucket must be named, and one that is mounted with a cache: the
    others cannot append to a log."""
    asked = task()
    assert asked.keys() <= {"name", "workdir", "envs", "resources",
                            "file_mounts", "setup", "run"}
    assert asked["resources"].keys() <= {"accelerators", "use_spot",
                                         "disk_size", "job_recovery"}
    assert asked["file_mounts"] == {"/course": {
        "name": "${COURSE_BUCKET}", "mode": "MOUNT_CACHED"}}
    assert [name for name, value in asked["envs"].items()
            if value is None] == ["COURSE_BUCKET"]
    if importlib.util.find_spec("sky"):
        import sky
        with pytest.raises(ValueError, match="COURSE_BUCKET"):
            sky.Task.from_yaml_config(task())
        made = sky.Task.from_yaml_config(
            asked, env_overrides=[("COURSE_BUCKET", BUCKET)])
        assert made.storage_mounts["/course"].name == BUCKET
        assert made.storage_mounts["/course"].mode.value == "MOUNT_CACHED"
        [machine] = made.resources
        assert machine.accelerators == {"A100": 1} and machine.use_spot


@pytest.fixture
def rented(tmp_path):
    """A machine that keeps a list of what it is told; `run()` runs the
    script on it and returns the list."""
    work, bucket = tmp_path / "work", tmp_path / "bucket"
    (work / ".venv" / "bin").mkdir(parents=True)
    (work / ".venv" / "bin" / "activate").touch()
    said = tmp_path / "said"
    for name in ("course", "torchrun"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(
            f'#!/bin/bash\necho {name} "$@" >> "{said}"\n'
            f'cd "{bucket}/full" || mkdir -p "{bucket}/full" && cd $_\n'
            'case "$1" in\n'
            f'prepare) for name in {" ".join(PREPARED)}; do\n'
            '  echo x > $name; done;;\n'
            '-*) touch log.jsonl timing.jsonl sessions.json;;\n'
            f'export) mkdir "{work}/gpt-50";;\n'
            'esac\n')
        command.chmod(0o755)

    def run():
        said.write_text("")
        script = task()["run"].replace("/course/", f"{bucket}/")
        done = subprocess.run(
            ["bash", "-c", script], cwd=work, capture_output=True, text=True,
            env=dict(os.environ, RUN_NAME="full", PRESET="full",
                     CORPUS="bookcorpus", SKYPILOT_NUM_GPUS_PER_NODE="2",
                     PATH=f"{tmp_path}/bin:{os.environ['PATH']}"))
        assert done.returncode == 0, done.stderr
        return said.read_text().replace(str(bucket), "").splitlines()

    run.folder = bucket / "full"
    return run


def test_the_next_machine_goes_on_where_the_last_one_stopped(rented):
    first = rented()
    assert [line.split()[1] for line in first] == [
        "prepare", "--nproc-per-node=2", "evaluate", "sample", "export"]
    for step, files in (("step-00000001", CHECKPOINT),
                        ("step-00000002", CHECKPOINT[:2])):
        folder = rented.folder / "checkpoints" / step
        folder.mkdir(parents=True)
        for name in files:
            (folder / name).write_text("x")
    again = rented()
    assert again == first[1:]
    assert again[0].endswith("-m course_lib train /full --resume")
    left = checkpoint.checkpoints(rented.folder / "checkpoints")
    assert [path.name for path in left] == ["step-00000001"]
    results = rented.folder.with_name("full-results")
    assert {path.name for path in results.iterdir()} == {
        "evaluation.json", "sample.txt", "gpt-50", "run.json", "log.jsonl",
        "sessions.json", "timing.jsonl"}


@pytest.mark.parametrize("lost", PREPARED)
def test_text_that_was_not_uploaded_is_prepared_again(rented, lost):
    first = rented()
    (rented.folder / lost).unlink()
    assert rented() == first
