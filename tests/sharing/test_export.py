"""Each recipe's run, exported and read again, from the command line."""

import json
import sys
from dataclasses import replace

import pytest
import tiny
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from course_lib.measuring.evaluation import evaluate
from course_lib.recipes import find_recipe
from course_lib.runs import open_run
from course_lib.sharing.gguf_file import GGUF
from course_lib.sharing.model_card import model_card
from course_lib.sharing.publish import FILES, export_run, push

TAGS = {"2023": "gpt2", "gpt2": "gpt2", "modern": "qwen3"}
PROMPT = "the cat saw Jos\u00e9"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A trained run of each recipe."""
    made = {}
    with tiny.quick_training():
        for name in TAGS:
            preset = find_recipe(name).at(tiny.PRESET)
            run = tiny.make_run(tmp_path_factory.mktemp(name), preset)
            run.train(progress=False)
            made[name] = open_run(run.folder)
    return made


@pytest.fixture(params=TAGS)
def run(runs, request):
    return runs[request.param]


def test_every_recipe_loads_in_transformers(run, course, tmp_path):
    assert course("export", run.folder, "--to", tmp_path / "hf")[0] == 0
    assert sorted(path.name for path in (tmp_path / "hf").iterdir()) == \
        sorted(FILES)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    assert hf.config.model_type == TAGS[run.preset.recipe]
    ids = run.tokenizer.encode(PROMPT)[:16]
    judge = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert judge(PROMPT).input_ids[:16] == ids
    with torch.no_grad():
        assert (run.model()(torch.tensor([ids]))
                - hf(torch.tensor([ids])).logits).abs().max() < 1e-4


def test_the_same_bits_per_byte(run, course, tmp_path):
    """Of the run, and of what was exported of it on the run's text."""
    export_run(run, tmp_path / "hf")
    code, out, _ = course("evaluate", run.folder, "--json")
    assert not code
    code, again, _ = course("evaluate", tmp_path / "hf", "--text", run.folder,
                            "--json")
    assert not code
    first, second = json.loads(out), json.loads(again)
    assert first["bytes"] == second["bytes"]
    if run.preset.layout == "sentences":
        # a folder in that format does not say that its model reads sentences
        first["bits_per_byte"] = evaluate(
            run.model(), run.val_tokens).bits_per_byte
    assert first["bits_per_byte"] == pytest.approx(second["bits_per_byte"],
                                                   rel=1e-6)
    if run.preset.layout == "packed":
        assert second["bits_per_byte"] == pytest.approx(
            run.log[-1]["val_bits_per_byte"], rel=1e-6)


def test_the_same_samples(run, course, tmp_path):
    export_run(run, tmp_path / "hf")
    sample = ["--prompt", PROMPT, "--seed", 3, "-n", 2, "--tokens", 8]
    for extra in ([], ["--int8"]):
        code, out, _ = course("sample", run.folder, *sample, *extra)
        assert not code and out.count(PROMPT) == 2
        assert course("sample", tmp_path / "hf", *sample, *extra)[1] == out


def test_with_a_gguf_file(run, course, tmp_path):
    before = tiny.contents(run.folder)
    code, out, err = course("export", run.folder, "--to", tmp_path / "hf",
                            "--gguf")
    assert not code, err
    assert f"{tmp_path / 'hf' / GGUF}: load it with llama.cpp" in out
    assert sorted(path.name for path in (tmp_path / "hf").iterdir()) == \
        sorted((*FILES, GGUF))
    assert "`model.gguf` is the same" in (tmp_path / "hf/README.md"
                                          ).read_text()
    assert tiny.contents(run.folder) == before


def test_a_gguf_file_later(runs, course, tmp_path):
    """It is added to a folder that holds the model; the rest stays."""
    export = ["export", runs["modern"].folder, "--to", tmp_path / "hf"]
    assert course(*export)[0] == 0
    (tmp_path / "hf" / "README.md").write_text("my own words")
    before = tiny.contents(tmp_path / "hf")
    code, out, _ = course(*export, "--gguf")
    assert not code and "holds this model already\n" in out
    after = tiny.contents(tmp_path / "hf")
    assert after.pop(GGUF) and after == before
    again = tiny.contents(tmp_path / "hf")
    assert course(*export, "--gguf")[0] == 0
    assert tiny.contents(tmp_path / "hf") == again
    (tmp_path / "hf" / "model.safetensors").write_bytes(b"another")
    code, _, err = course(*export, "--gguf")
    assert code == 2 and "is not empty" in err


def test_without_the_package_nothing_is_written(runs, course, tmp_path,
                                                monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    code, _, err = course("export", runs["gpt2"].folder, "--to",
                          tmp_path / "hf", "--gguf")
    assert code == 2 and err.count("\n") == 1 and "`pip install gguf`" in err
    assert not (tmp_path / "hf").exists()
    assert course("export", runs["gpt2"].folder, "--to", tmp_path / "hf")[
        0] == 0


def test_a_gguf_file_goes_to_the_hub_too(runs, course, tmp_path):
    code, out, err = course(
        "export", runs["modern"].folder, "--to", tmp_path / "hf", "--gguf",
        "--push", "me/cats", "--dry-run")
    assert not code, err
    for name in (*FILES, GGUF):
        size = (tmp_path / "hf" / name).stat().st_size
        assert f"would upload {name}: {size:,} bytes" in out
    (tmp_path / "hf" / GGUF).unlink()
    assert push(tmp_path / "hf", "me/cats", dry_run=True)


def test_a_run_that_no_format_holds(runs, course, tmp_path):
    """Refused by name, before a folder is made."""
    preset = runs["gpt2"].preset
    run = tiny.make_run(tmp_path, replace(
        preset, model=replace(preset.model, mlp="relu2"),
        tokens=preset.batch_tokens))
    run.train(progress=False)
    code, _, err = course("export", run.folder, "--to", tmp_path / "hf")
    assert code == 2 and err.count("\n") == 1
    assert "GPT-2's format has no mlp='relu2'; Qwen3's format has no" in err
    assert not (tmp_path / "hf").exists()


def test_the_card_of_each_recipe(run):
    card = model_card(run)
    words = " ".join(card.split())
    name, config = run.preset.recipe, run.preset.model
    assert yaml.safe_load(card.split("---\n")[1])["tags"] == [TAGS[name]]
    assert f"| recipe | `{name}` of course_lib |" in card
    assert f"A GPT of {sum(p.numel() for p in run.model().parameters()):,}" \
        in card
    final = run.log[-1]
    assert f"| {final['val_bits_per_byte']:.4f} |" in card
    architecture, past = ("Qwen3's (rotary positions", "Past 16 tokens") \
        if name == "modern" else (
            "GPT-2's, with", f"have {config.context_length} tokens")
    assert f"The architecture is {architecture}" in words and past in words
    rows = run.record["files"]["train"]
    if name == "2023":
        assert "trained on sentences one by one" in words
        assert "Each sentence was read alone" in words
        assert f"tokens with padding, {rows['documents']:,} sentences" in words
        assert f"bytes, {run.measured_tokens.targets:,} tokens" in words
    else:
        assert "sentence" not in words and "padding" not in words
        assert f"tokens, {rows['documents']:,} documents" in words
