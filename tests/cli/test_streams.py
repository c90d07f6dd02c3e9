"""Wherever a command's words go, its work is done and its exit code true."""

import os
import random
import subprocess
import sys

import pytest
import tiny

from course_lib.cli import main
from course_lib.cli.streams import mistake
from course_lib.machine.lines import one_line
from course_lib.runs import open_run

# Run with a place for each stream and a command line; the interpreter is
# left as always, because it flushes then. Where a stream goes: `gone` is a
# pipe that nobody reads, `closed` is none at all, else a file.
CHILD = """
import os, sys
from course_lib.cli import main
from course_lib.training import trainer
trainer.matmul_peak = lambda *of: 1e12
sys.exit(main.main(sys.argv[3:]))
"""


def course(out, err, *command, **environment):
    """(exit code, what was written on neither of the two) of a command."""
    def wire():
        for number, place in ((1, out), (2, err)):
            if place == "closed":
                os.close(number)
            elif place == "gone":
                reader, writer = os.pipe()
                os.close(reader)
                os.dup2(writer, number)
            elif place:
                os.dup2(os.open(place, os.O_WRONLY), number)

    done = subprocess.run(
        [sys.executable, "-c", CHILD, out, err, *map(str, command)],
        capture_output=True, text=True, preexec_fn=wire,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "",
                          "TQDM_MININTERVAL": "0"} | environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("out, err", [
    ("gone", "gone"), ("", "closed"), ("closed", "/dev/full")])
def test_training_does_not_need_to_be_watched(run, out, err):
    assert course(out, err, "train", run.folder)[0] == 0
    assert open_run(run.folder).finished
    for tokens in (run.train_tokens, run.val_tokens):
        tokens.verify()  # and nobody wrote words into it


def test_preparing_does_not_need_to_be_watched(tmp_path):
    text, folder = tiny.write_text(tmp_path / "text"), tmp_path / "r\u00fcn"
    code, _, err = course(
        "gone", "", "prepare", "--corpus", text, "--preset", "smoke",
        "--vocab", 300, "--context", 16, "--tokens", 2560, "--batch", 64,
        "--out", folder, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert open_run(folder).train_tokens.verify() is None


def test_a_pipe_that_breaks_elsewhere_is_an_error(monkeypatch, capsys):
    """Only a reader of the output who has seen enough ends well."""
    def doctor(options):
        """Fail."""
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(main, "doctor", doctor)
    assert main.main(["doctor"]) == 2
    assert capsys.readouterr().err == "course doctor: Broken pipe\n"


def test_what_others_say_is_one_line_without_controls():
    line = one_line("\x1b[2Jgone\r\nhidden\u202etxt.exe\x00 \u00e9 \U0001f333")
    assert line == "[2Jgone hidden txt.exe \u00e9 \U0001f333"
    draw = random.Random(0)
    for _ in range(300):
        words = "".join(chr(draw.choice([draw.randrange(0x100), draw.randrange(
            0xD800)])) for _ in range(draw.randrange(900)))
        for said in (one_line(words), mistake(ValueError(words)),
                     mistake(OSError(5, words, words))):
            assert said.isprintable() and len(said) <= 1000
    assert mistake(ZeroDivisionError()) is None
