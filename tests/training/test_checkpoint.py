"""Checkpoints: every damage is noticed, and the one before is used."""

import io
import json
import math
import os
import re
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.training import checkpoint
from course_lib.training.checkpoint import (
    Damaged,
    checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)
from course_lib.training.optimizers import make_optimizer
from course_lib.training.step import train_step

FILES = (*checkpoint.FILES, "state.json")


def trained(seed=0, steps=2):
    """A model and an optimizer that has state."""
    torch.manual_seed(seed)
    model = GPT(tiny.PRESET.model)
    optimizer = make_optimizer(model, tiny.PRESET)
    for _ in range(steps):
        train_step(model, optimizer, torch.randint(300, (2, 4, 16)),
                   1e-3, 1.0)
    return model, optimizer


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with checkpoints of steps 10 and 20."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (10, 20):
        save_checkpoint(folder, step, *trained(step), dict(note=step / 7))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "checkpoints")


def test_what_is_saved_comes_back_to_the_bit(folder):
    model, optimizer = trained(20)
    fresh, empty = trained(seed=5, steps=0)
    state = load_newest(folder, fresh, empty)
    assert (state["step"], state["note"]) == (20, 20 / 7)
    for ours, theirs in zip(model.parameters(), fresh.parameters(),
                            strict=True):
        assert torch.equal(ours, theirs)
        for key, value in optimizer.state[ours].items():
            assert torch.equal(value, empty.state[theirs][key])
    batch = torch.randint(300, (2, 4, 16))
    for pair in ((model, optimizer), (fresh, empty)):  # and go on alike
        torch.manual_seed(1)
        train_step(*pair, batch, 1e-3, 1.0)
    assert torch.equal(model.head, fresh.head)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "a flipped bit": flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_named_and_the_one_before_is_used(folder, name, damage):
    damage(folder / "step-00000020" / name)
    model, optimizer = trained(seed=3)
    before = model.head.clone()
    with pytest.raises(Damaged, match="step-00000020.* is damaged"):
        load_checkpoint(folder / "step-00000020", model, optimizer)
    assert torch.equal(model.head, before)  # nothing was half loaded
    said = []
    assert load_newest(folder, model, optimizer, said.append)["step"] == 10
    assert re.search("step-00000020.*damaged.*step-00000010 is used instead",
                     *said)


def test_a_flipped_bit_in_a_snapshot_is_named(tmp_path):
    """It parses, and its values are other ones."""
    ours, model = trained(7)[0], trained(8)[0]
    path = checkpoint.save_snapshot(tmp_path, 30, ours)
    checkpoint.load_snapshot(path, model)
    assert torch.equal(model.head, ours.head)
    weights = path / "model.safetensors"
    for place in (-1, -2, weights.stat().st_size // 2):
        whole = weights.read_bytes()
        broken = bytearray(whole)
        broken[place] ^= 1
        weights.write_bytes(broken)
        load_file(weights)
        with pytest.raises(Damaged, match=f"{weights} is damaged"):
            checkpoint.load_snapshot(path, model)
        weights.write_bytes(whole)
    (path / "state.json").unlink()  # as the first edition wrote them
    checkpoint.load_snapshot(path, model)


def test_a_flipped_bit_anywhere_in_the_state_is_noticed(folder):
    path = folder / "step-00000020" / "state.json"
    whole = json.loads(path.read_text())
    data = path.read_bytes()
    model, _ = trained()
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1
        path.write_bytes(broken)
        try:
            state = load_checkpoint(path.parent, model)
        except Damaged:
            continue
        # the key `digest` itself, or a blank: the content is as it was
        assert {key: state[key] for key in whole if key != "digest"} == {
            key: whole[key] for key in whole if key != "digest"}


def test_none_whole_is_an_error_and_none_at_all_is_not(folder, tmp_path):
    model, _ = trained()
    for path in checkpoints(folder):
        flip(path / "model.safetensors")
    with pytest.raises(Damaged, match="no checkpoint in .* is whole"):
        load_newest(folder, model)
    assert load_newest(tmp_path / "nowhere", model) is None


@pytest.mark.parametrize("name", checkpoint.FILES)
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_values_that_are_no_numbers_are_damage(folder, name, value):
    """Written so by a training that diverged, with a checksum that is right.
    """
    newest = folder / "step-00000020"
    tensors = load_file(newest / name)
    max(tensors.values(), key=torch.numel).flatten()[7] = value
    save_file(tensors, newest / name)
    state = json.loads((newest / "state.json").read_text())
    state["sha256"][name] = checkpoint._sha256(newest / name)
    state.pop("digest")
    state["digest"] = checkpoint._digest(state)
    (newest / "state.json").write_text(json.dumps(state))
    model, optimizer = trained(seed=3)
    before, said = model.head.clone(), []
    with pytest.raises(Damaged, match=f"{name} holds values in .* NaN"):
        load_checkpoint(newest, model, optimizer)
    assert torch.equal(model.head, before)
    assert load_newest(folder, model, optimizer, said.append)["step"] == 10
    assert "step-00000010 is used instead" in said[0]


def test_another_models_weights_are_refused(folder):
    other = GPT(GPTConfig(300, 16, 2, 2, 16))
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        load_newest(folder, other)
    assert not isinstance(caught.value, Damaged)


def test_two_are_kept_and_leftovers_do_not_count(folder):
    (folder / "partial-00000090").mkdir()
    (folder / "partial-00000090" / "model.safetensors").write_bytes(b"half")
    assert [p.name for p in checkpoints(folder)] == ["step-00000010",
                                                     "step-00000020"]
    save_checkpoint(folder, 30, *trained(), {})
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000020",
                                                        "step-00000030"]


def test_saving_again_outlives_a_damaged_newest(folder):
    """Resumed from step 10, the run must not keep a broken step 20."""
    flip(folder / "step-00000020" / "model.safetensors")
    save_checkpoint(folder, 15, *trained(), {})
    assert [p.name for p in checkpoints(folder)] == ["step-00000010",
                                                     "step-00000015"]
    save_checkpoint(folder, 15, *trained(), {})  # the same step again
    assert [p.name for p in checkpoints(folder)] == ["step-00000010",
                                                     "step-00000015"]


def test_a_damaged_one_that_is_set_aside_does_not_count(folder):
    flip(folder / "step-00000020" / "model.safetensors")
    for _ in range(2):  # the second time there is nothing to do
        checkpoint.set_aside(folder, 10)
        assert [p.name for p in checkpoints(folder)] == ["step-00000010"]
        assert (folder / "damaged-00000020").is_dir()
    save_checkpoint(folder, 30, *trained(), {})
    assert [p.name for p in checkpoints(folder)] == ["step-00000010",
                                                     "step-00000030"]


def test_a_failed_save_leaves_the_others_alone(folder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    before = tiny.contents(folder)
    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(folder, 30, *trained(), {})
    assert tiny.contents(folder) == before


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600),
                                         (0o002, 0o664)])
def test_others_may_read_what_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save_checkpoint(tmp_path, 1, *trained(), {})
        checkpoint.save_snapshot(tmp_path, 2, trained()[0])
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


@pytest.mark.parametrize("name", [*FILES, ""])
def test_a_permission_is_called_one(folder, monkeypatch, name):
    """And not taken for damage, for which older weights would be used. A
    test may be run by root, whom no mode stops."""
    real, kept = io.open, folder / "step-00000020" / name

    def opened(path, *more, **options):
        if not isinstance(path, int) and Path(path).is_relative_to(kept):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more, **options)

    monkeypatch.setattr(io, "open", opened)
    with pytest.raises(PermissionError):
        load_newest(folder, *trained())


@pytest.mark.parametrize("name", [
    "step-mybackup", "step-00000020.old", "step-0000002x", "step-99",
    "step-\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661", "step-copy-of"])
def test_a_copy_under_another_name_is_no_checkpoint(folder, name):
    shutil.copytree(folder / "step-00000010", folder / name)
    assert [path.name for path in checkpoints(folder)] == [
        "step-00000010", "step-00000020"]
    assert load_newest(folder, *trained())["step"] == 20
    checkpoint.set_aside(folder, 20)
    save_checkpoint(folder, 30, *trained(), {})
    assert (folder / name).is_dir()


def test_a_copy_under_another_number_is_damage(folder):
    shutil.copytree(folder / "step-00000010", folder / "step-00000099")
    said = []
    assert load_newest(folder, *trained(), said.append)["step"] == 20
    assert "step-00000099 is damaged (it is of step 10)" in said[0]


def test_steps_beyond_eight_digits(folder):
    for step in (99_999_999, 100_000_000):
        save_checkpoint(folder, step, *trained(), {})
    assert load_newest(folder, *trained())["step"] == 100_000_000
    assert len(checkpoints(folder)) == 2


@pytest.mark.parametrize("act", [
    lambda folder: [save_checkpoint(folder, step, *trained(), {})
                    for step in (30, 40)],
    lambda folder: save_checkpoint(folder, 20, *trained(), {}),
    lambda folder: [checkpoint.set_aside(folder, 10),
                    (folder / "step-00000020").symlink_to(folder),
                    checkpoint.set_aside(folder, 10)]])
def test_a_link_to_a_checkpoint_elsewhere(folder, tmp_path, act):
    """A disk was full. What the link leads to is not ours to remove."""
    away = tmp_path / "another disk"
    (folder / "step-00000020").rename(away)
    (folder / "step-00000020").symlink_to(away)
    before = tiny.contents(away)
    assert load_newest(folder, *trained())["step"] == 20
    act(folder)
    assert tiny.contents(away) == before
    assert not (folder / "step-00000020").is_symlink()


def test_nothing_in_a_checkpoint_is_a_pickle(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.suffix in (".safetensors", ".json")
            assert b"\x80\x04" != path.read_bytes()[:2]
