"""Micro-batches: stored in the run, halved when memory runs out."""

import shutil

import pytest
import tiny
import torch

from course_lib import micro
from course_lib.model import GPT
from course_lib.runs import open_run

ROWS = tiny.PRESET.rows
pytestmark = pytest.mark.usefixtures("quick")


def memory_for(monkeypatch, rows):
    """A loss that runs out of memory with more rows than these."""
    real = GPT.loss

    def loss(self, ids, targets):
        if self.training and len(ids) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, ids, targets)

    monkeypatch.setattr(GPT, "loss", loss)


def test_what_was_asked_for_is_kept_for_the_resume(run, prepared, tmp_path):
    whole = open_run(shutil.copytree(prepared, tmp_path / "whole"))
    whole.train(micro_rows=1, progress=False)
    run.train(micro_rows=1, stop_at=17, progress=False)
    assert micro.stored(run.folder) == 1
    run.train(progress=False)
    assert tiny.bits(run.folder) == tiny.bits(whole.folder)


@pytest.mark.parametrize("content", ["", "[]", '{"rows": 0}', '{"rows": "x"}'])
def test_a_damaged_record_is_made_again(run, content):
    (run.folder / micro.FILE).write_text(content)
    assert micro.stored(run.folder) is None
    run.train(stop_at=1, progress=False)
    assert micro.stored(run.folder) == ROWS


def test_out_of_memory_halves_the_micro_batch_and_says_so(
        run, prepared, tmp_path, monkeypatch):
    whole = open_run(shutil.copytree(prepared, tmp_path / "whole"))
    wanted = whole.train(progress=False)
    run.train(stop_at=10, progress=False)
    memory_for(monkeypatch, 1)
    result = run.train(progress=False)
    assert micro.stored(run.folder) == 1
    notes = [r for r in run.log if "note" in r]
    assert [r["micro_rows"] for r in notes] == [2, 1]
    assert all(r["step"] == 10 and "bit-identical" in r["note"]
               for r in notes)
    steps = [r["step"] for r in run.log if "loss" in r]
    assert steps == list(range(1, tiny.PRESET.steps + 1))
    # dropout draws other masks for other rows, so not to the last digit
    assert result.evaluation.loss == pytest.approx(
        wanted.evaluation.loss, abs=0.1)


def test_memory_for_not_even_one_row_ends_in_one_line(run, monkeypatch):
    memory_for(monkeypatch, 0)
    with pytest.raises(MemoryError, match="not even one row fits"):
        run.train(progress=False)
