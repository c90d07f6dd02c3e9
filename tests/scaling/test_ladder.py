"""The ladder of small models and the prediction that it makes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from course_lib import stages
from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters
from course_lib.presets import PRESETS, Preset, load_preset
from course_lib.scaling import ladder
from course_lib.scaling.rungs import BUDGETS, MIDDLE, load, rungs
from course_lib.stages import RECORDED, prepared, trained

TINY = Preset("tiny", "stories:400",
              GPTConfig(vocab_size=320, context_length=32, n_layer=2,
                        n_head=2, n_embd=64),
              tokens=16_384, batch_tokens=512, learning_rate=4e-3,
              warmup_steps=4, schedule="wsd")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_valleys_spend_their_budget_on_several_sizes_the_presets_way(name):
    preset = load_preset(name)
    plan = rungs(preset)
    budgets = sorted({r.budget for r in plan})
    for number, (budget, widths) in enumerate(zip(
            budgets, BUDGETS.values(), strict=True)):
        valley = [r for r in plan if r.budget == budget]
        sizes = len(widths)
        first = valley[:sizes]
        spent = [6 * r.preset.tokens * count_parameters(
            r.preset.model).total for r in first]
        one_step = max(s / r.preset.steps for s, r in zip(spent, first,
                                                          strict=True))
        assert spent == pytest.approx([budget] * sizes, abs=one_step)
        assert len({r.preset.model for r in first}) == sizes >= 5
        # a second seed in the middle, and at both ends two other rates
        extra = valley[sizes:]
        middle = first[MIDDLE].preset
        assert all(r.preset.model == middle.model for r in extra)
        assert [r.rate for r in extra] == (
            [1, 0.5, 2] if number in (0, len(BUDGETS) - 1) else [1])
        assert {r.preset.seed for r in first} != {extra[0].preset.seed}
    for rung in plan:
        small = rung.preset
        assert small.model.n_embd < preset.model.n_embd
        assert small.tokens == small.steps * small.batch_tokens
        assert small.learning_rate == pytest.approx(
            rung.rate * preset.learning_rate
            * (preset.model.n_embd / small.model.n_embd) ** 0.5)
        for same in ("batch_tokens", "schedule", "weight_decay", "clip"):
            assert getattr(small, same) == getattr(preset, same)
        for same in ("vocab_size", "context_length", "dropout"):
            assert getattr(small.model, same) == getattr(preset.model, same)


def test_no_rung_of_the_recorded_ladder_is_shorter_than_a_thousand_steps():
    assert all(rung.preset.steps >= 1000
               for rung in rungs(load_preset("laptop")))


def test_a_rung_is_what_the_trainer_would_reach():
    run = prepared(TINY)
    loss, curve = ladder.measure(run, TINY)
    log = trained(TINY).log
    assert loss == pytest.approx(log[-1]["val_loss"], rel=1e-4)
    losses = [record["loss"] for record in log if "loss" in record]
    assert len(losses) == len(curve)  # one stretch a step, in so short a run
    assert [loss for _, loss in curve] == pytest.approx(losses, abs=1e-3)
    assert curve[-1][0] == TINY.tokens


def test_ladder_is_measured_once_and_predicts():
    said = []
    rungs = stages.ladder(TINY, said.append)
    path = prepared(TINY).folder / "ladder.json"
    written = path.read_bytes()
    again = stages.ladder(TINY, said.append)
    assert path.read_bytes() == written
    assert np.array_equal(rungs.loss, again.loss)
    assert "30 runs, trained here" in said[0]
    assert rungs.loss.shape == (30,) and np.all(rungs.loss < np.log(320) + 0.3)
    assert len(rungs.runs.loss) == 26  # without those at other rates
    small, large = rungs.split()
    assert large.budget.min() > small.budget.max()
    assert len(small.loss) + len(large.loss) == 30
    first = stages.prediction(TINY)
    path = prepared(TINY).folder / "prediction.json"
    written = path.stat().st_mtime_ns
    assert stages.prediction(TINY) == first
    assert path.stat().st_mtime_ns == written
    assert first.low <= first.high
    assert first.D == TINY.steps * TINY.batch_tokens
    assert "nats per token" in str(first)


def test_an_interrupted_ladder_goes_on_and_another_plan_starts_anew(tmp_path):
    path, run = tmp_path / "ladder.json", prepared(TINY)
    plan = rungs(TINY)[:3]
    ladder.measure_all(run, plan[:2], path)
    record = json.loads(path.read_text())
    record["runs"][0]["loss"] = 1.25  # to be recognised
    path.write_text(json.dumps(record))
    ladder.measure_all(run, plan, path, workers=2)
    assert list(load(path).rungs) == plan
    assert load(path).loss[0] == 1.25
    other = rungs(replace(TINY, learning_rate=2e-3))[:2]
    ladder.measure_all(run, other, path)
    assert list(load(path).rungs) == other
    assert load(path).loss[0] != 1.25


def test_two_processes_measure_what_one_does(tmp_path):
    run, plan = prepared(TINY), rungs(TINY)[:2]
    for workers in (1, 2):
        ladder.measure_all(run, plan, tmp_path / f"{workers}.json", workers)
    assert np.array_equal(load(tmp_path / "1.json").loss,
                          load(tmp_path / "2.json").loss)


def test_the_preset_s_own_run_is_predicted_and_then_checked(tmp_path):
    run, path = prepared(TINY), tmp_path / "ladder.json"
    shutil.copy(run.folder / "ladder.json", path)
    ladder.check(run, path)
    checked = load(path).check
    assert checked["prediction"]["loss"] == stages.prediction(TINY).loss
    assert checked["loss"] == pytest.approx(
        trained(TINY).log[-1]["val_loss"], rel=1e-4)
    written = path.read_bytes()
    ladder.check(run, path)  # not trained again
    assert path.read_bytes() == written


def test_nats_become_bits_by_the_held_out_text():
    run = prepared(TINY)
    one = load(run.folder / "ladder.json")
    held = run.val_tokens
    assert one.held_out == dict(tokens=held.tokens, bytes=held.bytes)
    assert one.bits_per_byte(np.log(2)) == held.tokens / held.bytes


def test_recorded_ladders_fit_the_presets():
    for path in RECORDED.glob("ladder_*.json"):
        name, found = path.stem.removeprefix("ladder_"), load(path)
        base = load_preset(name if name in PRESETS else "laptop")
        if name not in PRESETS:
            base = replace(base, name=name,
                           corpus=found.rungs[0].preset.corpus)
        assert list(found.rungs) == rungs(base)
        assert found.made["device"]
