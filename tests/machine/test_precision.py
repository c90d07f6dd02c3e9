"""Number formats, and gradients that are no numbers."""

import math
import shutil

import pytest
import tiny
import torch

from course_lib.machine.device import autocast, has_kernels
from course_lib.model.gpt import GPT
from course_lib.runs import open_run
from course_lib.training.log import Diverged, read_log
from course_lib.training.optimizers import make_optimizer
from course_lib.training.step import train_step

STEPS = tiny.PRESET.steps
pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("capability, built_for, runs", [
    ((7, 0), ["sm_75", "sm_80", "sm_90"], False),  # a V100 and CUDA 13
    ((7, 0), ["sm_70", "sm_80"], True),
    ((8, 9), ["sm_80"], True),                     # same major version
    ((8, 0), ["sm_86"], False),
    ((12, 0), ["sm_90", "compute_90"], True),      # compiled when loaded
    ((9, 0), ["sm_90a"], True), ((7, 5), [], False)])
def test_a_gpu_needs_kernels_made_for_it(capability, built_for, runs):
    assert has_kernels(capability, built_for) is runs


def test_an_unknown_number_format_is_refused(run):
    with pytest.raises(ValueError, match="'int8' is none of bfloat16"):
        autocast("cpu", "int8")
    with pytest.raises(ValueError, match="none of bfloat16"):
        run.train(number_format="float8", progress=False)


@pytest.fixture(scope="module")
def half(prepared, tmp_path_factory):
    """A whole run in float16."""
    folder = tmp_path_factory.mktemp("half") / "run"
    run = open_run(shutil.copytree(prepared, folder))
    result = run.train(number_format="float16", progress=False)
    assert result.step == STEPS
    return run


def test_float16_with_scaling_learns_as_well(half, run):
    full = run.train(progress=False).evaluation.loss
    assert half.log[-1]["val_loss"] == pytest.approx(full, abs=0.05)
    assert tiny.bits(half.folder) != tiny.bits(run.folder)


def test_a_float16_run_resumes_to_the_bit(half, run):
    run.train(number_format="float16", stop_at=23, progress=False)
    run.train(number_format="float16", progress=False)
    assert tiny.bits(run.folder) == tiny.bits(half.folder)


def test_a_step_whose_scale_was_too_large_is_skipped(run, monkeypatch):
    """The first scale is made to overflow float16; halving mends it."""
    real = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: real(
        device, init_scale=2.0**22, enabled=enabled))
    result = run.train(number_format="float16", progress=False)
    skipped = [r for r in run.log if r.get("skipped")]
    assert skipped and all(r["grad_norm"] is None for r in skipped)
    assert result.step == STEPS
    assert result.evaluation.loss < run.log[0]["val_loss"] - 0.3


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_changes_nothing(poison):
    torch.manual_seed(0)
    model = GPT(tiny.PRESET.model)
    optimizer = make_optimizer(model, tiny.PRESET)
    batch = torch.randint(300, (2, 4, 16))
    train_step(model, optimizer, batch, 1e-2, 1.0)
    before = {n: p.clone() for n, p in model.named_parameters()}
    hook = model.head.register_hook(lambda grad: grad * poison)
    _, norm = train_step(model, optimizer, batch, 1e-2, 1.0)
    assert not norm.isfinite()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    hook.remove()
    _, norm = train_step(model, optimizer, batch, 1e-2, 1.0)
    assert norm.isfinite()
    assert not torch.equal(model.head, before["transformer.wte.weight"])


def test_divergence_names_the_last_good_checkpoint(run, monkeypatch):
    run.train(stop_at=20, progress=False)
    monkeypatch.setattr("course_lib.training.trainer.learning_rate",
                        lambda step, preset: 1e30 if step > 30 else 1e-3)
    with pytest.raises(Diverged, match="step-00000020 is the last good"):
        run.train(progress=False)
    assert max(r["step"] for r in read_log(run.folder / "log.jsonl")) >= 20


def test_the_number_format_of_a_run_is_kept_to(run, prepared, tmp_path):
    """A resume that asks for nothing goes on as the run began, and ends in
    the same bits; one that asks for another format gets it, and says so."""
    whole = open_run(shutil.copytree(prepared, tmp_path / "whole"))
    whole.train(number_format="bfloat16", progress=False)
    run.train(number_format="bfloat16", stop_at=10, progress=False)
    assert run.number_format == "bfloat16"
    shutil.copytree(run.folder, tmp_path / "changed")
    run.train(progress=False)
    assert tiny.bits(run.folder) == tiny.bits(whole.folder)
    assert not [r for r in run.log if "note" in r]
    changed = open_run(tmp_path / "changed")
    changed.train(number_format="float32", progress=False)
    [note] = [r["note"] for r in changed.log if "note" in r]
    assert note.startswith("float32 from here on: not bit-identical")
    assert changed.number_format == "float32"
    assert tiny.bits(changed.folder) != tiny.bits(whole.folder)
