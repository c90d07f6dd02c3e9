"""A reader's file: empty, complete, broken, in other people's styles, and
hostile."""

import ast
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_lib.exercises import process, worker
from course_lib.exercises.bank import find
from course_lib.exercises.file import ReadersFile
from course_lib.exercises.names import NAMES

HERE = Path(__file__).parent
SOLUTION = HERE / "solution.py"

# One way to break each step of the solution.
BREAKS = {
    "bigram_counts": ("ids[:-1] * vocab_size + ids[1:]",
                      "ids[1:] * vocab_size + ids[:-1]"),
    "bigram_loss": ("table = counts + 0.01", "table = counts + 0.02"),
    "softmax": ("(logits - logits.amax(-1, keepdim=True)).exp()",
                "logits.exp()"),
    "cross_entropy": ("counts = targets != -100", "counts = targets >= -100"),
    "embed": ("tokens[ids] + positions[:ids.shape[1]]", "tokens[ids]"),
    "attention": ("device=q.device).triu(1)", "device=q.device).triu(2)"),
    "self_attention": ("transpose(1, 2).reshape(B, T, C)",
                       "reshape(B, T, C)"),
    "mlp": ('approximate="tanh"', 'approximate="none"'),
    "block": ("x = x + self.attn(self.ln_1(x))",
              "x = self.attn(self.ln_1(x))"),
    "gpt": ("parts.ln_f(x) @", "x @"),
    "first_weights": ("math.sqrt(2 * config.n_layer)",
                      "math.sqrt(config.n_layer)"),
    "causal_loss": ("logits[:, :-1].flatten(0, 1), ids[:, 1:]",
                    "logits.flatten(0, 1), ids"),
    "chinchilla": ("(beta / both)", "(alpha / both)"),
    "bpe_train": ("-p[0], -p[1])", "p[0], p[1])"),
    "bpe_encode": ("ids = merged(ids, tuple(pair), 256 + place)",
                   "ids = merged(ids, tuple(pair), 257 + place)"),
    "bpe_decode": ('errors="replace"', 'errors="ignore"'),
    "pack": ("row = [eot]", "row = []"),
    "batch": ("windows[:, 1:]", "windows[:, :-1]"),
    "adamw": ("m / (1 - 0.9**step)", "m"),
    "clip": ("g * (largest / norm)", "g.clamp(-largest, largest)"),
    "learning_rate": ("peak * (step + 1)", "peak * step"),
    "training_step": ("(len(x) / len(inputs))", "1"),
    "probabilities": ("logits.double() / temperature",
                      "logits.double() * temperature"),
    "cached_attention": ("tril(S - T)", "tril()"),
    "generate": ("return row[len(ids):]", "return row"),
    "bits_per_byte": ("/ math.log(2) / bytes", "/ bytes"),
    "rotary": ("start + torch.arange(T)", "torch.arange(T)"),
    "muon": ("X = X / X.norm()", "pass"),
}


def verdicts(path, names=NAMES, seconds=20.0) -> dict:
    return {v.step: v for v in process.check_file(path, [*names], seconds)}


@pytest.fixture
def written(tmp_path):
    """Write a file; returns its path."""
    def write(text):
        path = tmp_path / "my_gpt.py"
        path.write_text(text)
        return path
    return write


def test_the_solution_passes_in_a_child(course):
    code, out, err = course("check", SOLUTION)
    assert code == 0 and f"{len(NAMES)} right" in out, out + err


def test_a_new_file_is_empty_and_has_the_solution_s_signatures(
        here, course, tmp_path):
    path = tmp_path / "my_gpt.py"
    assert course("new", path)[0] == 0
    assert {v.status for v in verdicts(path).values()} == {"not begun"}
    empty, full = (
        {node.name: ast.unparse(node.args) if isinstance(
            node, ast.FunctionDef) else "" for node in ast.parse(
                p.read_text()).body if hasattr(node, "name")}
        for p in (path, SOLUTION))
    helpers = full.keys() - empty.keys()
    assert empty == {n: full[n] for n in empty} and helpers == {"merged"}
    assert all(ast.get_docstring(node) for node in ast.parse(
        path.read_text()).body if hasattr(node, "name"))
    before = path.read_text()
    code, out, err = course("new", path)
    assert code == 2 and "exists" in err and path.read_text() == before


def users(name):
    """The steps whose code in the solution uses this one's."""
    file = ReadersFile(SOLUTION)
    return [other for other in NAMES
            if name in worker.standing_on(file, other)]


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_broken_step_fails(here, written, name):
    """What uses it waits for it; the code of all others is unchanged."""
    old, new = BREAKS[name]
    text = SOLUTION.read_text()
    part = ast.get_source_segment(text, function(find(name).objects))
    assert part.count(old) == 1 and text.count(part) == 1
    path = written(text.replace(part, part.replace(old, new)))
    found = verdicts(path, [name, *users(name)])
    assert found.pop(name).status == "wrong"
    assert {v.status for v in found.values()} <= {"right", "waits"}


@pytest.mark.slow
def test_of_all_steps_only_the_broken_ones_fail(here, written):
    text = SOLUTION.read_text()
    broken = ("attention", "bpe_train", "clip", "rotary")
    for name in broken:
        text = text.replace(*BREAKS[name])
    found = verdicts(written(text))
    assert {n for n, v in found.items() if v.status == "wrong"} == {*broken}
    assert {n for n, v in found.items() if v.status == "waits"} == {
        "self_attention", "block", "gpt", "training_step"}
    assert {v.status for v in found.values()} == {"right", "wrong", "waits"}


@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_step_is_not_begun_and_its_users_wait(
        here, written, name):
    text = SOLUTION.read_text()
    node = function(find(name).objects)
    path = written(text.replace(ast.get_source_segment(text, node), ""))
    found = verdicts(path, [name, *users(name)])
    assert found.pop(name).status == "not begun"
    assert {v.status for v in found.values()} <= {
        "right", "waits", "not begun"}


def function(names):
    """The solution's definition of one of these names."""
    tree = ast.parse(SOLUTION.read_text())
    return next(node for node in tree.body
                if getattr(node, "name", None) in names)


@pytest.mark.parametrize("style", sorted(
    path.stem for path in (HERE / "styles").glob("*.py")))
def test_files_in_other_styles_are_right(here, style):
    found = verdicts(HERE / "styles" / f"{style}.py", [
        "self_attention", "mlp", "block", "gpt", "first_weights"])
    assert {v.status for v in found.values()} <= {"right", "not begun"}
    assert found["gpt"].right and found["first_weights"].right


def test_nanogpt_s_exact_gelu_is_named_and_what_uses_it_waits(here, written):
    text = (HERE / "styles/like_nanogpt.py").read_text()
    found = verdicts(written(text.replace('approximate="tanh"', "")),
                     ["mlp", "block", "gpt"])
    assert "exact GELU" in found["mlp"].mistake
    assert found["block"].status == found["gpt"].status == "waits"


def test_a_loader_of_one_s_own(here, written):
    """Queries, keys and values in one matrix, but interleaved."""
    text = SOLUTION.read_text().replace(
        "part.view(B, T, self.n_head, -1).transpose(1, 2)\n"
        "                   for part in self.c_attn(x).chunk(3, dim=-1)",
        "part.view(B, T, self.n_head, -1).transpose(1, 2)\n"
        "                   for part in (self.c_attn(x)[..., i::3]\n"
        "                                for i in range(3))")
    assert not verdicts(written(text), ["self_attention"])[
        "self_attention"].right
    text += '''

def load_gpt2(module, weights):
    own = dict(module.named_parameters())
    with torch.no_grad():
        for name, values in weights.items():
            if "c_attn" in name:
                values = values.unflatten(0, (3, -1)).transpose(
                    0, 1).flatten(0, 1)
            own[name].copy_(values)
'''
    found = verdicts(written(text), ["self_attention", "gpt"])
    assert found["self_attention"].right and found["gpt"].right, found


@pytest.mark.parametrize("text, what", [
    ("def softmax(logits)\n    return 1", "line 1: expected ':'"),
    ("import no_such_module", "line 1: ModuleNotFoundError"),
    ("x = 1\nx / 0", "line 2: ZeroDivisionError"),
    ("raise SystemExit(3)", "SystemExit"),
    ("x = 1\nraise KeyboardInterrupt", "line 2: KeyboardInterrupt"),
    ("import os; os._exit(3)", "exit code 3"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
])
def test_a_file_that_cannot_be_run(course, written, text, what):
    code, out, err = course("check", written(text))
    assert code == 2 and what in err and err.count("\n") == 1, err
    assert "Traceback" not in out + err


def test_a_file_that_does_not_end_is_stopped(course, written):
    began = time.monotonic()
    code, out, err = course("check", written("while True:\n    pass"),
                            "--seconds", "1")
    assert code == 2 and "more than 1 seconds" in err, err
    assert time.monotonic() - began < 60


def test_what_lies_next_to_the_file_hides_nothing_and_can_be_imported(
        written, tmp_path):
    for name in ("random", "copy", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit")
    (tmp_path / "helper_of_mine.py").write_text("EOT_TWICE = 2")
    path = written("import random, torch\n"
                   "from helper_of_mine import EOT_TWICE\n"
                   "def pack(documents, eot):\n"
                   "    return [eot] * EOT_TWICE\n")
    done = subprocess.run(
        process.child_of("worker", path, 5, "pack"), cwd=tmp_path,
        capture_output=True, text=True)
    assert '"status": "wrong"' in done.stdout, done.stdout + done.stderr


def test_no_file(course, tmp_path):
    code, _, err = course("check", tmp_path / "none.py")
    assert code == 2 and "No such file" in err
    code, _, err = course("check", tmp_path / "none.py", "sotfmax")
    assert code == 2 and "softmax" in err


def test_loops_crashes_and_exits_end_in_verdicts(course, written):
    path = written('''
import os, sys, time
import torch
def bigram_counts(ids, vocab_size):
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass
def softmax(logits):
    print("a print of the reader's")
    os._exit(5)
def embed(ids, tokens, positions):
    sys.exit("enough")
def attention(q, k, v):
    return attention(q, k, v)
def cross_entropy(logits, targets):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
def probabilities(*a, **k):
    return [0] * 10**9
class Silent(Exception):
    def __str__(self):
        raise self
def clip(gradients, largest):
    raise Silent
def adamw(weight, gradient, m, v, step, rate, decay=0.1):
    raise KeyboardInterrupt
def muon(gradient, iterations=5):
    exit()
def pack(documents, eot):
    return [eot, *(i for d in documents for i in [*d, eot])]
def rotary(x, start=0):
    torch.Tensor.__eq__ = None  # and so the last
''')
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", "check", str(path), "--seconds",
         "1"], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in (
        done.stdout + done.stderr)
    assert "a print of the reader's" in done.stderr
    for line in ("bigram_counts: stopped", "softmax: stopped",
                 "it ended the process (exit code 5)", "embed: wrong",
                 "raised SystemExit: enough", "attention: wrong",
                 "RecursionError", "probabilities: wrong", "MemoryError",
                 "cross_entropy: stopped", "pack: right",
                 "raised Silent", "the check ended in KeyboardInterrupt",
                 ": exit()", "what is right raises",
                 "does the file change torch"):
        assert line in done.stdout, done.stdout
    assert time.monotonic() - began < 120


def test_hints_lead_to_the_book(course):
    assert "triu(1)" in course("check", SOLUTION, "attention", "--hint",
                               "2")[1]
    repo = HERE.parents[1]
    for name in NAMES:
        step = find(name)
        first, second, third = step.all_hints
        chapter = (repo / "notebooks" / f"{step.chapter}.py").read_text()
        assert f"# {step.section}\n" in chapter, name
        assert step.section in third and first and second
    out = course("check", SOLUTION, "gpt", "--hint")[1]
    assert "gpt: " in out and "--hint 2" in out


def test_watching_checks_again_after_a_save(tmp_path):
    path = shutil.copy(SOLUTION, tmp_path / "my_gpt.py")
    text = Path(path).read_text()
    Path(path).write_text(text.replace("row = [eot]", "row = []"))
    watch = subprocess.Popen(
        [sys.executable, "-u", "-m", "course_lib", "check", path, "pack",
         "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    try:
        until(watch, "pack: wrong: no end-of-text at the beginning")
        Path(path).write_text("def pack(")
        until(watch, "never closed")
        Path(path).write_text(text)
        until(watch, "pack: right")
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()
        watch.stderr.close()


def until(process, what) -> None:
    """Read on until a line has this in it."""
    seen = ""
    for line in process.stdout:
        seen += line
        if what in line:
            return
    raise AssertionError(seen + process.stderr.read())
