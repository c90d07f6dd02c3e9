"""Whole recipes: rows of sentences, and a loss that can be compared."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from course_lib import recipe as module
from course_lib.evaluate import evaluate
from course_lib.model import GPTConfig
from course_lib.recipe import Recipe, Text, follow, make, nats, small
from course_lib.variants import MuonAdamW, Variant

WIDTH = 16
SIZES = module.CURVE_TOKENS, module.FINAL_TOKENS
OLD = Recipe(context_length=WIDTH, batch_tokens=64)
NEW = OLD.but(packed=True, torch_init=False, clip=1.0, optimizer="adamw")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    with tiny.quick_training():
        run = tiny.make_run(tmp_path_factory.mktemp("tiny"))
        yield Text(run, rows=100, width=WIDTH)


def model_of(recipe, scale=0.0):
    preset = recipe.preset(tiny.PRESET, 640, 1e-2, 0)
    model, _ = make(recipe, preset)
    model = model.double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(scale)
    return model


def test_a_row_is_one_sentence_and_padding(text):
    eot, decode = text.tokenizer.eot, text.tokenizer.decode
    first = text.sentences(text.train.ids[:400])[0]
    row = text.rows[0].tolist()
    ids = text.tokenizer.encode(first)[:WIDTH - 1]
    assert row[:len(ids) + 2] == [eot, *ids, eot]
    assert set(row[len(ids) + 2:]) <= {eot} and len(row) == WIDTH + 1
    assert decode(ids) in decode(text.train.ids.tolist())
    assert len(text.rows) == 100


def test_sentences_leave_no_text_out(text):
    ids = text.train.ids[:2000]
    whole = text.tokenizer.decode(ids.tolist())
    joined = "".join(text.sentences(ids))
    kept = "".join(whole.replace("<|endoftext|>", "").split())
    assert "".join(joined.split()) == kept


def test_slices_lie_all_over_the_text_and_leave_short_text_whole():
    ids = np.arange(100_000)
    some = module.spread(ids, 10 * module.SLICES)
    assert len(some) == 10 * module.SLICES
    assert some.min() == 0 and some.max() == len(ids) - 1
    starts = np.sort(some[::10])
    assert np.ptp(np.diff(starts)) <= 1 and not np.all(np.diff(some) > 0)
    assert np.array_equal(module.spread(ids[:50], 100), ids[:50])
    assert np.array_equal(module.spread(ids, 9), ids[:9])


def test_of_books_pieces_of_all_are_held_out(tmp_path, monkeypatch):
    run = tiny.make_run(tmp_path)
    books = list(module.documents(run.val_tokens, run.tokenizer))
    assert module.excerpts(run) is run.val_tokens  # short ones stay whole
    monkeypatch.setattr(module, "EXCERPT", 100)
    found = module.excerpts(run)
    pieces = list(module.documents(found, run.tokenizer))
    assert len(pieces) == len(books) * len(module.EXCERPTS)
    for number, piece in enumerate(pieces):  # book after book, in turn
        book = books[number % len(books)]
        assert piece in book and 0 < len(piece) <= 100
        assert book[book.index(piece) - 1] == "\n"
    again = module.excerpts(run)
    assert np.array_equal(again.ids, found.ids)


def test_an_epoch_shows_each_row_once_and_seeds_differ(text):
    rows = OLD.batch_tokens // WIDTH
    epoch = [text.batch(step, OLD, 0) for step in range(len(text.rows)
                                                        // rows)]
    seen = torch.cat([ids for ids, _ in epoch])
    assert seen.shape == (100, WIDTH)
    assert sorted(map(tuple, seen.tolist())) == sorted(
        map(tuple, text.rows[:, :-1].tolist()))
    for ids, targets in epoch:
        assert torch.equal(ids[:, 1:], targets[:, :-1])
    assert not torch.equal(epoch[0][0], text.batch(25, OLD, 0)[0])
    assert not torch.equal(epoch[0][0], text.batch(0, OLD, 1)[0])
    packed = text.batch(3, NEW, 1)
    assert torch.equal(packed[0], text.train.batch(3, rows, WIDTH, 1)[0])


def test_the_share_of_real_targets_is_counted_on_them(text):
    held = text.parts[SIZES[1]].rows
    assert text.real == pytest.approx(
        np.mean([len(row) / WIDTH for row in held]))
    assert 0.3 < text.real < 1


def test_an_ignorant_model_pays_the_same_for_each_target(text):
    """All weights zero: ln V for each token, and for the end of each
    sentence; padding is free."""
    held, ln_v = text.parts[SIZES[0]], math.log(300)
    ends = sum(row.count(text.tokenizer.eot) for row in held.rows)
    tokens = sum(map(len, held.rows))
    assert nats(model_of(OLD), text, OLD, SIZES[0]) == pytest.approx(
        tokens * ln_v)
    assert ends == len(text.sentences(
        text.validation.ids[:held.tokens + 1]))
    assert nats(model_of(NEW), text, NEW, SIZES[0]) == pytest.approx(
        held.tokens * ln_v)
    assert held.bytes == pytest.approx(text.validation.bytes, rel=0.02)


def test_padding_does_not_count(text):
    """One sentence at a time, without any padding: the same total."""
    model, alone = model_of(OLD, 3.0), 0.0
    for row in text.parts[SIZES[0]].rows:
        ids = torch.tensor([[text.tokenizer.eot, *row]])
        alone += model.loss(ids[:, :-1], ids[:, 1:]).item() * len(row)
    assert nats(model, text, OLD, SIZES[0]) == pytest.approx(alone)


def test_packed_text_is_evaluated_as_everywhere(text):
    model, held = model_of(NEW, 3.0), text.parts[SIZES[0]]
    assert nats(model, text, NEW, SIZES[0]) == pytest.approx(
        evaluate(model, text.validation, max_tokens=held.tokens).loss
        * held.tokens)


@pytest.mark.parametrize("recipe", [
    OLD, NEW, NEW.but(optimizer="muon", rotary=True)],
    ids=["old", "new", "muon"])
def test_a_run_is_reproducible_and_learns(text, recipe):
    def go(seed):
        made = follow(recipe, text, tiny.PRESET, 40 * 64, 1e-2, seed)
        assert 0 < made.pop("cpu_seconds") < 60
        return made

    first, again, other = go(0), go(0), go(1)
    assert first == again and first != other
    assert first["steps"] == 40 and first["positions"] == 40 * 64
    losses = [point["loss"] for point in first["curve"]]
    assert losses[-1] < losses[0] - 0.5
    assert first["curve"][-1]["tokens"] == 40 * 64
    held = text.parts[SIZES[1]]
    assert first["bits_per_byte"] == pytest.approx(
        first["loss"] * held.tokens / math.log(2) / held.bytes)


def test_a_diverged_run_says_so(text):
    recipe = OLD.but(torch_init=False, optimizer="torch")
    made = follow(recipe, text, tiny.PRESET, 40 * 64, 1e12)
    assert made["loss"] is None or made["loss"] > math.log(300)


def test_the_first_weights_can_be_altered(text):
    seen = []

    def silence(model):
        seen.append(model)
        torch.nn.init.zeros_(model.transformer.wte.weight)

    made = [follow(NEW, text, tiny.PRESET, 64, 1e-9, begin=begin)["loss"]
            for begin in (None, silence)]
    assert made[0] != made[1] == pytest.approx(math.log(300), abs=1e-4)
    assert len(seen) == 1


def test_dropout_is_off_when_measured_and_on_again(text):
    model, _ = make(OLD, OLD.preset(tiny.PRESET, 640, 1e-2, 0))
    both = [nats(model, text, OLD, SIZES[0]) for _ in range(2)]
    assert both[0] == both[1] and model.training


def test_a_recipe_says_what_it_is():
    preset = Recipe().preset(small(tiny.PRESET), 20_480, 1e-3, 1)
    assert (preset.steps, preset.warmup_steps, preset.seed) == (20, 0, 1)
    assert preset.model == GPTConfig(300, 64, 2, 2, 64, dropout=0.1)
    changed = Recipe().but(packed=True, rotary=True)
    assert changed == replace(Recipe(), packed=True, variant=Variant(
        torch_init=True, rotary=True))
    assert Recipe.from_dict(changed.to_dict()) == changed
    assert isinstance(make(Recipe().but(optimizer="muon"), preset)[1],
                      MuonAdamW)
    [group] = make(Recipe(), preset)[1].param_groups
    assert group["weight_decay"] == 0.01 and group["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("changes, said", [
    (dict(colour=1), "no colour"), (dict(optimizer="sgd"), "is none of")])
def test_what_a_recipe_has_not_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Recipe().but(**changes)
