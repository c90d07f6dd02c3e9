"""Going on from a tokenizer and weights that are there: `course prepare
--tokenizer` and `course train --from`."""

import json
import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from course_lib.cli import main as cli
from course_lib.recipes import RECIPES
from course_lib.run_folder import Run, open_run
from course_lib.runs import prepare
from course_lib.text.corpus import load_corpus
from course_lib.text.tokenizer import load_tokenizer
from course_lib.training.beginning import FILE

OTHER = ("every morning seven brave ships sail past frozen islands because "
         "gold lies hidden under ancient stones beyond northern seas").split()
SMALL = ["--preset", "smoke", "--context", "16", "--layers", "1",
         "--heads", "2", "--width", "16", "--tokens", "2560", "--batch",
         "64", "--learning-rate", "0.003"]

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Other text than that of the first training."""
    folder = tmp_path_factory.mktemp("other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "WORDS", OTHER)
        return tiny.write_text(folder, seed=1)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A trained run of each recipe."""
    root = tmp_path_factory.mktemp("first")
    corpus = load_corpus(tiny.write_text(root / "text"))
    for name, recipe in RECIPES.items():
        preset = recipe.but(context_length=16).at(tiny.PRESET)
        prepare(root / name, preset, corpus).train(progress=False)
    return root


@pytest.fixture(scope="module")
def tuned(first, texts, tmp_path_factory):
    """A run prepared with the tokenizer of the first; not to be trained."""
    folder = tmp_path_factory.mktemp("tuned") / "tuned"
    assert not cli.main(["prepare", "--corpus", str(texts), *SMALL, "--out",
                         str(folder), "--tokenizer", str(first / "gpt2")])
    return folder


@pytest.fixture
def mine(tuned, tmp_path):
    return shutil.copytree(tuned, tmp_path / "mine")


def test_a_tokenizer_that_is_there_is_taken(first, texts, mine, course,
                                            refuses, tmp_path):
    theirs = first / "gpt2" / "tokenizer.json"
    run = open_run(mine)
    assert run.tokenizer.known_as(load_tokenizer(theirs).fingerprint)
    assert run.preset.model.vocab_size == 300  # and not smoke's 512
    assert run.record["tokenizer_from"]["path"] == str(first / "gpt2")
    again = ["prepare", "--corpus", texts, *SMALL, "--out", mine]
    for place in (theirs.parent, theirs):  # what counts is what it is
        _, out, _ = course(*again, "--tokenizer", place)
        assert "already prepared" in out
    refuses(*again, what="holds another run")
    refuses(*again, "--tokenizer", theirs, "--vocab", "300",
            what="leave out --vocab")
    refuses(*again, "--tokenizer", texts, what="no tokenizer")
    before = tiny.contents(mine)
    (mine / "tokenizer.json").write_text("{}")
    (mine / "val.bin").write_bytes(b"")
    _, out, _ = course(*again, "--tokenizer", theirs)
    assert "made again" in out and tiny.contents(mine) == before
    other = tmp_path / "other"
    assert not cli.main(["prepare", "--corpus", str(texts), *SMALL, "--vocab",
                         "300", "--out", str(other)])
    refuses(*again, "--tokenizer", other, what="holds another run")
    refuses("prepare", "--hours", "0.01", "--tokenizer", theirs, "--corpus",
            texts, "--out", tmp_path / "x", what="leave out --tokenizer")


def test_gpt2s_own_pair_of_files(first, texts, course, tmp_path):
    state = json.loads((first / "gpt2" / "tokenizer.json").read_text())
    folder = tmp_path / "gpt2"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(state["model"]["vocab"]))
    (folder / "merges.txt").write_text("\n".join(
        ["#version: 0.2", *(" ".join(pair) for pair
                            in state["model"]["merges"])]))
    code, _, err = course("prepare", "--corpus", texts, *SMALL, "--tokenizer",
                          folder, "--out", tmp_path / "run")
    assert not code, err
    text = "gold \u201cJos\u00e9\u201d"
    assert open_run(tmp_path / "run").tokenizer.encode(text) == load_tokenizer(
        first / "gpt2" / "tokenizer.json").encode(text)


def test_a_pair_of_files_without_end_of_text(refuses, texts, tmp_path):
    """A new id for it would be one that the model beside it never saw."""
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    refuses("prepare", "--corpus", texts, *SMALL, "--tokenizer", tmp_path,
            "--out", tmp_path / "run", what="has no <|endoftext|>")


def test_ids_that_do_not_fit_in_16_bits(first, texts, course, tmp_path):
    """A large vocabulary, whose tail this text does use."""
    state = json.loads((first / "gpt2" / "tokenizer.json").read_text())
    vocab = state["model"]["vocab"]
    last = max(vocab, key=vocab.get)
    vocab[last] = 70_000
    (tmp_path / "large.json").write_text(json.dumps(state))
    code, _, err = course("prepare", "--corpus", texts, *SMALL, "--tokenizer",
                          tmp_path / "large.json", "--out", tmp_path / "run")
    assert not code, err
    run = open_run(tmp_path / "run")
    assert run.preset.model.vocab_size == 70_001
    assert run.train_tokens.ids.dtype == "uint32"
    small = load_tokenizer(first / "gpt2" / "tokenizer.json")
    places = run.train_tokens.ids.tolist()
    assert small.decode([len(vocab) - 1 if i == 70_000 else i
                         for i in places[1:200]]) == \
        run.tokenizer.decode(places[1:200])


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("exported", [False, True])
def test_it_goes_on_from_the_weights_of_any_recipe(
        recipe, exported, first, texts, course, tmp_path):
    """Before the first step the loss is theirs on this text, all of it;
    training lowers it, from far below what fresh weights begin with."""
    source, folder = first / recipe, tmp_path / "tuned"
    if exported:
        assert not course("export", source, "--to", tmp_path / "hf")[0]
        source = tmp_path / "hf"
    assert not course("prepare", "--corpus", texts, *SMALL, "--recipe",
                      recipe, "--tokenizer", source, "--out", folder)[0]
    _, measured, _ = course("evaluate", source, "--json", "--text", folder)
    code, out, err = course("train", folder, "--from", source)
    assert not code, err
    run = open_run(folder)
    losses = [r["val_loss"] for r in run.log if "val_loss" in r]
    if recipe != "2023":  # whose loss of a text depends on how it is read
        assert losses[0] == pytest.approx(json.loads(measured)["loss"],
                                          rel=1e-4)
    assert losses[-1] < losses[0] - 0.2
    assert f"before the first step: loss {losses[0]:.4f}" in out
    assert f"before {losses[0]:.4f}, after {losses[-1]:.4f}" in out
    assert "seeds of the same scale" not in out + err
    assert run.begun_from["path"] == str(source)
    assert not course("evaluate", folder)[0]


def test_a_resume_is_what_it_was(first, mine, tmp_path):
    """Killed before its first checkpoint, with the folder it came from gone;
    killed in the middle; never killed: the same bits."""
    whole = shutil.copytree(mine, tmp_path / "whole")
    source = shutil.copytree(first / "gpt2", tmp_path / "source")

    def begin(folder):
        model, run = open_run(source).model(), open_run(folder)
        return run.begin_from(model, open_run(source).tokenizer, "source")

    begin(whole).train(progress=False)
    begin(mine)
    shutil.rmtree(source)
    open_run(mine).train(progress=False, stop_at=0)
    open_run(mine).train(progress=False, stop_at=7, save_seconds=0)
    assert open_run(mine).step == 7
    open_run(mine).train(progress=False)
    assert tiny.bits(mine) == tiny.bits(whole)
    fresh = torch.equal(*(next(open_run(folder).snapshots())[1].head
                          for folder in (mine, first / "gpt2")))
    assert not fresh


def test_another_beginning_is_refused(first, mine, course, refuses):
    open_run(mine).begin_from(open_run(first / "gpt2").model(),
                              open_run(first / "gpt2").tokenizer, "theirs")
    open_run(mine).train(progress=False, stop_at=5)
    refused = ["train", mine, "--resume", "--from"]
    before = tiny.contents(mine)
    refuses(*refused, mine.parent / "nothing", what="does not exist")
    refuses(*refused, first / "gpt2", "--model", "x.py", what="leave one out")
    assert tiny.contents(mine) == before
    assert not course(*refused, first / "gpt2")[0]  # the same is no other
    refuses(*refused, mine, what="begun with other weights, those of theirs")


def test_a_run_with_fresh_weights_cannot_be_begun_again(first, mine, refuses):
    open_run(mine).train(progress=False, stop_at=5)
    refuses("train", mine, "--resume", "--from", first / "gpt2",
            what="fresh ones")


def test_the_line_says_which_field_differs_and_what_to_type(
        first, texts, mine, course, refuses, tmp_path):
    """And what it says to type works."""
    refuses("train", mine, "--from", first / "modern", what="positions is "
            "rotary there and learned here, norm is rms there and layer here")
    _, _, err = course("train", mine, "--from", first / "modern")
    advice = err.strip().split(f"--tokenizer {first / 'modern'} --change ")[1]
    code, _, err = course(
        "prepare", "--corpus", texts, *SMALL, "--tokenizer", first / "modern",
        "--change", *advice.split(), "--out", tmp_path / "right")
    assert not code, err
    assert not course("train", tmp_path / "right", "--from",
                      first / "modern")[0]


def test_a_tokenizer_of_the_same_size_is_not_the_same(first, texts, course,
                                                      refuses, tmp_path):
    assert not course("prepare", "--corpus", texts, *SMALL, "--vocab", "300",
                      "--out", tmp_path / "run")[0]
    before = tiny.contents(tmp_path / "run")
    refuses("train", tmp_path / "run", "--from", first / "gpt2",
            what="is not that of")
    assert tiny.contents(tmp_path / "run") == before


def test_what_it_begins_with_is_verified(first, mine, course, refuses):
    source = open_run(first / "gpt2")
    open_run(mine).begin_from(source.model(), source.tokenizer, "theirs")
    path = mine / FILE
    weights = load_file(path)
    weights["transformer.wte.weight"][0, 0] += 1
    save_file(weights, path)
    refuses("train", mine, what=f"{path} is damaged")
    path.unlink()
    refuses("train", mine, what=f"{path} is gone")
    assert not course("train", mine, "--from", first / "gpt2")[0]


def test_a_card_says_where_the_weights_came_from(first, mine, course,
                                                 tmp_path):
    assert not course("train", mine, "--from", first / "gpt2")[0]
    assert not course("export", mine, "--to", tmp_path / "hf")[0]
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "weights of `gpt2`" in card and "random weights" not in card
    assert str(first) not in card


@pytest.mark.parametrize("name", ["tokenizer_from", "begun_from"])
@pytest.mark.parametrize("value", [None, 3, [], {}, {"path": 1},
                                   {"path": "x", "sha256": None}])
def test_a_record_that_makes_no_sense(name, value, mine, refuses):
    record = json.loads((mine / "run.json").read_text())
    (mine / "run.json").write_text(json.dumps(record | {name: value}))
    refuses("train", mine, what="run.json is damaged")


def test_two_processes_cannot_begin_at_once(first, mine):
    from course_lib.machine.lock import locked
    source = open_run(first / "gpt2")
    with locked(mine), pytest.raises(BlockingIOError):
        open_run(mine).begin_from(source.model(), source.tokenizer, "x")
    assert not (mine / FILE).exists()
    assert isinstance(open_run(mine), Run)


def test_damage_is_said_once(mine, course):
    (mine / "run.json").write_text("[" * 100_000)
    _, _, err = course("train", mine)
    assert err.count("is damaged") == 1 and "in a new folder" in err
