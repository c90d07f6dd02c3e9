"""How often a run was interrupted, and when."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime

import pytest
import tiny

from course_lib.cli.main import main
from course_lib.machine.files import write_json
from course_lib.runs import open_run
from course_lib.training import sessions

pytestmark = pytest.mark.usefixtures("quick")
STEPS = tiny.PRESET.steps

# Trains, and is killed while it evaluates after a step.
KILLED = """
import os, signal, sys
from course_lib.runs import open_run
folder, last = sys.argv[1], int(sys.argv[2])
open_run(folder).train(progress=False, save_seconds=0, heard=lambda step, loss:
    os.kill(os.getpid(), signal.SIGKILL) if step == last else None)
"""


def kill_at(folder, step):
    done = subprocess.run([sys.executable, "-c", KILLED, folder, str(step)],
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL


def tell_at(stop):
    return lambda step, loss: signal.raise_signal(signal.SIGTERM) \
        if step == stop else None


def test_every_session_is_counted_and_the_bits_stay(run, tmp_path, capsys):
    alone = open_run(shutil.copytree(run.folder, tmp_path / "alone"))
    alone.train(progress=False)
    [session] = alone.sessions
    assert (session["step"], session["last_step"], session["ended"]) \
        == (0, STEPS, "done")
    assert sessions.in_words(alone.sessions) == "not interrupted"

    run.train(progress=False, stop_at=12)  # which interrupts nothing
    kill_at(run.folder, 30)
    assert sessions.interruptions(run.sessions) == []  # is it training?
    run.train(progress=False, heard=tell_at(45))
    run.train(progress=False)
    assert tiny.bits(run.folder) == tiny.bits(alone.folder)
    assert [(s["step"], s["last_step"], s["ended"]) for s in run.sessions] \
        == [(0, 12, "done"), (12, 30, "killed"), (30, 46, "told to stop"),
            (46, STEPS, "done")]
    dates = [datetime.fromisoformat(s[name]) for s in run.sessions
             for name in ("date", "last_date")]
    assert dates == sorted(dates)
    assert {s["device"] for s in run.sessions} == {run.timing[0]["device"]}
    assert main(["train", str(run.folder), "--resume"]) == 0
    assert capsys.readouterr().out.endswith(
        "of wall clock, interrupted 2 times, after steps 30, 46\n")


def test_the_clock_counts_what_was_lost(run):
    kill_at(run.folder, 30)
    before = run.hours
    shutil.rmtree(run.folder / "checkpoints")
    kill_at(run.folder, 0)  # before it wrote a line of its own
    assert run.timing == [] and run.hours == before > 0
    run.train(progress=False)
    assert run.hours > before
    assert [s["elapsed"] for s in run.sessions[1:]] == pytest.approx(
        [before * 3600] * 2)


@pytest.mark.parametrize("found", [
    None, {}, {"sessions": 1}, {"sessions": [1]}, {"sessions": [{}]},
    {"sessions": [dict(step=True, date="")]},
    {"sessions": [dict(step=1, date="", elapsed="x")]}])
def test_a_damaged_file_begins_anew(run, found):
    write_json(run.folder / sessions.FILE, found)
    assert run.sessions == []
    run.train(progress=False, stop_at=1)
    assert len(run.sessions) == 1


def test_many_are_not_all_named():
    many = [dict(step=0, date="", last_step=1_000 * n, ended="killed")
            for n in range(1, 8)]
    assert sessions.in_words(many[:1]) == "interrupted once, after step 1,000"
    assert sessions.in_words(many).endswith(
        "7 times, after steps 1,000, 2,000, 3,000, 4,000, 5,000 and 2 more")
