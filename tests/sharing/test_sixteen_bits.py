"""A folder in 16 bits, and all that takes a run as well as a folder."""

import io
import json
import math

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from course_lib.cli import main as cli
from course_lib.recipes import find_recipe
from course_lib.sharing.gguf_file import GGUF
from course_lib.sharing.hugging_face import save_hf
from course_lib.sharing.own_page import as_html
from course_lib.sharing.publish import FILES, export_run
from course_lib.text.split import is_validation

PROMPT = "the cat saw"


@pytest.fixture(scope="module", params=["gpt2", "modern"])
def run(request, tmp_path_factory):
    preset = find_recipe(request.param).at(tiny.PRESET)
    with tiny.quick_training():
        made = tiny.make_run(tmp_path_factory.mktemp("run"), preset)
        made.train(progress=False)
    return made


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """The run, exported in bfloat16."""
    target = tmp_path_factory.mktemp("hf") / "small"
    assert cli.main(["export", str(run.folder), "--to", str(target),
                     "--precision", "bfloat16"]) == 0
    return target


def test_transformers_has_the_same_logits(run, folder):
    """To the last bit but rounding in the products, of the rounded weights;
    and near those of the whole ones: a weight lost at most a 512th."""
    theirs = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32).eval()
    ids = torch.tensor([run.tokenizer.encode(PROMPT)[:16]])
    judge = AutoTokenizer.from_pretrained(folder)
    assert judge(PROMPT).input_ids[:16] == ids[0].tolist()
    ours = run.model()
    rounded = run.model().bfloat16().float()
    with torch.no_grad():
        logits = theirs(ids).logits
        assert (logits - rounded(ids)).abs().max() < 1e-4
        size = ours(ids).std()
        assert 0 < (logits - ours(ids)).abs().max() < 0.03 * size
    stored = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert stored.dtype == torch.bfloat16
    assert json.loads((folder / "config.json").read_text())[
        "dtype"] == "bfloat16"


def test_half_the_bytes_and_a_card_that_says_so(run, folder, tmp_path,
                                                course):
    export_run(run, tmp_path / "whole")
    small, whole = ((at / "model.safetensors").stat().st_size
                    for at in (folder, tmp_path / "whole"))
    assert small < 0.6 * whole  # names weigh something in so small a model
    assert "rounded to bfloat16" in (folder / "README.md").read_text()
    assert "rounded" not in (tmp_path / "whole/README.md").read_text()
    assert "| interruptions | not interrupted |" in (
        folder / "README.md").read_text()
    # the same weights in another format are another folder's
    code, _, err = course("export", run.folder, "--to", folder)
    assert code == 2 and "is not empty" in err
    again = course("export", run.folder, "--to", folder, "--precision",
                   "bfloat16")
    assert again[:2] == (0, f"{folder} holds this model already, and was "
                            "left as it is\n")


def test_it_is_measured_like_the_run(run, folder, course):
    code, out, err = course("evaluate", folder, "--text", run.folder,
                            "--json")
    assert not code, err
    assert json.loads(out)["bits_per_byte"] == pytest.approx(
        run.log[-1]["val_bits_per_byte"], abs=0.01)


def test_only_what_is_held_out(run, folder, tmp_path, course):
    texts = [f"the cat saw {number} trees" for number in range(100)]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    held_out = [text for text in texts if is_validation(text)]
    assert 0 < len(held_out) < 20
    evaluate = ["evaluate", folder, "--json", "--text", file]
    for extra, expected in ([], texts), (["--held-out"], held_out):
        size = json.loads(course(*evaluate, *extra)[1])["bytes"]
        assert size == sum(map(len, expected))
    code, _, err = course("evaluate", run.folder, "--held-out")
    assert code == 2 and "goes with --text" in err


def test_ways_to_sample(folder, course, monkeypatch):
    sample = ["sample", folder, "--seed", 3, "--tokens", 12, "-n", 2,
              "--prompt", PROMPT]
    code, whole, _ = course(*sample)
    assert not code and whole.count(PROMPT) == 2
    assert course(*sample, "--stream")[1] == whole
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PROMPT}\n"))
    assert course(*sample, "--interactive")[:2] == (0, whole)
    code, out, _ = course(*sample, "--int8")
    assert not code and out.count(PROMPT) == 2


def test_a_folder_is_exported_as_a_run_is(run, folder, tmp_path, course):
    before = tiny.contents(folder)
    target = tmp_path / "copy"
    code, out, err = course("export", folder, "--to", target, "--gguf",
                            "--page", "--push", "me/cats", "--dry-run")
    assert not code, err
    assert {path.name for path in target.iterdir()} == {
        *FILES, GGUF, "page.html"}
    for name in {*FILES} - {"config.json"}:  # which has a dropout in a run's
        assert (target / name).read_bytes() == (folder / name).read_bytes()
    page = (target / "page.html").read_text()
    assert f"{math.exp(run.log[-1]['val_loss']):.2f}" in page
    assert "rounded to bfloat16" in page
    assert tiny.contents(folder) == before
    code, _, err = course("export", folder, "--to", target, "--license",
                          "mit")
    assert code == 2 and "README.md" in err
    wide = tmp_path / "wide"
    assert course("export", folder, "--to", wide, "--precision",
                  "float32")[0] == 0
    assert "rounded to float32" not in (wide / "README.md").read_text()


def test_without_a_card(run, tmp_path, course):
    save_hf(run.model(), run.tokenizer, tmp_path / "hf")
    code, out, _ = course("export", tmp_path / "hf", "--page")
    assert not code and "hf/page.html: " in out
    assert "No card stands beside it" in (
        tmp_path / "hf/page.html").read_text()


def test_a_card_from_anywhere_runs_nothing():
    made = as_html("<script>alert(1)</script>\n\n[x](javascript:alert(1))\n")
    assert "<script" not in made and "href" not in made
