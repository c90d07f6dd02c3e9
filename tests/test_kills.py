"""Killed at every file operation, one after the other, and done again: the
same bytes, and nothing left over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# An audit hook hears of every file that Python opens, renames, removes or
# makes, before it happens.
SCRIPT = """
import json, os, shutil, signal, sys, traceback
from dataclasses import replace
from pathlib import Path
import tiny
import torch._dynamo  # an optimizer does; here once, and not in each child
from course_lib.runs import open_run, prepare
from course_lib.text.corpus import load_corpus
from course_lib.training import trainer

OPERATIONS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir",
              "os.chmod", "os.truncate", "shutil.rmtree", "os.link"}
trainer.matmul_peak = lambda *of: 1e12
root, verb, stride = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
corpus = load_corpus(tiny.write_text(root / "text", files=3))
preset = replace(tiny.PRESET, tokens=3 * 64)


def act(verb, folder):
    if verb == "prepare":
        prepare(folder, preset, corpus)
    else:
        open_run(folder).train(progress=False, save_seconds=0,
                               curve_tokens=16)


def attempt(folder, at=0, verb=verb):
    \"\"\"How it ended: killed before its operation `at`, or with a code. All
    work is done by children: a pool of threads does not survive a fork.\"\"\"
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    count = 0

    def hook(event, about):
        nonlocal count
        if event in OPERATIONS and str(about[0]).startswith(str(folder)):
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(hook)
        act(verb, folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def made(folder):
    found = tiny.contents(folder)
    return {name: value for name, value in found.items()
            if verb == "prepare" or not name.endswith(
                ("timing.jsonl", "state.json", "sessions.json"))}


def fresh(name):
    folder = root / name
    return shutil.copytree(root / "start", folder) if verb == "train" \\
        else folder


if verb == "train":
    assert attempt(root / "start", verb="prepare") == 0
whole = fresh("whole")
assert attempt(whole) == 0
at, wrong = 1, []
while True:
    folder = fresh(str(at))
    status = attempt(folder, at)
    if not os.WIFSIGNALED(status):
        break
    if attempt(folder) or made(folder) != made(whole):
        wrong.append([at, sorted(set(made(folder).items())
                                 ^ set(made(whole).items()))])
    shutil.rmtree(folder)
    at += stride
print(json.dumps([at - 1, status, wrong]))
"""


@pytest.mark.parametrize("verb, least, stride", [("prepare", 25, 1),
                                                 ("train", 40, 7)])
def test_killed_at_every_file_operation(tmp_path, verb, least, stride):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path, verb, str(stride)],
        capture_output=True, text=True, timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH":
                          f"{Path(__file__).parent}{os.pathsep}"
                          + os.environ.get("PYTHONPATH", "")})
    assert done.returncode == 0, done.stderr
    operations, status, wrong = json.loads(done.stdout.splitlines()[-1])
    assert (status, wrong) == (0, []), done.stderr
    assert operations >= least
