"""The training chapter's main road at the full model's width, on real prose.

A few steps only: an hour on a rented GPU is not the time to find a typing
error. The vocabulary is what one small book can fill; the rest is `full`.
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from course_lib.corpus import load_corpus
from course_lib.presets import load_preset
from course_lib.runs import open_run, prepare

BOOKS = Path(__file__).resolve().parents[2] / "shared/corpus/sample"
STEPS = 4


@pytest.mark.slow
def test_the_full_model_trains_stops_and_goes_on(tmp_path):
    books = sorted(BOOKS.rglob("*.txt*"), key=lambda p: p.stat().st_size)
    if not books:
        pytest.skip("real books are needed: none in ../shared/corpus/sample")
    full = load_preset("full")
    preset = replace(
        full, tokens=STEPS * 1024, batch_tokens=1024, warmup_steps=1,
        model=replace(full.model, vocab_size=4096))
    run = prepare(tmp_path / "run", preset, load_corpus(str(books[0])))
    first = run.train(stop_at=2, progress=False)
    assert first.step == 2 and not run.finished
    second = open_run(run.folder).train(progress=False)
    assert second.step == STEPS and open_run(run.folder).finished
    assert run.log[0]["val_loss"] == pytest.approx(math.log(4096), abs=0.3)
    assert second.evaluation.loss < run.log[0]["val_loss"] - 0.5
    assert set(tiny.bits(run.folder))  # checkpoints and snapshots are there
    assert [step for step, _ in run.snapshots()] == [0, STEPS]
