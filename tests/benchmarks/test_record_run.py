"""What is recorded of a run, before and after its end."""

import json
import shlex

import pytest
import record_run
import tiny

from course_lib.cli.main import main
from course_lib.cli.reading import read_model
from course_lib.model.cost import count_parameters
from course_lib.runs import open_run

pytestmark = pytest.mark.usefixtures("quick")


def test_it_is_recorded_at_any_time(run, capsys):
    prompts = ("the cat", "life is about")
    run.train(progress=False, stop_at=30)
    before = tiny.contents(run.folder)
    half = record_run.record(run, prompts)
    assert tiny.contents(run.folder) == before
    assert not half["finished"] and half["training"]["tokens"] == 30 * 64
    assert [s["step"] for s in half["samples"]] == [0, 1, 6, 18]

    run.train(progress=False)
    whole = json.loads(json.dumps(record_run.record(run, prompts)))
    assert whole["finished"] and whole["interruptions"] == 0
    assert len(whole["sessions"]) == 2
    assert whole["samples"][:4] == half["samples"]
    assert whole["validation_log"][-1] == run.log[-1]
    assert whole["validation"]["loss"] == run.log[-1]["val_loss"]
    assert whole["validation"]["bytes"] == run.val_tokens.bytes
    spent = whole["training"]
    assert spent["threads"] == 1 and 0 < spent["share_of_peak"] < 1
    assert spent["hours"] * 3600 == pytest.approx(run.timing[-1]["elapsed"])
    assert spent["dollars"] == pytest.approx(spent["hours"] * 0.1008)
    main(["sample", str(run.folder), "--prompt", "the cat", "--seed", "0"])
    assert capsys.readouterr().out \
        == whole["samples"][-1]["texts"]["the cat"] + "\n"


def test_the_commands_make_the_run_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(shlex.split(
        "prepare --corpus stories:60 --preset smoke --recipe modern --layers "
        "1 --tokens 20480 --learning-rate 0.003 --out runs/one"))
    first = open_run("runs/one").record
    prepare, train = record_run.commands(first, [], "two")
    assert train == "course train runs/two"
    main(shlex.split(prepare)[1:])
    again = open_run("runs/two").record
    assert [again[of] for of in ("preset", "corpus", "files")] == [
        first[of] for of in ("preset", "corpus", "files")]


def test_a_run_that_no_flags_describe_has_no_commands(run):
    assert record_run.commands(run.record, [], "one") == []


def test_the_recorded_commands_are_those_of_the_run(repo):
    results = repo / "book" / "results"
    record, bet = (json.loads((results / name).read_text())
                   for name in ("long_run.json", "long_run_bet.json"))
    assert record["commands"] == record_run.commands(
        record["run"], record["sessions"], "books", bet["preset"]["tokens"])
    assert str(record["training"]["tokens"]) in " ".join(record["commands"])


def test_the_readme_quotes_the_recorded_model(repo):
    readme = (repo / "README.md").read_text(encoding="utf-8")
    quoted = " ".join(word for line in readme.splitlines()
                      if line.startswith(">") for word in line[1:].split())
    record = json.loads((repo / "book/results/long_run.json").read_text())
    texts = record["samples"][-1]["texts"].values()
    assert len(quoted) > 200
    assert any(" ".join(text.split()).startswith(quoted) for text in texts)


def test_the_shipped_model_is_the_recorded_one(repo):
    """And says what the record says of it, rounded as it is."""
    model, tokenizer, _ = read_model(repo / "book/models/books")
    record = json.loads((repo / "book/results/long_run.json").read_text())
    assert count_parameters(model.config).total == record["parameters"]
    said = record_run.continuations(model.eval(), tokenizer, ("The ship",))
    assert said["The ship"][:40] == record["samples"][-1]["texts"][
        "The ship"][:40]
