"""The seven commands on a folder of text, and every way to mistype them."""

import functools
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys

import pytest
import tiny
import torch

from course_lib import presets
from course_lib.cli import main as cli
from course_lib.cli.arguments import number
from course_lib.measuring.evaluation import documents
from course_lib.runs import open_run
from course_lib.training import trainer
from course_lib.training.start import measure_speed

SMALL = ["--preset", "smoke", "--vocab", "300", "--context", "16",
         "--layers", "1", "--heads", "2", "--width", "16",
         "--tokens", "2560", "--batch", "64"]

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return tiny.write_text(tmp_path_factory.mktemp("text") / "Caf\u00e9 1")


@pytest.fixture(scope="module")
def made(text, tmp_path_factory):
    """A run that is prepared, and one that is trained."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("prepared", "trained"):
        assert not cli.main(["prepare", "--corpus", str(text), *SMALL,
                             "--out", str(folder / name)])
    assert not cli.main(["train", str(folder / "trained")])
    return folder


@pytest.fixture
def prepared(made, tmp_path):
    return shutil.copytree(made / "prepared", tmp_path / "prepared")


@pytest.fixture
def trained(made, tmp_path):
    return shutil.copytree(made / "trained", tmp_path / "trained")


TRIAL = """
import json, sys
asked = json.loads(sys.argv[1])
speed = {"float32": 100, "bfloat16": 170}
print(json.dumps({"eager": 100, "compiled": 125, "seconds": 30} if asked
                 else {"laptop": speed, "evening": speed}))
"""


@pytest.mark.parametrize("trial, said", [
    (TRIAL, ["evening: in bfloat16 a training step is 1.70 times as fast",
             "1.25 times as fast, after 30 seconds; pays in runs of more "
             "than 3 minutes"]),
    (TRIAL.replace('"evening": speed', '"evening": {"float32": 10}'), [
        "laptop: in bfloat16 a training step is 1.70 times as fast"]),
    ("import os; os.kill(os.getpid(), 4)", [
        "float32: a process that tried bfloat16 ended with SIGILL",
        "compile    no: SIGILL"])])
def test_doctor(trial, said, course, monkeypatch, tmp_path):
    """What the trials find is tested in tests/training/test_processor.py."""
    smoke = presets.PRESETS["smoke"]
    monkeypatch.setattr(presets, "PRESETS", {"smoke": smoke,
                                             "evening": smoke})
    monkeypatch.setattr(
        "course_lib.training.start.measure_speed",
        functools.partial(measure_speed, seconds=0))
    (tmp_path / "another_trial.py").write_text(trial)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("course_lib.training.processor.TRIAL",
                        "another_trial")
    code, out, _ = course("doctor")
    assert not code
    for word in ("device", "precision", "memory", "matmul", "torch",
                 "smoke", "tokens/s in float32", *said):
        assert word in out


def test_plan(course):
    code, out, _ = course("plan", "--dollars", "50", "--gpu", "v100")
    assert not code
    for word in ("$50.00, 20.2 hours of V100", "3.63e+18 FLOP", "40%",
                 "assumed", "parameters (90% of refits", "tokens (90% of",
                 "nats per token (90%", "Hoffmann", "others"):
        assert word in out
    _, other, _ = course("plan", "--dollars", "50", "--gpu", "v100",
                         "--mfu", "0.16")
    assert "1.45e+18 FLOP" in other


def test_a_dollar_of_a_gpu_buys_a_run_and_a_warning(course):
    """Beyond the ladder, but not so far that its law is not asked."""
    code, out, _ = course("plan", "--dollars", "1", "--gpu", "h100")
    assert not code
    for word in ("budget   $1.00 on H100", "layers ", "learning rate",
                 "nats per token (90%", "bits per byte", "law ",
                 "times the compute of the law's largest run",
                 "the published constants choose"):
        assert word in out
    _, small, _ = course("plan", "--dollars", "1", "--gpu", "h100",
                         "--largest", "60M", "--tokens", "1M")
    [tokens] = re.findall(r"data +(\S+) tokens", small)
    assert 0.9e6 < number(tokens) < 1.1e6
    _, near, _ = course("plan", "--dollars", "0.01", "--gpu", "h100")
    assert "largest run" not in near


def test_the_dial_from_hours_to_a_run_and_its_outcome(course, tmp_path):
    """One number sets the run; what was said of it stands at its end."""
    code, out, _ = course("plan", "--hours", "0.01", "--corpus",
                          "stories:3000")
    assert not code
    for word in ("budget   0.01 hours on", "layers ", "learning rate",
                 "tokens/s", "nats per token (90%", "bits per byte", "law "):
        assert word in out
    run = tmp_path / "run"
    code, out, _ = course("prepare", "--corpus", "stories:3000", "--hours",
                          "0.002", "--seed", "5", "--out", run)
    assert not code and "learning rate" in out
    record = json.loads((run / "run.json").read_text())
    assert record["preset"]["recipe"] == "modern"
    assert record["preset"]["seed"] == 5
    says = record["forecast"]
    assert says["low"] < says["loss"] < says["high"]
    code, out, _ = course("train", run)
    assert not code
    assert "smaller runs, scaled by the law to this size, got" in out
    assert f"predicted {says['loss']:.3f} (90%" in out
    assert out.strip().endswith("the interval")


@pytest.mark.parametrize("flag, value", [
    ("--width", "64"), ("--batch", "1024"), ("--learning-rate", "0.1"),
    ("--schedule", "cosine")])
def test_prepare_with_a_budget_refuses_what_the_budget_sets(
        flag, value, refuses, tmp_path):
    refuses("prepare", "--corpus", "stories:100", "--hours", "1", flag,
            value, "--out", tmp_path / "run", what=f"leave out {flag}")


def test_prepare_train_evaluate_sample_export(course, text, tmp_path):
    run = tmp_path / "my r\u00fcn"
    code, out, err = course("prepare", "--corpus", text, *SMALL,
                            "--out", run)
    assert not code and f"ready: course train '{run}'" in out, err
    before = tiny.contents(run)
    assert course("prepare", "--corpus", text, *SMALL, "--out", run)[0] == 0
    assert tiny.contents(run) == before

    code, out, err = course("train", run)
    assert not code and "perplexity" in out, err
    assert course("train", run, "--resume")[0] == 0  # safe to repeat
    trained = tiny.bits(run)

    code, out, _ = course("evaluate", run)
    assert not code and "bits per byte" in out
    code, out, _ = course("evaluate", run, "--json")
    scores = json.loads(out)
    final = open_run(run).log[-1]
    assert scores["loss"] == pytest.approx(final["val_loss"], rel=1e-5)
    assert scores["bits_per_byte"] == pytest.approx(
        final["val_bits_per_byte"], rel=1e-5)
    code, out, _ = course("evaluate", run, "--text",
                          text / "book-0.txt", "--json")
    size = (text / "book-0.txt").stat().st_size
    assert not code and json.loads(out)["bytes"] == size

    sample = ["sample", run, "--seed", 0, "--tokens", 12, "-n", 2]
    code, out, _ = course(*sample)
    assert not code and out.count("life is about") >= 2
    assert course(*sample)[1] == out
    assert course(*sample[:-4], "--tokens", 0)[1] == "life is about\n"
    for extra in (["--prompt", ""], ["--temperature", 0], ["--top-k", 3],
                  ["--top-p", 0.5], ["--prompt", "\u00df\U0001f600\n" * 30]):
        assert course("sample", run, "--tokens", 5, *extra)[0] == 0

    code, out, _ = course("export", run, "--to", tmp_path / "hf")
    assert not code
    assert {path.name for path in (tmp_path / "hf").iterdir()} == {
        "README.md", "config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json"}
    assert tiny.bits(run) == trained


def test_evaluate_a_gpt2_in_hugging_face_format(course, refuses, text,
                                                trained, tmp_path):
    """Another vocabulary and context on the same held-out bytes; its loss
    is what transformers computes, window by window."""
    import transformers

    from course_lib.model.config import GPTConfig
    from course_lib.model.gpt import GPT
    from course_lib.sharing import hugging_face as hub
    from course_lib.text.tokenizer import train_tokenizer
    torch.manual_seed(0)
    tokenizer = train_tokenizer([(text / "book-1.txt").read_text()], 290)
    hub.save_hf(GPT(GPTConfig(290, 24, 1, 2, 16)), tokenizer,
                tmp_path / "hf")
    code, out, err = course("evaluate", tmp_path / "hf", "--text", trained,
                            "--json")
    assert not code, err
    theirs, ours = json.loads(out), json.loads(
        course("evaluate", trained, "--json")[1])
    assert theirs["bytes"] == ours["bytes"]
    assert theirs["tokens"] != ours["tokens"]
    judge = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    run, ids = open_run(trained), [tokenizer.eot]
    for held_out in documents(run.val_tokens, run.tokenizer):
        ids += [*tokenizer.encode(held_out), tokenizer.eot]
    nats = 0.0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, 24):
            row = torch.tensor(ids[start:start + 25])
            logits = judge(row[None, :-1]).logits[0]
            nats += torch.nn.functional.cross_entropy(
                logits, row[1:], reduction="sum").item()
    assert theirs["tokens"] == len(ids) - 1
    assert theirs["loss"] == pytest.approx(nats / (len(ids) - 1), rel=1e-5)
    refuses("evaluate", tmp_path / "hf", what="add --text")
    (tmp_path / "hf" / "model.safetensors").unlink()
    refuses("evaluate", tmp_path / "hf", "--text", trained,
            what="no model.safetensors in")


def test_the_exported_model_is_the_trained_one(course, trained, tmp_path):
    import transformers
    assert course("export", trained, "--to", tmp_path / "hf")[0] == 0
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    run = open_run(trained)
    ids = run.tokenizer.encode("the cat saw Jos\u00e9")[:16]
    assert tokenizer("the cat saw Jos\u00e9")["input_ids"][:16] == ids
    with torch.no_grad():
        torch.testing.assert_close(theirs(torch.tensor([ids])).logits,
                                   run.model()(torch.tensor([ids])),
                                   rtol=0, atol=1e-4)


def test_export_keeps_what_is_there(refuses, trained, prepared, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    before = tiny.contents(tmp_path)
    for target in (tmp_path / "mine", trained, tmp_path / "mine/thesis.tex"):
        refuses("export", trained, "--to", target, what="is not empty")
    refuses("export", trained, "--to", "", what="--to")
    refuses("export", prepared, "--to", tmp_path / "new", what="no trained")
    assert tiny.contents(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_export_of_a_page(course, refuses, trained, tmp_path):
    """What stands in it is tested in tests/sharing/test_own_page.py."""
    code, out, _ = course("export", trained, "--page")
    page = trained / "page.html"
    assert not code
    assert out == (f"{page}: {page.stat().st_size:,} bytes, open it with a "
                   "browser\n")
    both = tmp_path / "both"
    assert course("export", trained, "--page", "--to", both)[0] == 0
    assert (both / "page.html").stat().st_size > 50_000
    assert (both / "model.safetensors").is_file()
    # a folder with its page still holds this model
    assert course("export", trained, "--to", both)[0] == 0
    refuses("export", trained, what="--to DIR, --page or both")
    refuses("export", trained, "--page", "--gguf", what="go with --to DIR")
    refuses("export", trained, "--page", "--license", "No Such",
            what="no licence that the Hub knows")


def test_export_of_an_unfinished_run(refuses, prepared, tmp_path):
    open_run(prepared).train(stop_at=3, progress=False)
    refuses("export", prepared, "--to", tmp_path / "hf",
            what="has not finished training")
    refuses("export", prepared, "--page", what="has not finished training")
    assert not (tmp_path / "hf").exists()
    assert not (prepared / "page.html").exists()


def test_training_twice_needs_resume(refuses, course, prepared):
    open_run(prepared).train(stop_at=3, progress=False)
    before = tiny.contents(prepared)
    refuses("train", prepared, what="add --resume")
    assert tiny.contents(prepared) == before
    assert course("train", prepared, "--resume")[0] == 0
    before = tiny.contents(prepared)
    refuses("train", prepared, what="add --resume")
    assert course("train", prepared, "--resume")[0] == 0
    assert tiny.contents(prepared) == before


@pytest.mark.parametrize("files, what", [
    ({}, "no text in"),
    ({"a.pdf": b"x"}, "no text in"),
    ({"a.txt": b""}, "the corpus is empty"),
    ({"a.txt": b" \n\n\t"}, "the corpus is empty"),
    ({"a.txt": b"fine", "b.txt": b"caf\xe9 au lait"}, "b.txt is not UTF-8"),
    ({"a.txt": b"too small"}, "the corpus fills only"),
    ({"a.txt.gz": b"no gzip"}, "a.txt.gz cannot be unpacked"),
    ({"a.txt.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\0abc"}, "cannot be unpacked"),
    ({"a.txt.xz": b"no xz"}, "a.txt.xz cannot be unpacked"),
    ({"a.txt.zst": b"no zst"}, "a.txt.zst cannot be unpacked"),
    ({"a.jsonl": b'{"text": "a"}\nnope'}, "a.jsonl, line 2"),
    ({"a.jsonl": b'{"txt": "a"}'}, "a.jsonl, line 1"),
    ({"a.jsonl": b'{"text": 5}'}, "a.jsonl, line 1"),
    ({"a.jsonl": b'["text"]'}, "a.jsonl, line 1"),
    ({"a.jsonl": b'{"text": "\\ud800"}'}, "a.jsonl, line 1"),
    ({"a.jsonl": b"\xff\xfe"}, "a.jsonl, line 1"),
], ids=str)
def test_text_that_is_none(refuses, tmp_path, files, what):
    (tmp_path / "text").mkdir()
    for name, data in files.items():
        (tmp_path / "text" / name).write_bytes(data)
    refuses("prepare", "--corpus", tmp_path / "text", *SMALL,
            "--out", tmp_path / "run", what=what)
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("corpus, what", [
    ("/no/such/path", "no file or folder /no/such/path"),
    ("", "an empty path"), ("stories:0", "whole number"),
    ("stories:-3", "whole number"), ("stories:many", "whole number")])
def test_a_corpus_that_is_none(refuses, tmp_path, corpus, what):
    refuses("prepare", "--corpus", corpus, *SMALL, "--out",
            tmp_path / "run", what=what)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options, what", [
    ("--preset huge",
     "no preset 'huge': choose one of smoke, laptop, evening, full"),
    ("--recipe 2024", "no recipe '2024': choose one of 2023, gpt2, modern"),
    ("--change norm", "'norm' is not FIELD=VALUE"),
    ("--change colour=1", "a recipe has no colour"),
    ("--recipe modern --change mlp=relu", "mlp 'relu' is none of gelu"),
    ("--vocab 100", "vocab_size must be at least 257"),
    ("--vocab 5000", "the corpus fills only"),
    ("--context 4096 --batch 4096 --tokens 1M", "is longer than the data"),
    ("--width 100 --heads 3", "n_head=3 must divide n_embd=100"),
    ("--width 0", "n_embd must be a whole number of 1 or more"),
    ("--layers -1", "n_layer"), ("--context 0", "context_length"),
    ("--tokens -5", "tokens=-5"), ("--tokens 0", "tokens=0"),
    ("--tokens nan", "'nan' is not a whole number"),
    ("--tokens inf", "'inf' is not a whole number"),
    ("--tokens 1.5", "'1.5' is not a whole number"),
    ("--tokens M", "'M' is not a whole number"),
    ("--batch 100", "batch_tokens=100 must be a multiple"),
    ("--batch 0", "batch_tokens=0"), ("--batch -64", "batch_tokens=-64"),
    ("--learning-rate nan", "learning_rate must be above 0"),
    ("--learning-rate inf", "learning_rate must be above 0 and finite"),
    ("--learning-rate -1", "learning_rate must be above 0"),
    ("--learning-rate fast", "invalid float value: 'fast'"),
    ("--seed -1", "seed must lie"), ("--seed 1e30", "seed must lie"),
    ("--vocab 1e15", "vocab_size must be at most")])
def test_options_of_prepare(refuses, text, tmp_path, options, what):
    refuses("prepare", "--corpus", text, *SMALL, *options.split(),
            "--out", tmp_path / "run", what=what)
    assert not (tmp_path / "run" / "run.json").exists()


def test_documents_between_markers(course, text, tmp_path):
    """A file as others publish them: prepare says what it found, and holds
    whole documents out."""
    books = [path.read_text() for path in sorted(text.iterdir())]
    stories = [part for book in books for part in book.split("\n\n")]
    (tmp_path / "all.txt").write_text("\n<|endoftext|>\n".join(stories))
    code, out, _ = course("prepare", "--corpus", tmp_path / "all.txt",
                          *SMALL, "--out", tmp_path / "run")
    assert not code
    assert f"{len(stories) - 1:,} <|endoftext|> in the text separate" in out
    run = open_run(tmp_path / "run")
    found = [each for tokens in (run.train_tokens, run.val_tokens)
             for each in documents(tokens, run.tokenizer)]
    assert run.record["split"] == "hash"
    assert sorted(found) == sorted(
        story + "\n" * (story != stories[-1]) for story in stories)


def test_a_mistake_can_be_mended_in_place(course, refuses, text, tmp_path):
    prepare = ["prepare", "--corpus", text, *SMALL, "--out",
               tmp_path / "run"]
    refuses(*prepare, "--vocab", "5000", what="the corpus fills only")
    assert course(*prepare)[0] == 0
    refuses(*prepare, "--layers", "2", what="holds another run")


@pytest.mark.parametrize("files", [
    {"thesis.tex": "years of work"},
    {"train.bin": "another tool's tokens"},
    {"tokenizer.json": "{}", "val.bin": ""},
    {"run.lock": "", "photo.jpg": ""}], ids=str)
def test_prepare_keeps_what_is_there(refuses, text, tmp_path, files):
    (tmp_path / "mine").mkdir()
    for name, content in files.items():
        (tmp_path / "mine" / name).write_text(content)
    before = tiny.contents(tmp_path)
    refuses("prepare", "--corpus", text, *SMALL, "--out",
            tmp_path / "mine", what="is no run folder")
    refuses("prepare", "--corpus", text, *SMALL, "--out",
            tmp_path / "mine" / next(iter(files)), what="is no run folder")
    refuses("prepare", "--corpus", text, *SMALL, "--out", "", what="name")
    refuses("prepare", "--corpus", text, *SMALL, "--out",
            tmp_path / "\udcff", what="is not UTF-8")
    assert tiny.contents(tmp_path) == before


@pytest.mark.parametrize("name", ["run.json.partial", "unfinished.json",
                                  "unfinished.json.partial"])
@pytest.mark.parametrize("content", ["", "{}", "[1]", json.dumps(dict(
    wanted={}, tokenizer=None))], ids=str)
def test_prepare_keeps_a_tokenizer_that_it_did_not_make(
        refuses, text, tmp_path, name, content):
    """Its own mark beside it, or what looks like one, gives no right."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text(content)
    (tmp_path / "mine" / "tokenizer.json").write_text("years of work")
    before = tiny.contents(tmp_path)
    refuses("prepare", "--corpus", text, *SMALL, "--out", tmp_path / "mine",
            what="is no run folder")
    assert tiny.contents(tmp_path) == before


@pytest.mark.parametrize("rows", [[], ["--recipe", "2023", "--context", "16"]],
                         ids=["packed", "sentences"])
def test_preparing_again_mends_what_is_damaged(course, refuses, text, rows,
                                               tmp_path):
    """To the byte; and nothing else is touched."""
    run = tmp_path / "run"
    prepare = ["prepare", "--corpus", text, *SMALL, *rows, "--out", run]
    assert course(*prepare)[0] == 0
    whole, draw = tiny.contents(run), random.Random(0)
    assert "already prepared" in course(*prepare)[1]
    names = [name for name in whole
             if name.startswith(("val", "train", "tokenizer"))]
    damages = [lambda path: path.unlink(), lambda path: path.write_bytes(b""),
               lambda path: path.write_bytes(path.read_bytes()[:-3]),
               lambda path: path.write_bytes(path.read_bytes().translate(
                   bytes.maketrans(b"7", b"8")))]
    for name in names:
        for damage in draw.sample(damages, 2):
            damage(run / name)
            if tiny.contents(run) == whole:
                continue
            code, out, err = course(*prepare)
            assert not code and "is damaged: it is made again" in out, err
            assert tiny.contents(run) == whole
    for name in names:
        (run / name).unlink()
    assert course(*prepare)[0] == 0
    assert tiny.contents(run) == whole
    assert course("train", run)[0] == 0


def test_what_cannot_be_made_as_it_was_is_said(course, refuses, text,
                                               tmp_path, monkeypatch):
    prepare = ["prepare", "--corpus", text, *SMALL, "--out", tmp_path / "run"]
    assert course(*prepare)[0] == 0
    (tmp_path / "run" / "tokenizer.json").unlink()
    monkeypatch.setattr("course_lib.runs.TOKENIZER_BYTES", 3_000)
    refuses(*prepare, what="cannot be made as it was")


def test_a_run_among_its_texts_is_no_text(course, text, tmp_path):
    """Nor is a copy of one, or one that is being prepared."""
    texts = shutil.copytree(text, tmp_path / "texts")
    prepare = ["prepare", "--corpus", texts, *SMALL, "--out",
               texts / "runs" / "mine"]
    assert course(*prepare)[0] == 0
    assert course("train", texts / "runs" / "mine")[0] == 0
    shutil.copytree(texts / "runs" / "mine", texts / "a copy",
                    ignore=shutil.ignore_patterns("run.lock"))
    (texts / "new").mkdir()
    (texts / "new" / "run.lock").touch()
    (texts / "new" / "log.jsonl").write_text('{"text": "no text"}')
    code, out, err = course(*prepare)
    assert not code and "already prepared" in out, err


@pytest.mark.parametrize("command", [
    ["train"], ["evaluate"], ["sample"], ["export", "--to", "new"]], ids=str)
def test_a_folder_that_is_no_run(refuses, tmp_path, command):
    verb, *options = command
    (tmp_path / "file").write_text("")
    for folder, what in ((tmp_path / "nowhere", "does not exist"),
                         (tmp_path, "is no run folder"),
                         (tmp_path / "file", "does not exist"),
                         ("", "is no run folder")):
        refuses(verb, folder, *options, what=what)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("content", [
    b"", b"{}", b"[]", b"7", b"\xff", b'{"preset": {}}', b'{"preset": 5}'])
def test_a_damaged_run_json(refuses, trained, content):
    (trained / "run.json").write_bytes(content)
    for verb in ("train", "evaluate", "sample"):
        refuses(verb, trained, what="run.json is damaged")


@pytest.mark.parametrize("change", [
    dict(tokens="many"), dict(tokens=1.5), dict(learning_rate="fast"),
    dict(learning_rate=float("nan")), dict(clip=0), dict(seed=-1),
    dict(weight_decay=-1), dict(unknown=1), dict(model=None)], ids=str)
def test_a_run_json_edited_by_hand(refuses, trained, change):
    record = json.loads((trained / "run.json").read_text())
    record["preset"] |= change
    (trained / "run.json").write_text(json.dumps(record))
    refuses("train", trained, "--resume", what="run.json is damaged")
    refuses("sample", trained, what="run.json is damaged")


def test_a_run_json_of_another_shape(refuses, trained):
    record = json.loads((trained / "run.json").read_text())
    record["preset"]["model"]["n_embd"] = 32
    (trained / "run.json").write_text(json.dumps(record))
    (trained / "log.jsonl").unlink()  # else it is known to be finished
    before = tiny.contents(trained)
    for verb in (["train", "--resume"], ["evaluate"], ["sample"]):
        refuses(verb[0], trained, *verb[1:], what="does not fit the model")
    assert tiny.contents(trained / "checkpoints") == {
        name.removeprefix("checkpoints/"): value
        for name, value in before.items() if name.startswith("checkpoints")}


@pytest.mark.parametrize("options, what", [
    (["--vocab", "290"], "290 entries and the model 300"),
    ([], "is not the tokenizer that the checkpoints")])
def test_a_tokenizer_that_does_not_fit(refuses, course, trained, tmp_path,
                                       options, what):
    other = tiny.write_text(tmp_path / "other", seed=9)
    (other / "more.txt").write_text("zebra quilt jumping vexed " * 99)
    assert course("prepare", "--corpus", other, *SMALL, *options,
                  "--out", tmp_path / "run")[0] == 0
    shutil.copy(tmp_path / "run" / "tokenizer.json", trained)
    refuses("sample", trained, what=what)
    refuses("export", trained, "--to", tmp_path / "hf", what=what)
    (trained / "tokenizer.json").write_text('{"model": 1}')
    refuses("sample", trained, what="is not a tokenizer file")
    (trained / "tokenizer.json").unlink()
    refuses("sample", trained, what="no tokenizer at")


def test_a_damaged_checkpoint_is_named(course, refuses, prepared):
    open_run(prepared).train(stop_at=3, progress=False)
    open_run(prepared).train(stop_at=6, progress=False)
    newest, older = (prepared / "checkpoints" / f"step-0000000{step}" /
                     "model.safetensors" for step in (6, 3))
    newest.write_bytes(newest.read_bytes()[:-1])
    code, out, err = course("evaluate", prepared, "--json")
    assert not code and json.loads(out)["tokens"] > 0
    assert "step-00000006" in err and "step-00000003 is used" in err
    older.unlink()
    for verb in (["sample"], ["evaluate"], ["train", "--resume"]):
        refuses(verb[0], prepared, *verb[1:], what="no checkpoint in")


def test_damaged_tokens_are_named(refuses, trained):
    for name, verb in (("train", ["train", "--resume"]),
                       ("val", ["evaluate"])):
        path = trained / f"{name}.bin"
        path.write_bytes(path.read_bytes()[:-3])
        if verb[0] == "train":
            shutil.rmtree(trained / "checkpoints")
        refuses(verb[0], trained, *verb[1:], what=f"{name}.bin")
        if verb[0] == "train":
            break
    (trained / "val.json").write_text("{")
    refuses("train", trained, what="damaged")


@pytest.mark.parametrize("name, verbs", [
    ("val", (["evaluate"], ["evaluate", "--json"],
             ["evaluate", "--text", "RUN"], ["train", "--resume"])),
    ("train", (["train", "--resume"],))])
@pytest.mark.parametrize("damage", ["300 bits", "a high bit", "a zero"])
def test_tokens_that_changed_give_no_numbers(refuses, trained, name, verbs,
                                             damage):
    path, draw = trained / f"{name}.bin", random.Random(0)
    data = bytearray(path.read_bytes())
    for _ in range(300 if damage == "300 bits" else 1):
        data[draw.randrange(0, len(data), 2)] ^= 1 << draw.randrange(8)
    if damage == "a high bit":
        data[101] |= 128
    path.write_bytes(data)
    (trained / "log.jsonl").unlink()  # else it is known to be finished
    for verb, *options in verbs:
        refuses(verb, trained, *(trained if each == "RUN" else each
                                 for each in options),
                what=f"{name}.bin is damaged: its checksum")


@pytest.mark.parametrize("field", ["bytes", "tokens", "documents"])
def test_counts_that_changed_give_no_numbers(refuses, trained, field):
    """The loss is divided by them."""
    path = trained / "val.json"
    header = json.loads(path.read_text())
    for count in (header[field] + 1, -5, 0.5, "9", None):
        path.write_text(json.dumps(header | {field: count}))
        refuses("evaluate", trained, what="val.")
    path.write_text(json.dumps(header))
    record = json.loads((trained / "run.json").read_text())
    record["files"]["val"][field] += 1
    (trained / "run.json").write_text(json.dumps(record))
    refuses("evaluate", trained, what=f"val.json says {header[field]} {field}")


def test_before_training(refuses, prepared, tmp_path):
    refuses("sample", prepared, what="no trained model yet: run `course")
    refuses("evaluate", prepared, what="no trained model yet: run `course")


def test_ways_to_sample(course, trained, monkeypatch):
    sample = ["sample", trained, "--seed", 3, "--tokens", 12, "-n", 3]
    code, whole, _ = course(*sample)
    assert not code and whole.count("life is about") == 3
    assert course(*sample, "--stream")[1] == whole
    monkeypatch.setattr("sys.stdin", io.StringIO("life is about\n\n"))
    code, out, err = course(*sample, "--interactive")
    assert not code and not err and out.startswith(whole)
    assert len(out) > len(whole)  # and then text from nothing
    code, out, _ = course(*sample, "--int8")
    assert not code and out.count("life is about") == 3
    for extra in (["--min-p", 0.1], ["--repetition-penalty", 1.3]):
        code, out, _ = course(*sample, *extra)
        assert not code and out.count("life is about") == 3


@pytest.mark.parametrize("options, what", [
    ("--temperature nan", "temperature"), ("--temperature -1", "temperature"),
    ("--temperature inf", "temperature"), ("--temperature hot", "invalid"),
    ("--top-k 0", "top_k"), ("--top-p 0", "top_p"), ("--top-p nan", "top_p"),
    ("--top-p 2", "top_p"), ("--min-p 2", "min_p"),
    ("--repetition-penalty 0", "repetition_penalty"),
    ("--tokens -5", "max_new_tokens"),
    ("--tokens nan", "not a whole number"), ("-n 0", "-n must be 1 or more"),
    ("-n -2", "-n must be 1 or more"), ("--seed x", "invalid int"),
    ("--prompt \ud800", "lone surrogate"), ("--volume 11", "unrecognized")])
def test_options_of_sample(refuses, trained, options, what):
    refuses("sample", trained, *options.split(), what=what)


@pytest.mark.parametrize("options, what", [
    ("--dollars 50 --gpu abacus", "no GPU 'abacus' in the table: choose"),
    ("--dollars 0", "dollars must be above 0"),
    ("--dollars -5", "dollars must be above 0"),
    ("--dollars nan", "dollars must be above 0"),
    ("--dollars inf", "dollars must be above 0"),
    ("--dollars 5 --mfu 0", "mfu"), ("--dollars 5 --mfu 1.5", "mfu"),
    ("--dollars 5 --mfu nan", "mfu"), ("", "--dollars"),
    ("--hours 0", "hours must be above 0"),
    ("--dollars 1 --largest 0", "largest must be above 0"),
    ("--dollars 1 --tokens 0", "tokens must be above 0"),
    ("--hours nan", "hours must be above 0"),
    ("--hours 1 --dollars 1", "not both"),
    ("--hours 1 --recipe 2023 --corpus stories", "no ladder was recorded"),
    ("--hours 1 --recipe 1923", "no recipe '1923'"),
    ("--dollars cheap", "invalid float")])
def test_options_of_plan(refuses, options, what):
    refuses("plan", *options.split(), what=what)


@pytest.mark.parametrize("option", ["--largest 9e6", "--gpu h100",
                                    "--mfu 0.4"])
def test_what_a_budget_buys_asks_for_one(refuses, tmp_path, option):
    refuses("prepare", "--corpus", "stories:100", "--out", tmp_path / "run",
            *option.split(), what="add --hours or --dollars")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments, what", [
    ([], "required: COMMAND"), (["fly"], "invalid choice: 'fly'"),
    (["train"], "required: RUN"), (["prepare"], "required: --out"),
    (["--fly"], "required: COMMAND")])
def test_no_such_command(refuses, arguments, what):
    refuses(*arguments, what=what)


@pytest.mark.parametrize("bad", ["0", "-1"])
def test_micro_rows(refuses, prepared, bad):
    refuses("train", prepared, "--micro-rows", bad, what="micro_rows")


def test_evaluate_other_text(refuses, trained, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    refuses("evaluate", trained, "--text", tmp_path / "empty.txt",
            what="no text")
    refuses("evaluate", trained, "--text", tmp_path / "no", what="no file")


@pytest.mark.slow
def test_two_at_once(text, tmp_path):
    """Of two that prepare one folder, one is refused and one succeeds."""
    command = [sys.executable, "-m", "course_lib", "prepare", "--corpus",
               text, *SMALL, "--out", tmp_path / "run"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                             stdout=subprocess.DEVNULL) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 2], [0, 0]), errors  # the second may come late
    for error in filter(None, errors):
        assert "another process is preparing" in error
    assert open_run(tmp_path / "run").train_tokens.verify() is None


def test_divergence_is_one_line(course, text, tmp_path):
    assert course("prepare", "--corpus", text, *SMALL, "--learning-rate",
                  "1e18", "--out", tmp_path / "run")[0] == 0
    code, _, err = course("train", tmp_path / "run")
    assert code == 2 and "Traceback" not in err
    assert "at step" in err.splitlines()[-1]
    assert "lower the learning rate" in err.splitlines()[-1]


def test_no_memory_for_the_model(course, prepared, monkeypatch):
    def start(*args):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(trainer, "start", start)
    code, _, err = course("train", prepared)
    assert code == 2 and "out of memory" in err


def test_a_bug_is_not_hidden(course, prepared, monkeypatch):
    monkeypatch.setattr(trainer, "start", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        course("train", prepared)


def test_every_help_has_its_defaults(course):
    for verb in ("doctor", "plan", "prepare", "train", "evaluate", "sample",
                 "export"):
        code, out, _ = course(verb, "--help")
        assert not code and out.startswith(f"usage: course {verb}")


def shell(command, **environment):
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True,
        text=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment)


def test_from_a_real_shell(trained):
    course = f"{sys.executable} -m course_lib"
    done = shell(f"{course} sample '{trained}' --tokens 3 && "
                 f"{course} sample '{trained}' --tokens 3 | true")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"{course} prepare --out new", COURSE_SCALE="huge")
    assert done.returncode == 2
    assert done.stderr == ("course prepare: no preset 'huge': choose one of "
                           "smoke, laptop, evening, full\n")
