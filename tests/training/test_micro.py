"""Micro-batches: stored in the run, halved when memory runs out."""

import json
import shutil
import weakref

import pytest
import tiny
import torch

from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.runs import open_run
from course_lib.training import micro_batch, settings

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
    assert settings.read(run.folder)["micro_rows"] == 1
    run.train(progress=False)
    assert tiny.bits(run.folder) == tiny.bits(whole.folder)


@pytest.mark.parametrize("content", [
    "", "[]", '{"micro_rows": 1}',
    '{"micro_rows": 0, "number_format": "float32", "compiles": true}',
    '{"micro_rows": "x", "number_format": "float32", "compiles": true}',
    '{"micro_rows": 1, "number_format": "float32", "compiles": 2}',
    '{"micro_rows": 1, "number_format": "float31", "compiles": true}'])
def test_damaged_settings_are_made_again(run, content):
    (run.folder / settings.FILE).write_text(content)
    assert settings.read(run.folder) == {}  # no checkpoint knows better
    run.train(stop_at=1, progress=False)
    assert settings.read(run.folder) == dict(
        micro_rows=ROWS, number_format="float32", compiles=False,
        device="cpu", processes=1)


def lost(path):
    path.unlink()


def damaged(path):
    path.write_text('{"number_format": "float')


def of_older_times(path):
    path.write_text('{"number_format": "float32"}')


@pytest.mark.parametrize("happens", [lambda path: None, lost, damaged,
                                     of_older_times])
def test_a_number_format_is_not_forgotten(run, prepared, tmp_path, happens):
    """Asked for at the beginning, it holds to the end, whatever becomes of
    the file that says so: the checkpoints know it too."""
    whole = open_run(shutil.copytree(prepared, tmp_path / "whole"))
    whole.train(number_format="bfloat16", micro_rows=1, progress=False)
    run.train(number_format="bfloat16", micro_rows=1, stop_at=10,
              progress=False)
    happens(run.folder / settings.FILE)
    run.train(progress=False)
    assert run.number_format == "bfloat16"
    assert tiny.bits(run.folder) == tiny.bits(whole.folder)


@pytest.mark.parametrize("change, word", [
    (dict(number_format="bfloat16"), "bfloat16"),
    (dict(micro_rows=1), "1 rows at once"),
    (dict(processes=2), "in 1 processes"), (dict(device="cuda"), "on cpu")])
def test_what_changed_since_the_checkpoint_is_noted(run, change, word):
    """Also where the file was edited, or copied from another run."""
    run.train(stop_at=10, progress=False)
    made_with = {"processes", "device"} & change.keys()
    for path in (run.folder / settings.FILE,
                 *run.folder.glob("checkpoints/*/state.json")):
        value = json.loads(path.read_text())
        if path.name == settings.FILE and not made_with:
            path.write_text(json.dumps(value | change))
        elif path.name != settings.FILE and made_with:
            value["settings"] |= change
            value.pop("digest")
            path.write_text(json.dumps(value))
    run.train(stop_at=20, progress=False)
    assert [r["note"] for r in run.log if "note" in r] == [
        f"{word} from here on: not bit-identical to another run any more"]


@pytest.mark.parametrize("rows, limit, taken", [
    (8, 5, 4), (8, 8, 8), (4, 9, 4), (512, 5, 4), (7, 5, 5), (1, 3, 1),
    (12, 5, 4)])
def test_rows_are_parted_evenly_where_that_costs_little(rows, limit, taken):
    assert micro_batch.even(rows, limit) == taken


def test_the_logits_of_the_largest_vocabulary_are_few():
    """At `full` a micro-batch of a CPU has half a gigabyte of them."""
    preset = load_preset("full")
    rows = micro_batch.find_micro_rows(None, preset, "cpu", None, 512)
    model = preset.model
    assert 4 * rows * model.context_length * model.vocab_size < 2**29 \
        <= 8 * rows * model.context_length * model.vocab_size


def test_settings_of_a_run_from_before_compiling_are_kept_to(run):
    (run.folder / settings.FILE).write_text(
        '{"micro_rows": 1, "number_format": "bfloat16"}')
    run.train(stop_at=1, progress=False)
    assert settings.read(run.folder) == dict(
        micro_rows=1, number_format="bfloat16", compiles=False,
        device="cpu", processes=1)


def test_what_an_attempt_took_is_given_back_before_the_next():
    """Else the failed graph's memory makes the next attempt fail, too."""
    alive, sizes = [], []

    def attempt(rows):
        sizes.append(rows)
        assert not any(held() is not None for held in alive)
        graph = torch.zeros(4, requires_grad=True) * rows
        alive.append(weakref.ref(graph))
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model = GPT(tiny.PRESET.model)
    assert micro_batch.first_that_fits(20, attempt, model) == 3
    assert sizes == [20, 10, 5, 3]


def test_after_an_accident_the_step_is_tried_without_its_graph(
        run, monkeypatch):
    """The same in the trainer: the failed forward pass is gone."""
    real, alive = GPT.hidden, []

    def hidden(self, ids, cache=None):
        if self.training:
            assert not any(held() is not None for held in alive)
        out = real(self, ids, cache)
        if self.training:
            alive.append(weakref.ref(out))
            if len(ids) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return out

    monkeypatch.setattr(GPT, "hidden", hidden)
    run.train(stop_at=2, progress=False)
    assert len(alive) == 1 + 2 * 2


def test_out_of_memory_halves_the_micro_batch_and_says_so(
        run, prepared, tmp_path, monkeypatch):
    whole = open_run(shutil.copytree(prepared, tmp_path / "whole"))
    wanted = whole.train(progress=False)
    run.train(stop_at=10, progress=False)
    memory_for(monkeypatch, 1)
    result = run.train(progress=False)
    assert settings.read(run.folder)["micro_rows"] == 1
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
