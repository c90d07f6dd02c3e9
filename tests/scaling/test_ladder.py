"""The ladder of small models and the prediction that it makes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from course_lib import stages
from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters
from course_lib.presets import Preset, load_preset
from course_lib.recipes import find_recipe
from course_lib.scaling import ladder
from course_lib.scaling.hyperparameters import STEPS, rule_of
from course_lib.scaling.rungs import BUDGETS, MIDDLE, SIZES, load, rungs
from course_lib.stages import RECORDED, prepared, trained

TINY = Preset("tiny", "stories:400",
              GPTConfig(vocab_size=320, context_length=32, n_layer=2,
                        n_head=2, n_embd=64),
              tokens=131_072, batch_tokens=512, learning_rate=4e-3,
              warmup_steps=4, schedule="wsd")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.mark.parametrize("name, top", [
    ("smoke", None), ("laptop", None), ("evening", 4e13)])
@pytest.mark.parametrize("recipe", ["gpt2", "modern"])
def test_valleys_spend_their_budget_on_several_sizes_by_the_rule(
        name, top, recipe):
    preset = find_recipe(recipe).at(load_preset(name))
    plan, rule = rungs(preset, top), rule_of(recipe)
    budgets = sorted({r.budget for r in plan})
    assert len(budgets) == BUDGETS
    assert budgets[-1] / budgets[0] == pytest.approx(100)
    if top is None:
        top = 6 * preset.tokens * count_parameters(preset.model).total / 8
    assert budgets[-1] == pytest.approx(top)
    for number, budget in enumerate(budgets):
        valley = [r for r in plan if r.budget == budget]
        first = [r for r in valley if r.rate == 1
                 and r.preset.seed == preset.seed]
        assert len({r.preset.model for r in first}) == len(first) == SIZES
        for r in first:
            spent = 6 * r.preset.tokens * count_parameters(
                r.preset.model).total
            assert spent == pytest.approx(budget, rel=1 / r.preset.steps)
        # a second seed in the middle, and at both ends two other rates
        extra = [r for r in valley if r not in first]
        assert all(r.preset.model == first[MIDDLE].preset.model
                   for r in extra)
        assert [r.rate for r in extra] == (
            [1, 0.5, 2] if number in (0, BUDGETS - 1) else [1])
    for rung in plan:
        small, N = rung.preset, count_parameters(rung.preset.model).total
        assert small.model.n_embd < preset.model.n_embd
        assert small.tokens == small.steps * small.batch_tokens
        assert small.learning_rate == pytest.approx(
            rung.rate * rule.rate(N, small.tokens))
        for same in ("schedule", "optimizer", "weight_decay", "clip"):
            assert getattr(small, same) == getattr(preset, same)
        for same in ("vocab_size", "context_length", "positions", "mlp"):
            assert getattr(small.model, same) == getattr(preset.model, same)
    if name != "smoke":  # whose own run is shorter: a rehearsal
        assert all(r.preset.steps >= STEPS for r in plan)


def test_a_rung_is_what_the_trainer_would_reach():
    short = replace(TINY, tokens=16_384)
    run = prepared(short)
    loss, curve = ladder.measure(run, short)
    log = trained(short).log
    assert loss == pytest.approx(log[-1]["val_loss"], rel=1e-4)
    losses = [record["loss"] for record in log if "loss" in record]
    assert len(losses) == len(curve)  # one stretch a step, in so short a run
    assert [loss for _, loss in curve] == pytest.approx(losses, abs=1e-3)
    assert curve[-1][0] == short.tokens


def test_ladder_is_measured_once_and_predicts():
    said = []
    rungs = stages.ladder(TINY, said.append)
    path = prepared(TINY).folder / "ladder.json"
    written = path.read_bytes()
    again = stages.ladder(TINY, said.append)
    assert path.read_bytes() == written
    assert np.array_equal(rungs.loss, again.loss)
    assert "34 runs, trained here" in said[0]
    assert rungs.loss.shape == (34,) and np.all(rungs.loss < np.log(320) + 0.3)
    assert len(rungs.runs.loss) == 30  # without those at other rates
    small, large = rungs.split()
    assert large.budget.min() > small.budget.max()
    assert len(small.loss) + len(large.loss) == 34
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
    floor = stages.loss_floor(TINY, load(path))
    assert floor > 0.1  # nats: stories have an entropy
    ladder.check(run, path, TINY, floor)
    checked = load(path).check
    assert checked["prediction"]["loss"] == stages.prediction(TINY).loss
    assert checked["loss"] == pytest.approx(
        trained(TINY).log[-1]["val_loss"], rel=1e-4)
    written = path.read_bytes()
    ladder.check(run, path, TINY, floor)  # not trained again
    assert path.read_bytes() == written


def test_nats_become_bits_by_the_held_out_text():
    run = prepared(TINY)
    one = load(run.folder / "ladder.json")
    held = run.val_tokens
    assert one.held_out == dict(tokens=held.tokens, bytes=held.bytes)
    assert one.bits_per_byte(np.log(2)) == held.tokens / held.bytes


def test_recorded_ladders_fit_the_presets():
    for path in RECORDED.glob("ladder_*.json"):
        name, recipe = path.stem.removeprefix("ladder_").split("_")
        found = load(path)
        preset = find_recipe(recipe).at(load_preset(name))
        assert list(found.rungs) == rungs(preset, found.budget.max())
        assert found.made["device"] and found.made["precision"]
