"""The trainer: schedule, groups, accumulation, exact resume, divergence."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import tiny
import torch

from course_lib.machine.lock import locked
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.runs import open_run, prepare
from course_lib.text.corpus import load_corpus
from course_lib.training import trainer
from course_lib.training.log import Diverged, Log, read_log
from course_lib.training.optimizers import make_optimizer
from course_lib.training.schedule import learning_rate
from course_lib.training.signals import stop_signals
from course_lib.training.step import train_step

NEWBORN = tiny.PRESET.model
STEPS = tiny.PRESET.steps
pytestmark = pytest.mark.usefixtures("quick")

# Run with a folder: forks trainers and kills each at a random moment, as a
# machine that loses power would; the last one may finish.
KILLER = """
import os, random, sys, time
from course_lib.runs import open_run
from course_lib.training import checkpoint, trainer

folder, kills, longest = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
trainer.matmul_peak = lambda *of: 1e12
checkpoint.SAVE_SECONDS, checkpoint.SAVE_SHARE = 0, float("inf")
draw, killed = random.Random(kills), 0
while True:
    child = os.fork()
    if not child:
        open_run(folder).train(progress=False)
        os._exit(0)
    if killed < kills:
        time.sleep(draw.uniform(0, longest))
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        if status:
            sys.exit("the trainer failed")
        break
    killed += 1
print(killed)
"""


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """The bits of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(prepared, folder)
    open_run(folder).train(progress=False)
    return tiny.bits(folder)


def test_the_cosine_warms_up_and_ends_at_a_tenth():
    preset = replace(tiny.PRESET, schedule="cosine")
    peak, warmup = preset.learning_rate, preset.warmup_steps
    rates = [learning_rate(step, preset) for step in range(STEPS)]
    assert rates[0] == pytest.approx(peak / warmup)
    assert rates[warmup - 1] == rates[warmup] == peak
    assert rates[-1] == pytest.approx(peak / 10)
    assert rates == sorted(rates[:warmup]) + sorted(rates[warmup:])[::-1]
    middle = (warmup + STEPS - 1) // 2
    assert rates[middle] == pytest.approx(0.55 * peak, rel=0.05)


def test_other_schedules():
    rates = [learning_rate(step, replace(tiny.PRESET, schedule="wsd"))
             for step in range(STEPS)]
    peak, last = tiny.PRESET.learning_rate, round(STEPS / 5)
    assert rates[4:-last] == [peak] * (STEPS - last - 4)
    assert rates[-last:] == sorted(rates[-last:])[::-1]
    assert rates[-1] == pytest.approx(peak / last)
    steady = replace(tiny.PRESET, schedule="constant")
    assert {learning_rate(step, steady) for step in range(5, STEPS)} == {peak}
    with pytest.raises(ValueError, match="schedule 'linear' is none of"):
        replace(tiny.PRESET, schedule="linear")


@pytest.mark.parametrize("steps, warmup", [(1, 0), (1, 5), (2, 1), (3, 9)])
def test_the_schedule_of_very_short_runs(steps, warmup):
    preset = replace(tiny.PRESET, tokens=64 * steps, warmup_steps=warmup)
    rates = [learning_rate(step, preset) for step in range(steps)]
    assert all(0 < rate <= preset.learning_rate for rate in rates)


def test_only_matrices_decay():
    model = GPT(NEWBORN)
    decayed, spared = make_optimizer(model, tiny.PRESET).param_groups
    assert decayed["weight_decay"] == tiny.PRESET.weight_decay
    assert spared["weight_decay"] == 0
    assert all(p.dim() >= 2 for p in decayed["params"])
    assert all(p.dim() == 1 for p in spared["params"])
    assert (len(decayed["params"]) + len(spared["params"])
            == len(list(model.parameters())))


@pytest.mark.parametrize("micro_rows", [1, 3, 5])
def test_accumulated_gradients_are_the_whole_batchs(micro_rows):
    def step(micro_rows):
        torch.manual_seed(0)
        model = GPT(replace(NEWBORN, dropout=0.0)).double()
        batch = torch.randint(300, (2, 5, 16))
        for _ in range(3):
            _, norm = train_step(model, make_optimizer(model, tiny.PRESET),
                                 batch, 1e-3, 1.0, micro_rows)
        return torch.cat([p.flatten() for p in model.parameters()]), norm

    (weights, norm), (others, other_norm) = step(None), step(micro_rows)
    torch.testing.assert_close(weights, others, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm, other_norm, rtol=1e-12, atol=0)


@pytest.mark.parametrize("bad", [0, -1])
def test_micro_rows_must_be_rows(run, bad):
    with pytest.raises(ValueError, match="micro_rows must be 1 or more"):
        run.train(micro_rows=bad, progress=False)


def test_resumed_at_any_step_is_bit_identical(run, whole):
    for stop in (0, 1, 2, 13, 30, 30, STEPS - 1):
        assert run.train(stop_at=stop, progress=False).step == stop
        assert not run.finished
    assert run.train(progress=False).step == STEPS
    assert run.finished and tiny.bits(run.folder) == whole
    run.train(progress=False)  # once more, with nothing left to do
    assert tiny.bits(run.folder) == whole


def test_the_log_has_every_step_once(run):
    run.train(progress=False)
    steps = [r["step"] for r in run.log if "loss" in r]
    curve = [r["step"] for r in run.log if "val_loss" in r]
    assert steps == list(range(1, STEPS + 1))
    assert curve == list(range(0, STEPS + 1, STEPS // 20))
    assert set(run.log[1]) == {"step", "tokens", "loss", "learning_rate",
                               "grad_norm"}
    *times, last = [r["step"] for r in run.timing]
    assert times == sorted(set(times)) and times[-1] == last == STEPS


def test_the_dollars_count_all_that_is_paid_for(run, monkeypatch):
    """Compiling, evaluating and saving too, and steps that were lost."""
    monkeypatch.setattr(trainer, "hourly_price", lambda name: 3600.0)
    real, began = trainer.evaluate, time.monotonic()

    def slow(*args, **options):
        time.sleep(0.05)
        return real(*args, **options)

    monkeypatch.setattr(trainer, "evaluate", slow)
    run.train(stop_at=30, progress=False)
    half = run.timing[-1]
    assert half["seconds"] + 10 * 0.05 < half["elapsed"]
    shutil.rmtree(run.folder / "checkpoints")  # all thirty steps are lost
    run.train(progress=False)
    spent, last = time.monotonic() - began, run.timing[-1]
    assert last["elapsed"] == pytest.approx(spent, abs=0.5)
    assert last["elapsed"] > half["elapsed"] + 20 * 0.05
    assert last["dollars"] == pytest.approx(last["elapsed"])


def killed(folder, kills, longest):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, folder, str(kills), str(longest)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, timeout=600)
    assert not done.returncode, done.stderr
    return int(done.stdout.split()[-1])


def test_killed_at_random_moments_and_resumed(run, whole):
    assert killed(run.folder, 6, 0.4) > 0
    assert tiny.bits(run.folder) == whole
    assert not list(run.folder.rglob("partial-*"))


@pytest.mark.slow
def test_killed_a_hundred_times_and_resumed(run, whole):
    assert killed(run.folder, 100, 0.35) > 30
    assert tiny.bits(run.folder) == whole


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits(tmp_path, number):
    long = replace(tiny.PRESET, tokens=10**7)
    folder = tiny.make_run(tmp_path, long).folder
    child = subprocess.Popen(
        [sys.executable, "-m", "course_lib", "train", folder],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(600):
        if len(read_log(folder / "log.jsonl")) > 12:
            break
        time.sleep(0.1)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    last = max(r["step"] for r in read_log(folder / "log.jsonl"))
    assert f"stopped and saved at step {last:,}" in out
    assert (folder / "checkpoints" / f"step-{last:08d}").is_dir()


def test_a_second_ctrl_c_does_not_wait_for_a_save():
    # a shell that put the tests in the background had this ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), \
                stop_signals() as caught:
            signal.raise_signal(signal.SIGINT)
            assert caught == [signal.SIGINT]
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_checkpoints_come_as_often_as_asked(run, monkeypatch):
    saved = []
    monkeypatch.setattr(trainer.checkpoint, "save_checkpoint",
                        lambda folder, step, *more: saved.append(step))
    run.train(progress=False, save_seconds=0)
    assert len(saved) > 3 and saved[-1] == STEPS


def test_a_stop_during_an_evaluation_is_saved(run, monkeypatch):
    real = trainer.evaluate

    def evaluate(*args, **options):
        result = real(*args, **options)
        if len(read_log(run.folder / "log.jsonl")) > 20:
            signal.raise_signal(signal.SIGTERM)
        return result

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    result = run.train(progress=False)
    assert 0 < result.step < STEPS
    newest = max((run.folder / "checkpoints").iterdir())
    assert newest.name == f"step-{result.step:08d}"


def test_without_a_folder_half_a_run_is_none(run, monkeypatch):
    """Else a campaign that was told to stop would record it as a whole."""
    real = trainer.train_step

    def step(*args):
        signal.raise_signal(signal.SIGTERM)
        return real(*args)

    monkeypatch.setattr(trainer, "train_step", step)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(None, tiny.PRESET, run.train_tokens, run.val_tokens,
                      progress=False)
    monkeypatch.undo()
    ended = trainer.train(None, tiny.PRESET, run.train_tokens,
                          run.val_tokens, stop_at=3, progress=False)
    assert ended.step == 3 and len([r for r in ended.log if "loss" in r]) == 3


def test_two_processes_cannot_train_one_run(run, monkeypatch):
    def evaluate(*args, **options):
        with pytest.raises(BlockingIOError, match="another process"):
            open_run(run.folder).train(progress=False)
        return real(*args, **options)

    real = trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", evaluate)
    assert run.train(stop_at=1, progress=False).step == 1


@pytest.mark.parametrize("rank", ["0", "1", "7"])
def test_the_environment_does_not_open_the_lock(run, monkeypatch, rank):
    """A rank that somebody exported, and no other process."""
    monkeypatch.setenv("RANK", rank)
    test_two_processes_cannot_train_one_run(run, monkeypatch)
    with locked(run.folder), pytest.raises(BlockingIOError):
        trainer.train(run.folder, tiny.PRESET, run.train_tokens,
                      run.val_tokens, progress=False)


def test_other_data_is_refused(run, tmp_path):
    run.train(stop_at=5, progress=False)
    before = tiny.contents(run.folder / "checkpoints")
    corpus = load_corpus(tiny.write_text(tmp_path / "other", seed=1))
    other = prepare(tmp_path / "other-run", tiny.PRESET, corpus)
    for tokens, validation in ((other.train_tokens, run.val_tokens),
                               (run.train_tokens, other.val_tokens)):
        with pytest.raises(ValueError, match="other data"):
            trainer.train(run.folder, tiny.PRESET, tokens, validation,
                          progress=False)
    with pytest.raises(ValueError, match="another configuration"):
        trainer.train(run.folder, replace(tiny.PRESET, seed=1),
                      run.train_tokens, run.val_tokens, progress=False)
    assert tiny.contents(run.folder / "checkpoints") == before


def test_a_changed_token_is_noticed(run):
    run.train(stop_at=5, progress=False)
    path = run.folder / "train.bin"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="train.bin is damaged"):
        open_run(run.folder).train(progress=False)
    with pytest.raises(ValueError, match="train.bin is damaged"):  # a rung
        trainer.train(None, tiny.PRESET, open_run(run.folder).train_tokens,
                      run.val_tokens, progress=False)


def test_divergence_leaves_earlier_checkpoints_unharmed(run, monkeypatch):
    run.train(stop_at=20, progress=False)
    before = tiny.contents(run.folder / "checkpoints")
    real = train_step

    def poisoned(model, optimizer, batch, rate, *rest):
        loss, norm = real(model, optimizer, batch, rate, *rest)
        return loss * (math.nan if rate < 5e-3 else 1), norm

    monkeypatch.setattr(trainer, "train_step", poisoned)
    with pytest.raises(Diverged, match=r"^loss is nan at step \d+: lower"):
        run.train(progress=False)
    assert tiny.contents(run.folder / "checkpoints") == before
    monkeypatch.undo()
    assert run.train(progress=False).step == STEPS


def test_a_huge_learning_rate_diverges_in_one_line(tmp_path):
    wild = replace(tiny.PRESET, learning_rate=1e18)
    run = tiny.make_run(tmp_path, wild)
    with pytest.raises(Diverged) as caught:
        run.train(progress=False)
    assert "\n" not in str(caught.value)
    assert not run.started


def test_no_checkpoint_of_broken_weights(run, monkeypatch):
    real = train_step

    def poisoned(model, *rest):
        result = real(model, *rest)
        with torch.no_grad():
            model.head.fill_(math.inf)
        return result

    monkeypatch.setattr(trainer, "train_step", poisoned)
    with pytest.raises(Diverged, match="a weight is NaN .* after step 1"):
        run.train(stop_at=1, progress=False)
    assert not run.started


def test_the_log_forgets_what_was_not_saved(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [dict(step=0, val_loss=5.0), dict(step=1, loss=4.0),
             dict(step=2, loss=3.0), dict(step=2, val_loss=3.0),
             dict(step=3, loss=2.0)]
    path.write_text("".join(json.dumps(r) + "\n" for r in lines)
                    + '{"step": 4, "lo')
    Log(tmp_path, 2)
    assert read_log(path) == lines[:3]


@pytest.mark.parametrize("torn", ['{"step": 7', "7", '"step"', "[]", "\x00",
                                  '{"loss": 1}'])
def test_a_torn_line_is_left_out(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n' + torn)
    assert read_log(path) == [{"step": 1}]
    path.write_text('{"step": 1}\n' + torn + '\n{"step": 2}\n')
    assert read_log(path) == [{"step": 1}, {"step": 2}]


def test_tensorboard_shows_what_the_log_says(run):
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )
    run.train(stop_at=20, tensorboard=True, progress=False)
    board = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    losses = {r["step"]: r["loss"] for r in run.log if "loss" in r}
    shown = {e.step: e.value for e in board.Scalars("loss")}
    assert shown == pytest.approx(losses, rel=1e-6)
    assert "tokens_per_second" in board.Tags()["scalars"]


def test_the_loss_falls_on_stories(tmp_path):
    preset = replace(load_preset("smoke"), tokens=60 * 2048)
    run = prepare(tmp_path / "run", preset, load_corpus("stories:400"))
    result = run.train(progress=False)
    first = run.log[0]["val_loss"]
    assert first == pytest.approx(math.log(512), abs=0.15)
    assert result.evaluation.loss < first - 1.5
