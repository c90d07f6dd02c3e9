"""What a processor does best is tried in a child, which may die of it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import tiny
import torch
from torch._inductor import config as inductor

from course_lib.cli import main as cli
from course_lib.presets import load_preset
from course_lib.runs import open_run
from course_lib.scaling.dial import compiled_speed
from course_lib.training import processor, trial

pytestmark = pytest.mark.usefixtures("quick")
DIES = """
import json, os, signal
print(json.dumps({"laptop": {"float32": 100.0}}), flush=True)
os.kill(os.getpid(), signal.SIGILL)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of one's own; the file in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return processor.cache_file()


def other_trial(tmp_path, monkeypatch, source):
    """Let the child run this module instead."""
    (tmp_path / "another_trial.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(processor, "TRIAL", "another_trial")


@pytest.fixture
def dies(cache, tmp_path, monkeypatch):
    """A processor on which bfloat16 ends the process."""
    other_trial(tmp_path, monkeypatch, DIES)


def says(speeds):
    return f"print({json.dumps(json.dumps(speeds))})"


def config(width):
    return replace(load_preset("laptop").model, n_embd=width)


def test_a_child_that_dies_is_named_and_float32_taken(dies):
    assert processor.speeds() == {"laptop": {"float32": 100.0},
                                  "died": "SIGILL"}
    assert processor.number_format("cpu", config(128)) == "float32"
    assert processor.number_format("cpu", config(256)) == "float32"
    with pytest.raises(ValueError, match="ended with SIGILL; --precision"):
        processor.check_format("bfloat16")
    processor.check_format("float32")


def test_what_is_imitated_is_not_tried_further(cache, tmp_path, monkeypatch):
    other_trial(tmp_path, monkeypatch, says(
        {"laptop": {"float32": 100, "bfloat16": 5},
         "evening": {"float32": 10}}))
    assert processor.number_format("cpu", config(256)) == "float32"
    assert not processor.compile_pays(load_preset("evening"), "bfloat16")


@pytest.mark.parametrize("width, chosen", [
    (64, "float32"), (128, "float32"), (256, "bfloat16")])
def test_the_faster_one_at_the_nearest_scale(width, chosen, cache, tmp_path,
                                             monkeypatch):
    other_trial(tmp_path, monkeypatch, says(
        {"laptop": {"float32": 100, "bfloat16": 103},
         "evening": {"float32": 10, "bfloat16": 20}}))
    assert processor.number_format("cpu", config(width)) == chosen
    assert cache.is_file() == (width >= 128)  # narrow ones are not tried


def test_it_is_tried_once_and_anew_when_asked(cache, tmp_path, monkeypatch):
    first, second = ({"laptop": {"float32": n}} for n in (1, 2))
    other_trial(tmp_path, monkeypatch, says(first))
    assert processor.speeds() == first
    other_trial(tmp_path, monkeypatch, says(second))
    assert processor.speeds() == first
    assert processor.speeds(refresh=True) == second == processor.speeds()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}'])
def test_a_damaged_cache_is_made_again(content, cache, tmp_path, monkeypatch):
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    other_trial(tmp_path, monkeypatch, says({"laptop": {"float32": 1}}))
    assert processor.speeds() == {"laptop": {"float32": 1}}
    assert list(json.loads(cache.read_text()).values())[-1] == {
        "laptop": {"float32": 1}}


@pytest.mark.parametrize("kept", [
    5, "x", [1], {"laptop": 5}, {"laptop": {"float32": "fast"}},
    {"laptop": {"float32": -1}}, {"died": 5}, {"compiled": 5}])
def test_a_result_that_makes_no_sense_is_made_again(kept, cache, tmp_path,
                                                    monkeypatch):
    right = {"laptop": {"float32": 1}}
    other_trial(tmp_path, monkeypatch, says(right))
    assert processor.speeds() == right
    [name] = json.loads(cache.read_text())
    cache.write_text(json.dumps({name: kept}))
    assert processor.speeds() == right


def test_no_place_for_a_cache(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    other_trial(tmp_path, monkeypatch, says({"laptop": {"float32": 1}}))
    assert processor.speeds() == {"laptop": {"float32": 1}}


def test_a_run_in_bfloat16_is_not_gone_on_with_in_silence(
        run, dies, capsys):
    """Where the processor cannot do it, that has to be asked for."""
    (run.folder / "settings.json").write_text(json.dumps(dict(
        number_format="bfloat16", micro_rows=8, compiles=False)))
    with pytest.raises(ValueError, match="does not work on this processor"):
        run.train(stop_at=1, progress=False)
    run.train(number_format="float32", progress=False)
    assert run.number_format == "float32"
    settings = json.loads((run.folder / "settings.json").read_text())
    settings["number_format"] = "bfloat16"
    (run.folder / "settings.json").write_text(json.dumps(settings))
    assert cli.main(["evaluate", str(run.folder)]) == 0
    assert "in float32, as bfloat16 does not work" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_trial(cache):
    found = processor.speeds()
    assert found["laptop"]["float32"] > 0
    if "died" not in found:
        assert found["evening"]["float32"] > 0
        imitated = (found["laptop"]["bfloat16"] * trial.BEHIND
                    < found["laptop"]["float32"])
        assert imitated or found["evening"]["bfloat16"] > 0


@pytest.mark.slow
def test_the_real_trial_of_compiling(cache):
    found = processor.compiling(tiny.PRESET, "float32")
    assert found["eager"] > 0 and found["compiled"] > 0
    assert 0 < found["seconds"] < 300


def test_compiling_has_to_be_won_back(cache, tmp_path, monkeypatch):
    """A run shorter than the trial is worth is not even tried."""
    speed = {"float32": 1e5, "bfloat16": 2e5}
    other_trial(tmp_path, monkeypatch, f"""
import json, sys
asked = json.loads(sys.argv[1])
print(json.dumps(dict(eager=100, compiled=120, seconds=60) if asked
                 else dict(laptop={speed}, evening={speed})))
""")
    evening = load_preset("evening")
    assert processor.compile_pays(evening, "bfloat16")
    assert not processor.compile_pays(
        replace(evening, tokens=10_000_000), "bfloat16")
    assert not processor.compile_pays(load_preset("laptop"), "bfloat16")
    # the dial counts on it
    assert compiled_speed(evening, lambda model: 50, "cpu")(
        evening.model) == pytest.approx(60)
    assert compiled_speed(load_preset("laptop"), lambda model: 50, "cpu")(
        evening.model) == 50
    other_trial(tmp_path, monkeypatch, f"""
import json, sys
asked = json.loads(sys.argv[1])
print(json.dumps(dict(eager=100) if asked
                 else dict(laptop={speed}, evening={speed})))
""")
    other = replace(evening, model=replace(evening.model, n_layer=7))
    assert not processor.compile_pays(other, "bfloat16")


def test_without_a_compiler_a_run_goes_on_and_says_so(
        run, capsys):
    torch.compiler.reset()
    with inductor.patch({"cpp.cxx": ("/no/compiler",)}):
        result = run.train(compiles=True, progress=False)
    assert result.step == run.preset.steps
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "going on without: the loss cannot "
                "be compiled" in line]) == 1
    assert not json.loads((run.folder / "settings.json").read_text())[
        "compiles"]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_a_compiled_run_resumes_to_the_bit(two_threads, tmp_path):
    """In another process, which compiles anew; and it is no other run than
    the uncompiled one, but for rounding."""
    model = replace(tiny.PRESET.model, dropout=0.0)  # drawn otherwise
    made = tiny.make_run(tmp_path, replace(tiny.PRESET, model=model)).folder
    run, whole, plain = (open_run(shutil.copytree(made, tmp_path / name))
                         for name in ("stopped", "whole", "plain"))
    torch.compiler.reset()
    result = whole.train(compiles=True, progress=False)
    run.train(compiles=True, stop_at=17, progress=False)
    subprocess.run([sys.executable, "-c", (
        "import sys; from course_lib.runs import open_run; "
        "open_run(sys.argv[1]).train(progress=False)"), str(run.folder)],
        check=True, env={**os.environ, "TQDM_DISABLE": "1",
                         "OMP_NUM_THREADS": "2"})
    assert tiny.bits(run.folder) == tiny.bits(whole.folder)
    assert json.loads((whole.folder / "settings.json").read_text())[
        "compiles"]
    assert not [r for r in run.log if "note" in r]
    other = plain.train(compiles=False, progress=False)
    assert result.evaluation.loss == pytest.approx(other.evaluation.loss,
                                                   abs=1e-5)


def test_a_change_of_mind_about_compiling_is_noted(run, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda call, **of: call)
    run.train(compiles=True, stop_at=10, progress=False)
    run.train(compiles=False, progress=False)
    [note] = [r["note"] for r in run.log if "note" in r]
    assert note.startswith("not compiled from here on: not bit-identical")
