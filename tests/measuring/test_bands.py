"""What is normal, and five ways not to be."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from course_lib import stages
from course_lib.measuring.bands import Band, find_band, judge
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.text.token_files import Tokens
from course_lib.training.trainer import train

SMOKE = load_preset("smoke")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.mark.parametrize("scale, recipe, seeds", [
    ("smoke", "gpt2", 10), ("smoke", "modern", 10), ("laptop", "gpt2", 5),
    ("laptop", "modern", 5)])
def test_recorded_bands_are_of_the_presets_and_hold_their_own_seeds(
        scale, recipe, seeds):
    preset = find_recipe(recipe).at(load_preset(scale))
    band = find_band(preset)
    assert band.preset == preset.to_dict() and len(band.losses) >= seeds
    for losses in band.losses:
        for share, loss in zip(band.shares, losses, strict=True):
            low, high = band.at(share)
            assert low < loss < high
    low, high = band.at(1.0)
    assert high / low < 2.1


def test_a_band_is_students_interval_and_holds_other_seeds():
    draw = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        band = Band(SMOKE.to_dict(), np.array([0.5, 1.0]), np.exp(
            1 + 0.01 * draw.normal(size=(10, 2))))
        low, high = band.at(1.0)
        inside.append(low < math.exp(1 + 0.01 * draw.normal()) < high)
    assert 0.96 <= np.mean(inside) < 1.0


def trained(preset=SMOKE, data=None, model=None) -> list[str]:
    """What `judge` says of the end of a run."""
    run = stages.prepared(SMOKE)
    result = train(None, preset, data or run.train_tokens, run.val_tokens,
                   model=model, progress=False)
    return judge(preset, preset.steps, result.evaluation.loss)


def test_another_seed_is_normal_all_the_way():
    run, said = stages.prepared(SMOKE), []

    def heard(step, loss):
        said.extend(judge(SMOKE, step, loss)[:1])

    train(None, replace(SMOKE, seed=17), run.train_tokens, run.val_tokens,
          progress=False, heard=heard)
    assert len(said) >= 15
    assert all(line.startswith("normal") for line in said)


def test_no_band_no_word():
    assert judge(replace(SMOKE, name="mine"), SMOKE.steps, 9.0) == []
    assert judge(SMOKE, 1, 6.0) == []  # hardly begun
    wider = replace(SMOKE.model, n_embd=2 * SMOKE.model.n_embd)
    assert find_band(replace(SMOKE, model=wider)) is None


class Misread(Tokens):
    """Training data with a fault."""

    def __init__(self, tokens: Tokens, fault: str):
        vars(self).update(vars(tokens))
        self.fault = fault

    def batch(self, *of, **options):
        ids, targets = super().batch(*of, **options)
        if self.fault == "targets not moved":
            return ids, ids
        if self.fault == "other ids":  # of another tokenizer
            mixed = torch.randperm(
                512, generator=torch.Generator().manual_seed(0))
            return mixed[ids], mixed[targets]
        # not shuffled: always the first rows of the text
        return super().batch(0, *of[1:], **options)


@pytest.mark.parametrize("fault, word", [
    ("rate", "learning_rate is 0.4"),
    ("few tokens", "tokens is"),
    ("targets not moved", "the targets"),
    ("other ids", "another tokenizer's ids"),
    ("not shuffled", "shuffled between documents")])
def test_planted_faults_are_flagged(fault, word):
    """A change comes first, and what makes a model sure of what is wrong
    before what only keeps it from learning."""
    data = stages.prepared(SMOKE).train_tokens
    if fault == "rate":
        said = trained(replace(SMOKE, learning_rate=0.4))
    elif fault == "few tokens":
        said = trained(replace(SMOKE, tokens=SMOKE.tokens // 8))
    else:
        said = trained(data=Misread(data, fault))
    assert said[0].startswith("above")
    if fault in ("rate", "few tokens"):
        assert word in said[1], said
        assert not any("worse than a guess" in line for line in said)
    else:
        assert "worse than a guess" in said[1]
        assert any(word in line for line in said[2:5]), said
        assert "learning rate" in said[5]


def test_a_run_that_leaves_the_band_is_told_once_on_the_way(course, tmp_path):
    folder = tmp_path / "run"
    assert course("prepare", "--preset", "smoke", "--learning-rate", "0.4",
                  "--out", folder)[0] == 0
    code, out, err = course("train", folder)
    assert code == 0
    [early] = re.findall(r"above: loss .* after (\d+)% of the run", err)
    assert int(early) < 50
    assert "above: loss" in out and "after 100% of the run" in out


def test_a_loss_that_is_too_low_is_flagged():
    low, _ = find_band(SMOKE).at(1.0)
    said = judge(SMOKE, SMOKE.steps, 0.8 * low)
    assert said[0].startswith("below") and "mask" in said[-1]
