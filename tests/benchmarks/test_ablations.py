"""The runs in which one trick is left out."""

import json
from dataclasses import replace

import ablations  # noqa: E402
import pytest
import tiny

from course_lib.presets import load_preset
from course_lib.training.log import Diverged
from course_lib.training.trainer import train


@pytest.fixture(autouse=True)
def quick():
    with tiny.quick_training():
        yield


@pytest.mark.parametrize("name", ablations.CHANGES)
def test_a_line_is_a_valid_preset_that_sees_the_same_tokens(name):
    baseline = replace(load_preset("laptop"), **ablations.TEXTBOOK)
    preset = ablations.changed(baseline, name, 1)
    seen = preset.steps * preset.batch_tokens
    assert seen == baseline.steps * baseline.batch_tokens
    assert preset.seed == 1 and preset.model == baseline.model
    assert (preset == replace(baseline, seed=1)) == (name == "baseline")


def test_a_run_is_recorded_and_then_skipped(tmp_path):
    run = tiny.make_run(tmp_path, replace(tiny.PRESET, tokens=10 * 64))
    path, lines = tmp_path / "result.json", []

    def again(*names):
        return ablations.campaign(run, run.preset, path, names, seeds=(0,),
                                  report=lines.append)

    again("baseline")
    [first] = json.loads(path.read_text())["runs"]
    assert first["steps"] == run.preset.steps and first["diverged"] is None
    assert first["validation_loss"] == first["validation_log"][-1]["val_loss"]
    assert 0 < len(first["log"]) <= ablations.POINTS
    result = again("baseline", "no warm-up")
    assert [r["name"] for r in result["runs"]] == ["baseline", "no warm-up"]
    assert result["runs"][0] == first and len(lines) == 2


def test_a_diverged_run_stays_in_the_record(tmp_path, monkeypatch):
    def diverges(*arguments, **options):
        raise Diverged("loss is nan at step 3: lower the learning rate; x")

    monkeypatch.setattr(ablations, "train", diverges)
    run = tiny.make_run(tmp_path)
    [only] = ablations.campaign(
        run, run.preset, tmp_path / "result.json", ["baseline"], seeds=(0,),
        report=str)["runs"]
    assert "nan at step 3" in only["diverged"]
    assert only["validation_loss"] is None


def test_a_run_told_to_stop_is_not_recorded(tmp_path, monkeypatch):
    def stops(*arguments, **options):
        return train(*arguments, **options, stop_at=2)

    monkeypatch.setattr(ablations, "train", stops)
    run, path = tiny.make_run(tmp_path), tmp_path / "result.json"
    with pytest.raises(KeyboardInterrupt):
        ablations.campaign(run, run.preset, path, ["baseline"], seeds=(0,))
    assert not path.exists()


def test_a_curve_has_few_points_and_loses_no_step():
    steps = [dict(tokens=i, loss=float(i), grad_norm=i) for i in range(244)]
    points = ablations.stretches(steps)
    assert len(points) == 49 and points[-1]["tokens"] == 243
    assert points[0] == dict(tokens=4, loss=2.0, grad_norm=4)
