"""`course train --model`: the trainer with the reader's GPT."""

import shutil
from pathlib import Path

import pytest
import torch

from course_lib.exercises.readers_gpt import from_file
from course_lib.model import GPT, GPTConfig
from course_lib.runs import open_run

HERE = Path(__file__).parent
FILES = [HERE / "solution.py", *sorted((HERE / "styles").glob("*.py"))]
CONFIG = GPTConfig(30, 8, n_layer=2, n_head=2, n_embd=12)
SMALL = ["--preset", "smoke", "--vocab", "300", "--context", "16",
         "--layers", "2", "--heads", "2", "--width", "16",
         "--tokens", "2560", "--batch", "64"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_weights_are_the_package_s_and_back(path):
    mine = from_file(path, CONFIG)
    theirs = GPT(CONFIG)
    theirs.load_state_dict(mine.state_dict())
    ids = torch.randint(30, (3, 8))
    torch.testing.assert_close(mine(ids), theirs(ids))
    torch.testing.assert_close(mine.loss(ids, ids), theirs.loss(ids, ids))
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_(std=0.3)
    mine.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(mine(ids), theirs(ids), rtol=1e-4, atol=1e-5)
    back = mine.state_dict()
    assert all(torch.equal(back[name], value)
               for name, value in theirs.state_dict().items())
    with pytest.raises(RuntimeError):
        mine.load_state_dict(GPT(GPTConfig(31, 8, 2, 2, 12)).state_dict())


def test_a_square_matrix_the_other_way_round_is_told_apart(tmp_path):
    """x @ W instead of x @ W.T, in matrices that have no other sign."""
    text = (HERE / "solution.py").read_text()
    text = text.replace("self.c_proj = nn.Linear(config.n_embd, "
                        "config.n_embd)",
                        "self.out = Turned(config.n_embd, config.n_embd)")
    text = text.replace("self.c_attn = nn.Linear(config.n_embd, "
                        "3 * config.n_embd)",
                        "self.make = Turned(config.n_embd, "
                        "3 * config.n_embd)")
    text = text.replace("self.c_attn(", "self.make(").replace(
        "return self.c_proj(y.", "return self.out(y.")
    text = text.replace("class SelfAttention", '''class Turned(nn.Linear):
    def __init__(self, rows, columns):
        super().__init__(columns, rows)
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x):
        return x @ self.weight + self.bias


class SelfAttention''')
    path = tmp_path / "turned.py"
    path.write_text(text)
    mine, theirs = from_file(path, CONFIG), GPT(CONFIG)
    with torch.no_grad():
        for p in mine.parameters():
            p.normal_(std=0.3)
    theirs.load_state_dict(mine.state_dict())
    ids = torch.randint(30, (3, 8))
    torch.testing.assert_close(mine(ids), theirs(ids), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_with_a_reader_s_gpt_is_a_run_like_any_other(
        here, quick, course, tmp_path):
    out, style = tmp_path / "run", HERE / "styles" / "with_einsum.py"
    assert course("prepare", *SMALL, "--corpus", "stories:200",
                  "--out", out)[0] == 0
    path = shutil.copy(style, tmp_path / "mine.py")
    broken = Path(path).read_text().replace("x / 2 *", "x *")
    (tmp_path / "broken.py").write_text(broken)
    code, _, err = course("train", out, "--model", tmp_path / "broken.py")
    assert code == 2 and "course check" in err and err.count("\n") == 1
    run = open_run(out)
    run.train(model=from_file(path, run.preset.model), stop_at=10,
              compiles=False)
    code, _, err = course("train", out, "--resume", "--model", path)
    assert code == 2 and "another GPT" in err  # begun without the mark
    shutil.rmtree(out / "checkpoints")
    code, said, err = course("train", out, "--model", path)
    assert code == 0, err
    assert "bits per byte" in said
    code, _, err = course("train", out, "--resume")
    assert code == 0  # finished: there is nothing to go on with
    code, again, _ = course("evaluate", out)
    assert code == 0 and again.split(",")[0] == said.split(",")[0]
    assert course("sample", out, "--tokens", "5")[0] == 0
    shutil.rmtree(out / "checkpoints" / "step-00000040")
    code, _, err = course("train", out, "--resume")
    assert code == 2 and "--model" in err


def test_another_recipe_is_refused(here, quick, course, tmp_path):
    out = tmp_path / "run"
    assert course("prepare", *SMALL, "--corpus", "stories:200", "--recipe",
                  "modern", "--out", out)[0] == 0
    code, _, err = course("train", out, "--model", HERE / "solution.py")
    assert code == 2 and "--recipe gpt2" in err
