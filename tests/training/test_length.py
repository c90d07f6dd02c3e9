"""A run whose length is chosen late is the run that was planned so."""

from dataclasses import replace

import pytest
import tiny

from course_lib.runs import open_run
from course_lib.training import settings

pytestmark = pytest.mark.usefixtures("quick")

STEP = tiny.PRESET.batch_tokens
WSD = replace(tiny.PRESET, schedule="wsd")  # 60 steps, falls after the 48th


def newest(run):
    """The hash of the newest weights."""
    return [digest for name, digest in tiny.bits(run.folder).items()
            if name.endswith("model.safetensors")
            and name.startswith("checkpoints")]


@pytest.mark.parametrize("steps", [40, 90])
def test_chosen_late_is_planned_early(tmp_path, steps):
    planned = tiny.make_run(tmp_path / "planned",
                            replace(WSD, tokens=steps * STEP))
    planned.train()
    chosen = tiny.make_run(tmp_path / "chosen", WSD)
    chosen.train(stop_at=30)
    chosen.over(steps * STEP).train()
    assert newest(chosen) == newest(planned)
    assert open_run(chosen.folder).finished
    assert open_run(chosen.folder).preset.steps == steps


@pytest.mark.parametrize("steps", [35, 20, 90])
def test_once_the_rate_falls_it_is_settled(tmp_path, steps):
    run = tiny.make_run(tmp_path, WSD)
    run.train(stop_at=55 if steps == 90 else 30)
    before = tiny.contents(run.folder)
    with pytest.raises(ValueError, match="its length is settled"):
        run.over(steps * STEP)
    assert tiny.contents(run.folder) == before


def test_a_cosine_is_planned_to_its_end(tmp_path):
    run = tiny.make_run(tmp_path, replace(WSD, schedule="cosine"))
    run.train(stop_at=30)
    with pytest.raises(ValueError, match="its length is settled"):
        run.over(90 * STEP)


def test_nothing_else_may_differ():
    longer = replace(WSD, tokens=90 * STEP)
    assert settings.same_so_far(WSD, longer, 48)
    assert not settings.same_so_far(WSD, longer, 50)
    assert not settings.same_so_far(WSD, replace(longer, seed=1), 0)
    before, now = (dict(tokens=9, preset=preset.to_dict())
                   for preset in (WSD, longer))
    assert settings.goes_on(before, now, 48)
    assert not settings.goes_on(before | dict(tokens=8), now, 48)


def test_from_the_terminal(tmp_path, course):
    run = tiny.make_run(tmp_path, WSD)
    run.train(stop_at=20)
    code, out, err = course("train", run.folder, "--resume", "--tokens",
                            40 * STEP)
    assert code == 0, err
    assert open_run(run.folder).finished
    assert open_run(run.folder).step == 40
    code, _, err = course("train", run.folder, "--resume", "--tokens",
                          90 * STEP)
    assert code == 2 and "settled" in err
