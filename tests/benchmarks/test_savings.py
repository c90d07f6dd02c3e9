"""The campaign from the 2023 recipe to a cheaper one."""

import json
import math
import signal
import threading

import pytest
import savings
import tiny
from filelock import FileLock

from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters
from course_lib.presets import load_preset
from course_lib.recipes import RECIPES, Recipe

START = savings.OLD.but(context_length=16, batch_tokens=64)


@pytest.fixture(scope="module")
def prepared_text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    with tiny.quick_training():
        yield {"packed": tiny.make_run(folder / "packed"),
               "sentences": tiny.make_run(folder / "sentences",
                                          START.at(tiny.PRESET))}


@pytest.fixture
def work(prepared_text, tmp_path):
    lines = []
    made = savings.Campaign(
        tmp_path / "result.json", tmp_path / "locks", prepared_text,
        tiny.PRESET, positions=640, report=lines.append)
    made.said = lines
    return made


@pytest.fixture
def measured(monkeypatch):
    """Runs whose loss is known: `measured(f)` makes it f(recipe, rate)."""
    def use(loss_of):
        def follow(recipe, text, base, positions, rate, seed):
            loss = loss_of(recipe, rate) + seed / 100
            return dict(loss=None if math.isinf(loss) else loss,
                        bits_per_byte=loss, seconds=0.0)
        monkeypatch.setattr(savings, "follow", follow)
    return use


def rates(result, name):
    return sorted({r["rate"] for r in result["runs"] if r["name"] == name})


def test_each_line_is_a_recipe_and_changes_something():
    recipe, base = savings.OLD, savings.small(load_preset("laptop"))
    for name, changes in savings.LINES.items():
        before, recipe = recipe, recipe.but(**changes)
        assert (recipe == before) == (name == savings.START), name
        recipe.at(base)  # which checks every field


def test_the_settings_lead_to_gpt2_and_the_last_line_is_modern():
    recipe, base = savings.OLD, savings.small(load_preset("laptop"))
    for changes in savings.SETTINGS.values():
        recipe = recipe.but(**changes)
    ours, gpt2 = recipe.at(base), RECIPES["gpt2"].at(base)
    for name in ("model", "optimizer", "schedule", "layout", "clip",
                 "weight_decay"):
        assert getattr(ours, name) == getattr(gpt2, name), name
    for changes in savings.IDEAS.values():
        recipe = recipe.but(**changes)
    assert recipe.at(base).model == RECIPES["modern"].at(base).model


def test_lines_are_of_one_size_or_nearly_so():
    """Never larger than GPT-2, and smaller by its positions at most."""
    base = savings.small(load_preset("laptop"))
    gpt2 = count_parameters(base.model)
    assert base.model == GPTConfig(1024, 128, 2, 2, 64)
    recipe = savings.OLD
    for name, changes in savings.LINES.items():
        one = recipe.but(**changes)
        recipe = one if name in savings.SETTINGS or one.optimizer == "muon" \
            and "tied" not in changes else recipe
        less = gpt2.total - count_parameters(one.at(base).model).total
        assert -0.001 * gpt2.total < less < gpt2.position_embedding + \
            0.02 * gpt2.total, name


def test_the_plan_counts_what_is_done(work, measured):
    measured(lambda recipe, rate: abs(math.log(rate / savings.RATE)))
    result = work.follow(savings.LINES, shorter=savings.SHORTER)
    runs, flop = savings.planned(work.base)
    kept = {line["name"] for line in result["lines"] if line["kept"]}
    assert kept == set(savings.SETTINGS)  # no change helps in this world
    assert [line["helps"] for line in result["lines"]].count(True) == 1
    assert len(result["runs"]) == runs and 1e12 < flop < 1e15


def test_a_line_is_kept_when_it_helps_with_both_seeds(work, measured):
    measured(lambda recipe, rate: 5 + math.log2(rate / 1e-3) ** 2 / 10
             - 2 * (recipe.layout == "packed")
             + ("positions" in recipe.model)
             - ("qk_norm" in recipe.model))
    result = work.follow(dict(start={}, packed=dict(layout="packed"),
                              rotary=dict(positions="rotary"),
                              normed=dict(qk_norm=True)), START, 1e-3)
    assert [line["kept"] for line in result["lines"]] == [1, 1, 0, 1]
    last = Recipe(**result["lines"][-1]["recipe"])
    assert last == START.but(layout="packed", qk_norm=True)


def test_the_rate_is_looked_for_until_it_is_between_two_others(
        work, measured):
    measured(lambda recipe, rate: abs(math.log2(
        rate / (8e-3 if recipe.layout == "packed" else 1e-3))))
    result = work.follow(dict(start={}, packed=dict(layout="packed")), START,
                         1e-3)
    assert rates(result, "start") == [5e-4, 1e-3, 2e-3]
    assert rates(result, "packed") == [
        5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3]
    assert [line["rate"] for line in result["lines"]] == [1e-3, 8e-3]
    seeds = [r["rate"] for r in result["runs"] if r["seed"] == 1]
    assert seeds == [1e-3, 8e-3]


def test_a_diverged_run_is_kept_and_never_best(work, measured):
    measured(lambda recipe, rate: math.inf if rate > 1e-3 else 1 / rate)
    result = work.follow(dict(start={}), START, 1e-3)
    assert result["lines"][0]["rate"] == 1e-3
    assert [r["loss"] for r in result["runs"] if r["rate"] == 2e-3] == [None]


def test_runs_are_recorded_and_not_done_again(work):
    lines = dict(start={}, packed=dict(layout="packed"))
    first = work.follow(lines, START, 1e-2, shorter=(2,))
    made = len(work.said)
    again = work.follow(lines, START, 1e-2, shorter=(2,))
    assert again["runs"] == first["runs"]
    assert [line for line in work.said[made:] if "rate" in line] == []
    assert json.loads(work.path.read_text()) == again
    assert again["provenance"]["command"]
    short = [r for r in again["runs"] if r["name"] == "1/2 of it"]
    assert [r["positions"] for r in short] == [320, 320]
    assert {r["seed"] for r in short} == {0, 1}


def test_another_processes_run_is_waited_for_and_the_rest_done(
        work, measured):
    measured(lambda recipe, rate: rate)
    asked = [work.ask(START, rate) for rate in (1.0, 2.0, 3.0)]
    lock = FileLock(work.locks / f"{savings._key(asked[0])}.lock",
                    thread_local=False)
    lock.acquire()
    timer = threading.Timer(0.5, lock.release)
    timer.start()
    runs = work.runs("x", asked)
    timer.join()
    assert [r["loss"] for r in runs] == [1.0, 2.0, 3.0]
    assert [r["rate"] for r in work.read()["runs"]] == [2.0, 3.0, 1.0]


@pytest.fixture
def recorded(prepared_text, work, tmp_path, monkeypatch):
    """A recorded file of two lines that were kept, and `main` beside it."""
    preset = savings.small(tiny.PRESET, layers=1, heads=1, width=32)
    monkeypatch.setattr(savings, "RESULTS", tmp_path)
    monkeypatch.setattr(savings, "load_preset", lambda name: preset)
    monkeypatch.setattr(savings, "prepared", lambda preset: prepared_text)
    work.path, work.base = tmp_path / "savings.json", preset
    for name, recipe in (("start", START),
                         ("end", START.but(layout="packed"))):
        work.follow({name: {}}, recipe, 1e-2)
    return work.path


SMALL = ["--layers", "1", "--width", "32", "--positions"]


def test_a_line_of_ones_own_is_one_command(recorded, tmp_path, capsys):
    before, out = recorded.read_bytes(), tmp_path / "own.json"
    savings.main(["--line", "clip=1", "schedule=cosine", *SMALL, "640",
                  "--out", str(out)])
    base, own = json.loads(out.read_text())["lines"]
    assert own["changes"] == dict(clip=1, schedule="cosine")
    assert own["name"] == "clip=1 schedule=cosine"
    assert base["recipe"] == START.but(layout="packed").to_dict()
    assert recorded.read_bytes() == before
    assert "kept" in capsys.readouterr().out


def test_recorded_lines_are_tuned_again_at_another_size(recorded, tmp_path):
    out = tmp_path / "longer.json"
    savings.main(["--again", "start", "end", *SMALL, "1280",
                  "--out", str(out)])
    longer = json.loads(out.read_text())
    assert [line["name"] for line in longer["lines"]] == ["start", "end"]
    assert {run["asked"] for run in longer["runs"]} == {1280}
    assert len(rates(longer, "start")) >= 3
    with pytest.raises(ValueError, match="another size"):
        savings.main(["--again", "start", "--layers", "2", "--width", "32",
                      "--out", str(out)])
    with pytest.raises(SystemExit):
        savings.main(["--again", "start"])


def test_a_run_that_was_told_to_stop_is_not_recorded(work, monkeypatch):
    """A campaign that took a half run for a whole one would compare it."""
    from course_lib.training import trainer
    real = trainer.train_step

    def step(*args):
        signal.raise_signal(signal.SIGTERM)
        return real(*args)

    monkeypatch.setattr(trainer, "train_step", step)
    with pytest.raises(KeyboardInterrupt):
        work.follow(dict(start={}), START, 1e-2)
    assert work.read()["runs"] == []


def test_the_plan_is_said_and_nothing_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(savings, "RESULTS", tmp_path)
    savings.main(["--plan"])
    assert "runs" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
