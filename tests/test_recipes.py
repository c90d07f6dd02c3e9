"""Every recipe through the one trainer: trained, killed, resumed, measured,
sampled, quantized, at any scale."""

import dataclasses
import math
import shutil

import pytest
import tiny
import torch
from test_train import killed

from course_lib.machine.device import autocast
from course_lib.measuring.evaluation import evaluate
from course_lib.measuring.surprise import surprisal
from course_lib.model.cost import count_parameters
from course_lib.presets import PRESETS
from course_lib.recipes import NEVER, RECIPES, Recipe, find_recipe
from course_lib.runs import open_run
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import quantize_int8
from course_lib.training.optimizers import members
from course_lib.training.start import start
from course_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("quick")


def preset_of(name):
    preset = find_recipe(name).at(tiny.PRESET)
    if name == "2023":  # its rows of 64 are wider than the tiny ones
        model = dataclasses.replace(preset.model, context_length=16)
        preset = dataclasses.replace(preset, model=model)
    return preset


@pytest.fixture(scope="module", params=RECIPES)
def prepared(request, tmp_path_factory):
    """A prepared run by each recipe in turn; not to be trained in."""
    folder = tmp_path_factory.mktemp(request.param)
    return tiny.make_run(folder, preset_of(request.param)).folder


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """The same run, trained without an interruption."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(prepared, folder)
    with tiny.quick_training():
        open_run(folder).train(progress=False)
    return open_run(folder)


def test_resumed_at_any_step_it_has_the_same_bits(run, whole):
    for stop in (0, 1, 13, 30, 30, 59):
        assert run.train(stop_at=stop, progress=False).step == stop
    run.train(progress=False)
    assert run.finished and tiny.bits(run.folder) == tiny.bits(whole.folder)


def test_killed_at_random_moments_it_has_the_same_bits(run, whole):
    assert killed(run.folder, 5, 0.4) > 0
    assert tiny.bits(run.folder) == tiny.bits(whole.folder)


def test_without_a_folder_it_is_the_same_training(prepared, whole, tmp_path):
    run = open_run(prepared)
    before = tiny.contents(prepared)
    ended = train(None, run.preset, run.train_tokens, run.measured_tokens,
                  progress=False)
    assert ended.log == whole.log and ended.step == run.preset.steps
    assert ended.seconds > 0
    for a, b in zip(ended.model.parameters(), whole.model().parameters(),
                    strict=True):
        assert torch.equal(a, b)
    assert tiny.contents(prepared) == before


def test_what_is_measured_is_what_training_said(whole):
    model, last = whole.model(), whole.log[-1]
    result = evaluate(model, whole.measured_tokens,
                      precision=autocast("cpu", whole.number_format))
    assert result.loss == pytest.approx(last["val_loss"], rel=1e-6)
    assert result.bytes == whole.val_tokens.bytes
    assert result.bits_per_byte < whole.log[0]["val_bits_per_byte"] - 1


def test_it_samples_past_its_context_with_and_without_the_cache(whole):
    model = whole.model().double()
    prompts = [whole.tokenizer.encode("the cat"), [whole.tokenizer.eot]]
    told = [generate(model, prompts, 40, seed=1, use_cache=use)
            for use in (True, False)]
    assert told[0] == told[1] and len(told[0][0]) == 40
    small = quantize_int8(whole.model())
    assert len(generate(small, prompts, 40, seed=1)[1]) == 40


def test_its_surprisal_is_its_log_probability(whole):
    model, prompt = whole.model().double(), [whole.tokenizer.eot]
    [new], [scores] = generate(model, [prompt], 30, seed=0, logprobs=True)
    nats = surprisal(model, prompt + new)
    assert nats == pytest.approx([-score for score in scores], abs=1e-9)


def test_its_snapshots_open(whole):
    steps = [step for step, _ in whole.snapshots()]
    assert steps == [0, 1, 6, 18, 60]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scale", PRESETS)
def test_any_scale_takes_any_recipe(scale, name):
    preset = find_recipe(name).at(PRESETS[scale])
    assert preset.recipe == name and preset.name == scale
    assert preset.steps == PRESETS[scale].steps
    gpt2 = count_parameters(PRESETS[scale].model)
    # fewer positions or none, and SwiGLU's width to a multiple of eight
    less = gpt2.total - count_parameters(preset.model).total
    assert -0.001 < less / gpt2.total
    assert less <= gpt2.position_embedding + 0.02 * gpt2.total


def test_2023_is_as_its_code_had_it():
    preset = find_recipe("2023").at(PRESETS["laptop"])
    assert (preset.layout, preset.schedule, preset.warmup_steps,
            preset.clip) == ("sentences", "constant", 0, NEVER)
    assert (preset.model.context_length, preset.model.dropout,
            preset.model.first_weights) == (64, 0.1, "pytorch")
    _, optimizer = start(preset, "cpu")
    [group] = optimizer.param_groups
    assert (group["weight_decay"], group["betas"]) == (0.01, (0.9, 0.999))


def test_gpt2_is_the_preset_itself():
    for preset in PRESETS.values():
        assert find_recipe("gpt2").at(preset) == preset


def test_a_recipe_by_field():
    recipe = find_recipe("modern").but(optimizer="adamw", norm="layer",
                                       rate=0.5, warmup=0.1)
    preset = recipe.at(tiny.PRESET)
    assert preset.model.norm == "layer" and preset.model.mlp == "swiglu"
    assert preset.learning_rate == tiny.PRESET.learning_rate / 2
    assert preset.warmup_steps == 6
    assert len(members(start(preset, "cpu")[1])) == 1
    assert Recipe(**recipe.to_dict()) == recipe
    assert find_recipe("modern").optimizer == "muon"  # as it was


@pytest.mark.parametrize("changes, said", [
    (dict(colour=1), "a recipe has no colour"),
    (dict(vocab_size=300), "a recipe has no vocab_size"),
    (dict(rate=0.0), "rate must be above 0"),
    (dict(warmup=2), "warmup is a share"),
    (dict(optimizer="sgd"), "optimizer 'sgd' is none of"),
    (dict(layout="heap"), "layout 'heap' is none of"),
    (dict(norm="batch"), "norm 'batch' is none of")])
def test_what_a_recipe_cannot_say_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        find_recipe("gpt2").but(**changes).at(tiny.PRESET)


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(ValueError, match="no recipe '2024': choose one of "
                                         "2023, gpt2, modern"):
        find_recipe("2024")


def test_a_model_to_begin_with(prepared):
    run = open_run(prepared)
    torch.manual_seed(99)
    model, _ = start(dataclasses.replace(run.preset, seed=5), "cpu")
    quiet = {name: p.clone() for name, p in model.named_parameters()}
    short = dataclasses.replace(run.preset, tokens=64, learning_rate=1e-9)
    ended = train(None, short, run.train_tokens, run.measured_tokens,
                  model=model, progress=False)
    assert ended.model is model
    for name, p in ended.model.named_parameters():
        torch.testing.assert_close(p, quiet[name], rtol=0, atol=1e-6)
    assert math.isfinite(ended.evaluation.loss)
