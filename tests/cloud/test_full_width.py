"""The full run at the full model's width, on real prose, by its own script.

A few steps only: an hour on a rented GPU is not the time to find a typing
error. The vocabulary is what one small book can fill; the rest is `full`.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cloud import commands, task

from course_lib.cli import arguments
from course_lib.cli import main as cli
from course_lib.presets import load_preset
from course_lib.runs import open_run
from course_lib.training.log import read_log

REPO = Path(__file__).resolve().parents[2]
SCRIPT = REPO / "cloud" / "dry_run.sh"
BOOKS = REPO.parent / "shared/corpus/sample"
STEPS, BATCH, V, TEXT = 4, 512, 2048, 120_000


@pytest.mark.slow
def test_the_full_run_in_small(tmp_path):
    """Prepared, stopped in its first step, taken up by torchrun, evaluated,
    sampled, exported and recorded."""
    books = sorted(BOOKS.rglob("*.txt*"), key=lambda p: p.stat().st_size)
    if not books:
        pytest.skip("real books are needed: none in ../shared/corpus/sample")
    (tmp_path / "book.txt").write_bytes(books[0].read_bytes()[:TEXT])
    done = subprocess.run(
        [SCRIPT, tmp_path / "book.txt", tmp_path, "--vocab", str(V),
         "--tokens", str(STEPS * BATCH), "--batch", str(BATCH)],
        capture_output=True, text=True, cwd=tmp_path, env={
            **os.environ, "PYTHONPATH": str(REPO), "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), os.environ["PATH"]])})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stopped and saved at step" in done.stdout

    run, full = open_run(tmp_path / "run"), load_preset("full").model
    assert run.finished and run.preset.steps == STEPS
    config = run.preset.model
    assert ((config.n_layer, config.n_head, config.n_embd,
             config.context_length) == (
        full.n_layer, full.n_head, full.n_embd, full.context_length))
    steps = [r["step"] for r in read_log(tmp_path / "run" / "log.jsonl")
             if "loss" in r]
    assert steps == list(range(1, STEPS + 1))
    assert [step for step, _ in run.snapshots()] == [0, 1, STEPS]

    record = json.loads((tmp_path / "dry-run.json").read_text())
    first, *_, last = [r["val_loss"] for r in record["validation_log"]]
    assert first == pytest.approx(math.log(V), abs=0.3)
    assert last < first - 0.3
    ended = json.loads((tmp_path / "evaluation.json").read_text())
    assert ended["loss"] == pytest.approx(last) == pytest.approx(
        record["validation"]["loss"])
    assert record["training"]["tokens"] == STEPS * BATCH
    assert len(record["samples"]) == 3
    told = (tmp_path / "sample.txt").read_text()
    assert told.startswith("life is about")
    assert (tmp_path / "gpt-50" / "model.safetensors").is_file()


def test_the_dry_run_gives_the_commands_of_the_rented_machine():
    """In the same order, with the same options; one that is stopped more."""
    def asked(script):
        grammar = arguments.parser(
            cli.doctor, cli.plan, cli.prepare, cli.train, cli.evaluate,
            cli.sample, cli.export)
        for words in commands(script):
            options = vars(grammar.parse_args(words))
            yield {name: value for name, value in options.items()
                   if name not in ("folder", "out", "to", "corpus", "run")}

    rented = list(asked(task()["run"]))
    dry = list(asked(SCRIPT.read_text().replace('"$@"', "")))
    assert [one["command"] for one in rented] == [
        "prepare", "train", "evaluate", "sample", "export"]
    assert dry == [rented[0], rented[1], *rented[1:]]


def test_bash_reads_the_script():
    done = subprocess.run(["bash", "-n", SCRIPT], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
