"""The script for a lent GPU, whole, on a CPU and as small as can be."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from course_lib.model.gpt import GPT
from course_lib.presets import PRESETS, Preset
from course_lib.runs import prepare
from course_lib.text.corpus import load_corpus

FILE = Path(__file__).resolve().parents[2] / "cloud" / "quarter_hour.py"
SMOKE = PRESETS["smoke"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("quarter_hour", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parcels(script, tmp_path_factory):
    """A run, and two parcels of its tokens."""
    folder = tmp_path_factory.mktemp("quarter")
    run = prepare(folder / "run", SMOKE, load_corpus("stories:400"))
    half = run.train_tokens.tokens // 2
    for name, skip in (("one", 0), ("two", half)):
        script.main(["pack", str(run.folder), str(folder / name), "--tokens",
                     str(half), "--skip", str(skip)])
    return run, [folder / "one", folder / "two"]


def test_what_is_packed_is_unpacked_and_smaller(script, parcels, tmp_path):
    run, folders = parcels
    found = script.unpack(folders, tmp_path / "run").train_tokens
    wanted = run.train_tokens.ids[:found.tokens]
    assert run.train_tokens.tokens - found.tokens < 2
    assert np.array_equal(found.ids, wanted)
    packed = sum(path.stat().st_size for folder in folders
                 for path in folder.glob("tokens-*.xz"))
    assert packed < 0.75 * found.ids.nbytes
    assert found.bytes == pytest.approx(run.train_tokens.bytes, rel=0.01)


@pytest.mark.slow
def test_the_first_quarter(script, parcels, tmp_path):
    _, [parcel, _] = parcels
    script.main(["first", str(parcel), str(tmp_path), "--preset", "smoke",
                 "--share", "1e-4", "--rows", "2", "--backend", "eager"])
    found = json.loads((tmp_path / "first.json").read_text())
    assert found["provenance"]["command"] and found["elapsed"] > 0
    assert found["resumed"]["steps"] == 19
    assert found["resumed"]["losses"][-1] < found["resumed"]["losses"][0]
    for recipe in ("gpt2", "modern"):
        ways = found[f"steps of {recipe}"]["ways"]
        assert len(ways) == 6
        for name, way in ways.items():
            assert "failed" not in way, (name, way)
            assert len(way["seconds"]) == 8
        assert found[f"profile of {recipe}"][0]["microseconds"] > 0
    for name, tokens in script.FIRST.items():
        one = found[name]
        assert Preset.from_dict(one["preset"]).recipe == name.split()[0]
        assert one["log"][-1]["tokens"] == pytest.approx(
            tokens * 1e-4, abs=SMOKE.batch_tokens)
        assert one["bits_per_byte"] < one["log"][0]["val_bits_per_byte"]
        assert len(one["samples"]) == 6 and one["timing"]["dollars"] == 0


@pytest.mark.slow
def test_the_second_quarter_brings_the_weights_home(
        script, parcels, tmp_path):
    run, folders = parcels
    script.main(["second", *map(str, folders), str(tmp_path), "--preset",
                 "smoke", "--share", "1e-4"])
    found = json.loads((tmp_path / "second.json").read_text())["modern"]
    files = sorted(tmp_path.glob("weights-*.safetensors"))
    assert len(files) == script.PARTS
    stored = {name: value for path in files
              for name, value in load_file(path).items()}
    model = GPT(Preset.from_dict(found["preset"]).model)
    state = {name: value.float() * stored[f"{name}.scale"]
             if value.dtype == torch.int8 else value
             for name, value in stored.items() if not name.endswith(".scale")}
    model.load_state_dict(state)
    ids, targets = run.val_tokens.batch(0, 64, 64)
    with torch.no_grad():
        loss = model.eval().loss(ids, targets).item()
    assert loss == pytest.approx(found["loss"], abs=0.15)
