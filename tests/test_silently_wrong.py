"""Changes in a run's or an exported folder's files that break nothing but a
number: each is refused, or changes none."""

import json
import shutil
from dataclasses import replace

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from course_lib.recipes import RECIPES
from course_lib.runs import open_run
from course_lib.training.checkpoint import numbered

PRESETS = {"gpt2": tiny.PRESET, **{
    name: replace(RECIPES[name].at(tiny.PRESET), tokens=640)
    for name in ("modern", "2023")}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick):
    folders = {}
    for name, preset in PRESETS.items():
        run = tiny.make_run(tmp_path_factory.mktemp(name), preset)
        run.train(progress=False)
        folders[name] = run.folder
    return folders


def rewrite(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def of_model(**fields):
    return "run.json", lambda record: record["preset"]["model"].update(fields)


def of_header(name, **fields):
    return f"{name}.json", lambda header: header.update(fields)


@pytest.mark.parametrize("recipe, where, what", [
    ("gpt2", of_model(n_head=4), "has n_head=4 and its weights were trained "),
    ("gpt2", of_model(mlp="relu2"), "has mlp=relu2"),
    ("gpt2", of_model(dropout=0.5), "has dropout=0.5"),
    ("modern", of_model(context_length=32), "has context_length=32"),
    ("gpt2", of_header("val", row=16, targets=300), "val.json says 16 row"),
    ("gpt2", of_header("val", sha256=None), "val.json says None sha256"),
    ("2023", of_header("val-rows", row=None), "val-rows.json says None row"),
    ("2023", of_header("val-rows", targets=999), "says 999 targets")])
def test_what_no_checksum_is_of(trained, tmp_path, refuses, recipe, where,
                                what):
    run = shutil.copytree(trained[recipe], tmp_path / "run")
    rewrite(run / where[0], where[1])
    refuses("evaluate", run, what=what)


def test_a_checksum_that_is_gone_is_missed(trained, tmp_path, refuses):
    run = shutil.copytree(trained["gpt2"], tmp_path / "run")
    rewrite(run / "val.json", lambda header: header.pop("sha256"))
    data = bytearray((run / "val.bin").read_bytes())
    data[100] ^= 1
    (run / "val.bin").write_bytes(data)
    refuses("evaluate", run, what="val.json says None sha256")


def test_targets_that_were_recorded_nowhere_else(trained, tmp_path, refuses):
    """As in runs that were prepared before they were."""
    run = shutil.copytree(trained["2023"], tmp_path / "run")
    rewrite(run / "run.json",
            lambda record: record["files"]["val-rows"].pop("targets"))
    assert open_run(run).measured_tokens.targets > 99
    rewrite(run / "val-rows.json", lambda header: header.update(targets=99))
    refuses("evaluate", run, what="its header says 99: it is damaged")


def test_a_snapshot_knows_its_model(trained, tmp_path):
    run = open_run(shutil.copytree(trained["gpt2"], tmp_path / "run"))
    rewrite(run.folder / "run.json", lambda record: record["preset"][
        "model"].update(n_head=4))
    with pytest.raises(ValueError, match="has n_head=4 and its weights"):
        next(open_run(run.folder).snapshots())
    for path in numbered(run.folder / "snapshots"):
        (path / "state.json").unlink()  # as in the first edition
    assert len([*run.snapshots()]) == len(
        numbered(run.folder / "snapshots"))


@pytest.mark.parametrize("name, change", [
    ("config.json", lambda config: config.update(n_head=4)),
    ("tokenizer.json", lambda file: file["model"]["merges"].reverse()),
    ("tokenizer.json", lambda file: file.clear()),
    ("tokenizer.json", None), ("tokenizer_config.json", None),
    ("config.json", None)])
def test_an_export_that_was_changed_is_not_there_already(
        trained, tmp_path, course, refuses, name, change):
    """The weights alone are not the model."""
    export = ["export", trained["gpt2"], "--to", tmp_path / "hf"]
    assert course(*export)[0] == 0
    assert "holds this model already" in course(*export)[1]
    if change:
        rewrite(tmp_path / "hf" / name, change)
    else:
        (tmp_path / "hf" / name).unlink()
    refuses(*export, what="is not empty: choose a new folder")


def test_weights_too_large_to_compute_with(trained, tmp_path, course,
                                           refuses):
    """Each of them is a number, and no logit is."""
    hf, text = tmp_path / "hf", trained["gpt2"].parent / "text"
    assert course("export", trained["gpt2"], "--to", hf)[0] == 0
    weights = load_file(hf / "model.safetensors")
    save_file({name: value * 1e30 if value.dim() > 1 else value
               for name, value in weights.items()}, hf / "model.safetensors")
    for more in ([], ["--json"]):
        refuses("evaluate", hf, "--text", text, *more, what="is NaN")
    refuses("sample", hf, what="logits are NaN")
    refuses("export", hf, "--to", tmp_path / "16", "--precision", "float16",
            what="too large for float16")
    assert not (tmp_path / "16").exists()
    assert course("export", hf, "--to", tmp_path / "16",
                  "--precision", "bfloat16")[0] == 0
    assert all(value.isfinite().all() and value.dtype == torch.bfloat16
               for value in load_file(
                   tmp_path / "16" / "model.safetensors").values())


@pytest.mark.parametrize("content", [
    "", "null", '"x"', '{"file": 1}', '{"parameters": "x"}', "[" * 100_000])
def test_whose_gpt_is_trained_is_known_or_said(trained, tmp_path, refuses,
                                               content):
    run = shutil.copytree(trained["gpt2"], tmp_path / "run")
    (run / "readers_gpt.json").write_text(content)
    (run / "log.jsonl").unlink()  # else it is known to be finished
    refuses("train", run, "--resume", what="readers_gpt.json")
