"""The ladder of small models and the prediction that it makes."""

import json
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
from course_lib.scaling.laws import ScalingLaw
from course_lib.scaling.rungs import (
    BUDGETS,
    SIZES,
    Rung,
    load,
    own,
    rungs,
    shape,
    sized,
)
from course_lib.stages import RECORDED, prepared, trained

TINY = Preset("tiny", "stories:400",
              GPTConfig(vocab_size=320, context_length=32, n_layer=2,
                        n_head=2, n_embd=64),
              tokens=16_384, batch_tokens=512, learning_rate=4e-3,
              warmup_steps=4, schedule="wsd")


PLAN = [Rung(replace(TINY, model=shape(TINY, width)), 1e9)
        for width in (8, 16, 24)]


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def test_more_budgets_go_on_upward_and_leave_the_others_as_they_are():
    preset = find_recipe("modern").at(load_preset("evening"))
    few, more = rungs(preset, 4e13), rungs(preset, 1.265e14, BUDGETS + 1)
    budgets = sorted({r.budget for r in more})
    assert budgets[-1] == 1.265e14
    assert budgets[:-1] == pytest.approx(
        sorted({r.budget for r in few}), rel=1e-3)
    valley = [r.preset.model.n_embd for r in few if r.budget == 4e13
              and r.rate == 1 and r.preset.seed == preset.seed]
    assert valley == [r.preset.model.n_embd for r in more
                      if r.budget == budgets[-2] and r.rate == 1
                      and r.preset.seed == preset.seed]


def test_the_scales_own_model_on_a_part_of_its_tokens():
    preset = find_recipe("modern").at(load_preset("evening"))
    rung, N = own(preset, 6e6), count_parameters(preset.model).total
    assert rung.preset.model == preset.model and rung.rate == 1
    assert rung.preset.tokens == pytest.approx(6e6, rel=0.01)
    assert rung.budget == 6 * N * 6e6
    assert rung.preset.learning_rate == pytest.approx(rule_of(
        "modern").rate(count_parameters(preset.model).without_embedding,
                       rung.preset.tokens))


@pytest.mark.parametrize("name, top", [
    ("laptop", None), ("evening", 4e13)])
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
        assert len({r.preset.model for r in first}) == len(first) >= SIZES
        for r in first:
            spent = 6 * r.preset.tokens * count_parameters(
                r.preset.model).total
            assert spent == pytest.approx(budget, rel=1 / r.preset.steps)
        # a second seed in the middle, and at both ends two other rates
        extra = [r for r in valley if r not in first]
        assert all(r.preset.model == first[len(first) // 2].preset.model
                   for r in extra)
        assert [r.rate for r in extra] == (
            [1, 0.5, 2] if number in (0, BUDGETS - 1) else [1])
    for rung in plan:
        small = rung.preset
        N = count_parameters(small.model).without_embedding
        assert small.model.n_embd < preset.model.n_embd
        assert small.tokens == small.steps * small.batch_tokens
        assert small.learning_rate == pytest.approx(
            rung.rate * rule.rate(N, small.tokens))
        for same in ("schedule", "optimizer", "weight_decay", "clip"):
            assert getattr(small, same) == getattr(preset, same)
        for same in ("vocab_size", "context_length", "positions", "mlp"):
            assert getattr(small.model, same) == getattr(preset.model, same)
        assert small.steps >= STEPS


def test_too_small_a_budget_is_refused():
    with pytest.raises(ValueError, match="take a larger budget for smoke"):
        rungs(load_preset("smoke"))


def test_a_rung_is_what_the_trainer_would_reach():
    run = prepared(TINY)
    loss, curve = ladder.measure(run, TINY)
    log = trained(TINY).log
    assert loss == pytest.approx(log[-1]["val_loss"], rel=1e-4)
    losses = [record["loss"] for record in log if "loss" in record]
    assert len(losses) == len(curve)  # one stretch a step, in so short a run
    assert [loss for _, loss in curve] == pytest.approx(losses, abs=1e-3)
    assert curve[-1][0] == TINY.tokens


def test_an_interrupted_ladder_goes_on_and_another_plan_starts_anew(tmp_path):
    path, run = tmp_path / "ladder.json", prepared(TINY)
    plan = PLAN[:3]
    ladder.measure_all(run, plan[:2], path)
    record = json.loads(path.read_text())
    record["runs"][0]["loss"] = 1.25  # to be recognised
    path.write_text(json.dumps(record))
    ladder.measure_all(run, plan, path, workers=2)
    assert list(load(path).rungs) == plan
    assert load(path).loss[0] == 1.25
    other = [replace(rung, preset=replace(
        rung.preset, learning_rate=2e-3)) for rung in PLAN[:2]]
    ladder.measure_all(run, other, path)
    assert list(load(path).rungs) == other
    assert load(path).loss[0] != 1.25


def test_two_processes_measure_what_one_does(tmp_path):
    run, plan = prepared(TINY), PLAN[:2]
    for workers in (1, 2):
        ladder.measure_all(run, plan, tmp_path / f"{workers}.json", workers)
    assert np.array_equal(load(tmp_path / "1.json").loss,
                          load(tmp_path / "2.json").loss)


def test_a_run_is_predicted_and_then_trained(tmp_path):
    """The ladder is invented, the run is real."""
    run, path = prepared(TINY), tmp_path / "ladder.json"
    ladder.measure_all(run, PLAN[:1], path)
    held = run.val_tokens
    assert load(path).held_out == dict(tokens=held.tokens, bytes=held.bytes)
    assert load(path).bits_per_byte(np.log(2)) == held.tokens / held.bytes
    record = json.loads(path.read_text())
    law = ScalingLaw(0.5, 30.0, 60.0, 0.4, 0.4)
    record["runs"] = [
        dict(rung=rung.to_dict(), curve=[], loss=float(law.loss(
            count_parameters(rung.preset.model).total, rung.preset.tokens)
            * (1 + 0.001 * rung.preset.seed) * rung.rate**0.001))
        for rung in rungs(load_preset("laptop"))]
    path.write_text(json.dumps(record))
    floor = stages.loss_floor(TINY, load(path))
    assert floor > 0.1  # nats: stories have an entropy
    ladder.check(run, path, TINY, floor)
    checked = load(path).check
    assert checked["prediction"]["loss"] == pytest.approx(law.loss(
        count_parameters(TINY.model).total, TINY.tokens), rel=0.02)
    assert checked["loss"] == pytest.approx(
        trained(TINY).log[-1]["val_loss"], rel=1e-4)
    written = path.read_bytes()
    ladder.check(run, path, TINY, floor)  # not trained again
    assert path.read_bytes() == written


def test_recorded_ladders_fit_the_presets():
    for path in RECORDED.glob("ladder_*.json"):
        name, recipe = path.stem.removeprefix("ladder_").split("_")
        if name == "first":  # the first edition's, by another plan
            continue
        found = load(path)
        preset = find_recipe(recipe).at(load_preset(name))
        for rung in found.rungs:
            made = rung.preset
            now = sized(preset, made.model, rung.budget / (
                6 * count_parameters(made.model).total))
            # the rule's constants have moved a little since the first two
            ratio = made.learning_rate / now.learning_rate / rung.rate
            assert 0.85 < ratio < 1.18
            assert made == replace(
                now, seed=made.seed, learning_rate=made.learning_rate,
                corpus=made.corpus)  # its name, which has changed
        assert found.made["device"] and found.made["precision"]
