"""Two processes that talk over gloo do what one does alone."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import tiny
import torch
from safetensors.torch import load_file

from course_lib.recipes import find_recipe
from course_lib.runs import open_run
from course_lib.training.log import read_log

# In float64, so that only the order of sums can differ.
TRAINER = """
import sys
import torch
from course_lib.training import trainer as train
from course_lib.runs import open_run

torch.set_default_dtype(torch.float64)
train.matmul_peak = lambda *of: 1e12
stop_at = int(sys.argv[2]) or None
open_run(sys.argv[1]).train(progress=False, stop_at=stop_at)
"""
PRESET = replace(tiny.PRESET, tokens=24 * 64,
                 model=replace(tiny.PRESET.model, dropout=0.0))


@pytest.fixture(scope="module", params=["gpt2", "modern"])
def prepared(request, tmp_path_factory):
    """By AdamW, and by Muon beside it."""
    return tiny.make_run(tmp_path_factory.mktemp("tiny"),
                         find_recipe(request.param).at(PRESET)).folder


def train(folder, processes: int, stop_at: int = 0):
    """A run in so many processes, from a shell as a user would."""
    script = folder.parent / "trainer.py"
    script.write_text(TRAINER)
    launch = ([] if processes == 1 else
              ["-m", "torch.distributed.run", "--standalone",
               f"--nproc-per-node={processes}"])
    done = subprocess.run(
        [sys.executable, *launch, str(script), str(folder), str(stop_at)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
        capture_output=True)
    return done


def weights(folder):
    newest = max((folder / "checkpoints").glob("step-*"))
    return load_file(newest / "model.safetensors")


@pytest.fixture(scope="module")
def alone(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(prepared, folder)
    assert train(folder, 1).returncode == 0
    return folder


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(prepared, alone, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "run")
    done = train(folder, 2, stop_at=11)
    assert done.returncode == 0, done.stderr[-2000:]
    done = train(folder, 2)  # and goes on from the checkpoint
    assert done.returncode == 0, done.stderr[-2000:]
    ours, theirs = (read_log(path / "log.jsonl") for path in (folder, alone))
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-9)
    two, one = weights(folder), weights(alone)
    for name in one:
        assert two[name].dtype == torch.float64
        torch.testing.assert_close(two[name], one[name], rtol=1e-8,
                                   atol=1e-10)
    assert open_run(folder).finished


@pytest.mark.slow
def test_rows_that_do_not_divide_are_refused(prepared, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "run")
    done = train(folder, 3)
    assert done.returncode != 0
    assert "4 rows a step do not divide among 3 processes" in done.stderr
    assert not open_run(folder).started
