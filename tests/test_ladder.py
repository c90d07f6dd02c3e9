"""The ladder of small models and the prediction that it makes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from course_lib import ladder
from course_lib.model import GPTConfig
from course_lib.presets import PRESETS, Preset, load_preset
from course_lib.stages import prepared, trained

TINY = Preset("tiny", "stories:400",
              GPTConfig(vocab_size=320, context_length=32, n_layer=2,
                        n_head=2, n_embd=32),
              tokens=16_384, batch_tokens=512, learning_rate=4e-3,
              warmup_steps=4)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_rungs_are_smaller_and_end_where_they_end(name):
    preset = load_preset(name)
    plan = ladder.rungs(preset)
    assert len(plan) == len(ladder.WIDTHS) * len(ladder.TOKENS)
    for rung in plan:
        assert rung.model.n_embd < preset.model.n_embd
        assert rung.tokens == rung.steps * rung.batch_tokens
        assert rung.tokens <= preset.tokens
        assert rung.batch_tokens == preset.batch_tokens
        assert rung.model.vocab_size == preset.model.vocab_size
        assert rung.model.context_length == preset.model.context_length
        assert rung.learning_rate >= preset.learning_rate


def test_a_rung_is_what_the_trainer_would_reach():
    run = prepared(TINY)
    loss = ladder.measure(TINY, run.train_tokens, run.val_tokens)
    assert loss == pytest.approx(trained(TINY).log[-1]["val_loss"], rel=1e-4)


def test_ladder_is_measured_once_and_predicts():
    said = []
    runs = ladder.ladder(TINY, said.append)
    again = ladder.ladder(TINY, said.append)
    assert np.array_equal(runs.loss, again.loss)
    assert "12 runs, trained here" in said[0] and said[0] == said[1]
    assert runs.loss.shape == (12,) and np.all(runs.loss < np.log(320) + 0.1)
    first = ladder.predict(TINY)
    path = prepared(TINY).folder / "prediction.json"
    written = path.stat().st_mtime_ns
    assert ladder.predict(TINY) == first
    assert path.stat().st_mtime_ns == written
    assert first.low <= first.high
    assert first.D == TINY.steps * TINY.batch_tokens
    assert "nats per token" in str(first)


def test_another_plan_is_measured_anew():
    changed = replace(TINY, learning_rate=2e-3)
    assert ladder._load(prepared(TINY).folder / "ladder.json", [
        rung.to_dict() for rung in ladder.rungs(changed)]) == {}


def test_recorded_ladders_fit_the_presets():
    for name in PRESETS:
        path = ladder.RECORDED / f"ladder_{name}.json"
        if path.is_file():
            record = json.loads(path.read_text())
            assert record["rungs"] == [
                rung.to_dict() for rung in ladder.rungs(load_preset(name))]
            assert len(record["losses"]) == len(record["rungs"])
            assert record["provenance"]["device"]
