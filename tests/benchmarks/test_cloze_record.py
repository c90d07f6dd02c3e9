"""Cloze and copies of a model, as the book records them."""

import json
import sys

import cloze
import copies
import harness
import pytest
import tiny
import torch
from harness import TASKS, write

from course_lib.measuring.evaluation import documents, evaluate_text
from course_lib.measuring.minimal_pairs import pairs_of
from course_lib.model.gpt import GPT
from course_lib.runs import open_run
from course_lib.sharing.hugging_face import save_hf


@pytest.fixture(scope="module")
def folder(prepared, tmp_path_factory):
    """An untrained model in Hugging Face's format."""
    torch.manual_seed(0)
    where = tmp_path_factory.mktemp("hf")
    save_hf(GPT(tiny.PRESET.model), open_run(prepared).tokenizer, where)
    return where


def test_a_record_of_the_cloze(prepared, folder, tmp_path, monkeypatch):
    # what is held out of so small a text is shorter than a passage
    run = open_run(prepared)
    monkeypatch.setattr(cloze, "documents", lambda *_: documents(
        run.train_tokens, run.tokenizer))
    monkeypatch.setattr(sys, "argv", [
        "cloze.py", str(folder), "--run", str(prepared), "--count", "6",
        "--to", str(tmp_path)])
    cloze.main()
    record = json.loads((tmp_path / "cloze.json").read_text())
    mine, grams = record["models"]
    assert mine["parameters"] and grams["name"] == "Kneser-Ney, 5 tokens"
    assert {(row["word_seen"], row["given"]) for row in mine["cloze"]} == {
        (seen, given) for seen in (True, False)
        for given in ("passage", "sentence")}
    nats = [sum(row["nats"]["mean"] for row in one["cloze"])
            for one in (mine, grams)]
    assert nats[1] < nats[0]  # one has read the text, the other nothing
    assert all(example["word"] in example["passage"]
               for example in mine["examples"] if example["seen"])


def test_pairs_are_counted_by_kind_and_together(prepared):
    tokenizer = open_run(prepared).tokenizer
    pairs = [pair for sentence in (
        "She was very tired of the long way home.",
        "He was very glad to see an old friend.")
        for pair in pairs_of(sentence)]
    right = {pair.right for pair in pairs[:1]}

    def read(ids, start):
        said = tokenizer.decode(ids[1:])
        return [1.0 if said in right else 2.0] * (len(ids) - 1), []

    found = cloze.judge(read, tokenizer, [], pairs)
    assert found["cloze"] == []
    assert found["pairs"]["all pairs"]["count"] == len(pairs)
    assert found["pairs"]["agreement"]["count"] == 2
    assert found["pairs"]["article"]["count"] == 1


def test_a_record_of_copies(run, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "TOKENS", 30)
    monkeypatch.setattr(copies, "BEGUN", 5)
    monkeypatch.setattr(type(run), "model", lambda self: GPT(
        tiny.PRESET.model).eval())
    record = copies.record(run, 1500)
    assert record["searched_tokens"] == 1500
    kinds = record["kinds"]
    assert kinds["training passages"]["lengths"] == [30] * copies.TEXTS
    assert max(kinds["samples"]["lengths"]) < 30
    assert len(kinds["held-out passages"]["longest"]) == copies.SHOWN
    assert {len(lengths) for lengths in record["kept"].values()} == {
        copies.TEXTS}


def test_how_far_a_model_keeps_to_a_text(run, monkeypatch):
    """One that knows some of it by heart is told from one that does not."""
    monkeypatch.setattr(copies, "TOKENS", 12)
    monkeypatch.setattr(copies, "BEGUN", 5)
    read = copies.have_been_read(run)
    assert len({tuple(text) for text in read}) > 1
    known = run.train_tokens.ids.tolist()
    assert all(text in (known[at:at + 12] for at in range(len(known)))
               for text in read[::8])

    def by_heart(model, prompts, count, temperature):
        assert temperature == 0 and count == 7
        return [text[5:8] + [-1] + text[9:] if number % 2 else text[5:]
                for number, text in enumerate(read)]

    monkeypatch.setattr(copies, "generate", by_heart)
    assert copies.kept_to(None, read)[:4] == [7, 3, 7, 3]


def test_what_the_harness_is_given(prepared, tmp_path):
    run = open_run(prepared)
    write(run, tmp_path, 4, 4)
    held_out = [json.loads(line)["text"] for line in
                (tmp_path / "held_out.jsonl").read_text().splitlines()]
    assert len(held_out) == run.val_tokens.documents
    assert sum(len(text.encode()) for text in held_out) == \
        run.val_tokens.bytes
    assert {path.name for path in tmp_path.glob("*.yaml")} == {
        path.name for path in TASKS.glob("*.yaml")}
    for line in (tmp_path / "cloze.jsonl").read_text().splitlines():
        assert json.loads(line).keys() == {"passage", "word"}


def test_the_harness_beside_the_course(prepared, tmp_path, monkeypatch):
    """For the items that it says it has read, and none but with its own
    results."""
    run, model = open_run(prepared), GPT(tiny.PRESET.model).eval()
    texts = list(documents(run.train_tokens, run.tokenizer))  # long enough
    monkeypatch.setattr(harness, "documents", lambda *_: texts)
    given = run, tmp_path, model, run.tokenizer, 4, 4
    with pytest.raises(FileNotFoundError, match="--output_path"):
        harness.beside(*given)
    names = ("books_held_out", "bits_per_byte"), ("books_cloze", "acc"), (
        "books_pairs", "acc")
    (tmp_path / "results_1.json").write_text(json.dumps(dict(
        lm_eval_version="0.4", results={
            task: {f"{figure},none": 0.5} for task, figure in names},
        **{"n-samples": {task: dict(effective=2) for task, _ in names}})))
    found = harness.beside(*given)
    alone = evaluate_text(model, run.tokenizer, texts[:2], by_document=True)
    assert found["tasks"][0] == dict(
        task="books_held_out", figure="bits_per_byte", count=2, harness=0.5,
        course=alone.bits_per_byte)
    assert found["bytes"] == sum(len(each.encode()) for each in texts[:2])
    assert {row["harness"] for row in found["tasks"]} == {0.5}
    assert all(0 <= row["course"] <= 1 for row in found["tasks"][1:])
