"""Make or load: made once, keyed by everything that decides it."""

import json
from dataclasses import replace

import pytest
import tiny

from course_lib import stages
from course_lib.machine.origin import ROOT
from course_lib.presets import PRESETS, for_prose, load_preset
from course_lib.text.corpus import load_corpus


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty COURSE_HOME."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    with tiny.quick_training():
        yield tmp_path / "home"


@pytest.fixture
def preset(tmp_path):
    text = tiny.write_text(tmp_path / "text")
    return replace(tiny.PRESET, corpus=str(text))


def test_what_is_made_is_loaded_the_second_time(preset, home, monkeypatch):
    run = stages.trained(preset)
    assert run.finished and run.folder.parent == home
    before = tiny.contents(run.folder)

    def again(*args, **options):
        raise AssertionError("made a second time")

    monkeypatch.setattr("course_lib.runs.train_tokenizer", again)
    monkeypatch.setattr("course_lib.run_folder.train", again)
    assert stages.trained(preset).folder == run.folder
    assert stages.tokenizer(preset).fingerprint == run.tokenizer.fingerprint
    train, validation = stages.tokens(preset)
    assert train.tokens == run.train_tokens.tokens
    assert validation.tokens == run.val_tokens.tokens
    assert tiny.contents(run.folder) == before


def test_interrupted_training_goes_on(preset):
    run = stages.prepared(preset)
    run.train(stop_at=7, progress=False)
    assert stages.trained(preset).folder == run.folder
    other = stages.trained(replace(preset, seed=1))
    assert tiny.bits(other.folder).keys() == tiny.bits(run.folder).keys()
    assert tiny.bits(other.folder) != tiny.bits(run.folder)


def test_the_key_is_everything_that_decides(preset, tmp_path, monkeypatch):
    folders = [stages.prepared(preset).folder]

    def differs(preset=preset):
        folder = stages.prepared(preset).folder
        assert folder not in folders
        folders.append(folder)

    differs(replace(preset, learning_rate=2e-3))
    differs(replace(preset, model=replace(preset.model, n_layer=2)))
    with monkeypatch.context() as patch:
        patch.setattr(stages, "_source", lambda: "another trainer")
        differs()
    (tmp_path / "text" / "new.txt").write_text("one more text\n" * 9)
    differs()
    assert stages.prepared(preset).folder == folders[-1]


def test_the_same_text_elsewhere_is_the_same_run(preset, tmp_path):
    folder = stages.prepared(preset).folder
    copy = tiny.write_text(tmp_path / "copy")
    record = json.loads((folder / "run.json").read_text())
    assert record["corpus"]["name"] != str(copy)
    run = stages.prepare(folder, preset, load_corpus(str(copy)))
    assert run.record == record


def test_where_home_is(monkeypatch, tmp_path):
    assert stages.home() == tmp_path / "home"
    for unset in (None, ""):
        if unset is None:
            monkeypatch.delenv("COURSE_HOME")
        else:
            monkeypatch.setenv("COURSE_HOME", unset)
        assert stages.home() == ROOT / "runs"


def test_home_is_made_and_must_be_a_folder(preset, home, tmp_path,
                                           monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(home / "deep" / "down"))
    assert stages.prepared(preset).folder.parent == home / "deep" / "down"
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError):
        stages.prepared(preset)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_scale_comes_from_the_environment(monkeypatch):
    for name, preset in PRESETS.items():
        monkeypatch.setenv("COURSE_SCALE", name)
        assert load_preset() is preset
        assert load_preset("smoke") is PRESETS["smoke"]
    monkeypatch.setenv("COURSE_SCALE", "")
    assert load_preset().name == "laptop"
    monkeypatch.setenv("COURSE_SCALE", "huge")
    with pytest.raises(ValueError, match="no preset 'huge': choose one of "
                       "smoke, laptop, evening, full"):
        load_preset()


def test_only_the_full_scale_takes_another_corpus(monkeypatch):
    monkeypatch.setenv("COURSE_CORPUS", "/some/books")
    assert stages.corpus_name(PRESETS["full"]) == "/some/books"
    assert stages.corpus_name(PRESETS["laptop"]).startswith("stories")
    monkeypatch.setenv("COURSE_CORPUS", "")
    assert stages.corpus_name(PRESETS["full"]) == "bookcorpus"


def test_prose_takes_a_larger_vocabulary_at_laptop_scale_only():
    assert for_prose(PRESETS["laptop"], 10**9).model.vocab_size == 4096
    assert for_prose(PRESETS["laptop"], 10**9).tokens == 20_000_000
    assert for_prose(PRESETS["laptop"], 10**6).tokens == 3_000_000
    assert for_prose(PRESETS["laptop"], 1).steps == 1
    for name in ("smoke", "full"):
        assert for_prose(PRESETS[name], 10**6) == PRESETS[name]


@pytest.mark.parametrize("bad, message", [
    (dict(batch_tokens=65), "batch_tokens=65 must be a multiple"),
    (dict(tokens=1), "tokens=1 must be at least one step"),
    (dict(learning_rate=0), "learning_rate"), (dict(clip=0), "clip"),
    (dict(weight_decay=-1), "weight_decay"), (dict(seed=-1), "seed"),
    (dict(seed=1.0), "seed must be a whole number"),
    (dict(warmup_steps=-1), "warmup_steps")])
def test_presets_name_what_is_wrong(bad, message):
    with pytest.raises(ValueError, match=message):
        replace(tiny.PRESET, **bad)
