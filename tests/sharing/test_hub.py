"""To and from Hugging Face's formats, with `transformers` as the judge."""

import json
from dataclasses import fields, replace

import pytest
import torch
from referee import (
    CONTEXT,
    MODERN,
    NASTY,
    TEXTS,
    apart,
    greedy,
    opinionated,
    ours,
)
from safetensors.torch import load_file, save_file
from tokenizers import normalizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    GPT2TokenizerFast,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import quantize_int8
from course_lib.sharing.hugging_face import (
    FORMATS,
    format_of,
    from_hf,
    holds,
    load_hf,
    save_hf,
)
from course_lib.text.tokenizer import EOT, train_tokenizer

GPT2 = dict(vocab_size=131, n_positions=CONTEXT, n_layer=2, n_head=4,
            n_embd=32, bos_token_id=0, eos_token_id=0)
QWEN3 = dict(
    vocab_size=131, max_position_embeddings=CONTEXT, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=4, head_dim=8, hidden_size=32,
    intermediate_size=40, tie_word_embeddings=True, bos_token_id=0,
    eos_token_id=0)


def gpt2(kind=GPT2LMHeadModel, **changes):
    torch.manual_seed(0)
    return opinionated(kind(GPT2Config(**(GPT2 | changes))))


def qwen3(kind=Qwen3ForCausalLM, **changes):
    torch.manual_seed(0)
    return opinionated(kind(Qwen3Config(**(QWEN3 | changes))))


THEIRS = {"gpt2": gpt2, "gpt2-wide": lambda: gpt2(n_inner=100),
          "qwen3": qwen3,
          "qwen3-untied": lambda: qwen3(tie_word_embeddings=False)}
theirs = pytest.mark.parametrize("make", THEIRS.values(), ids=THEIRS)
# Models of ours, and what they load as.
OURS = {"gpt2": ({}, GPT2LMHeadModel),
        "gpt2-wide": (dict(n_inner=100), GPT2LMHeadModel),
        "modern": (MODERN, Qwen3ForCausalLM),
        "modern-untied": (MODERN | dict(tied=False, n_inner=40),
                          Qwen3ForCausalLM)}
both = pytest.mark.parametrize("parts, kind", OURS.values(), ids=OURS)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS * 9, 300)


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@theirs
def test_from_a_model(make):
    assert apart(from_hf(make()), make()) < 1e-4


def test_the_configuration_read():
    assert from_hf(gpt2()).config == GPTConfig(131, CONTEXT, 2, 4, 32)
    assert from_hf(qwen3()).config == GPTConfig(
        131, CONTEXT, 2, 4, 32, n_inner=40, **MODERN)
    assert from_hf(qwen3(intermediate_size=88)).config == GPTConfig(
        131, CONTEXT, 2, 4, 32, **MODERN)


@theirs
@pytest.mark.parametrize("shards", ["one file", "many"])
def test_from_a_folder(tmp_path, make, shards):
    make().save_pretrained(
        tmp_path, max_shard_size="10KB" if shards == "many" else "1GB")
    files = len(list(tmp_path.glob("*.safetensors")))
    assert files > 2 if shards == "many" else files == 1
    assert apart(from_hf(tmp_path), make()) < 1e-4
    assert apart(from_hf(str(tmp_path)), make()) < 1e-4


def test_from_a_folder_of_the_first_checkpoints(tmp_path):
    """OpenAI's files have no `transformer.` prefix and keep the mask."""
    gpt2().save_pretrained(tmp_path)
    weights = {name.removeprefix("transformer."): value for name, value
               in load_file(tmp_path / "model.safetensors").items()}
    weights["h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
    weights["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(weights, tmp_path / "model.safetensors")
    assert apart(from_hf(tmp_path), gpt2()) < 1e-4


def test_a_tied_head_that_was_saved_too(tmp_path):
    gpt2().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors")
    assert apart(from_hf(tmp_path), gpt2()) < 1e-4


@pytest.mark.parametrize("hf", [gpt2(GPT2Model), qwen3(Qwen3Model)],
                         ids=["gpt2", "qwen3"])
@torch.no_grad()
def test_from_the_model_without_its_head(hf):
    ids = torch.arange(20)[None]
    assert (from_hf(hf).eval().hidden(ids)
            - hf(ids).last_hidden_state).abs().max() < 1e-4


def test_published_shape_is_not_padded():
    model = from_hf(GPT2LMHeadModel(GPT2Config(n_layer=1)))
    assert model.config == GPTConfig(50257, 1024, 1, 12, 768)
    assert model.head.shape == (50257, 768)


@pytest.mark.parametrize("make", [gpt2, qwen3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16,
                                   torch.bfloat16])
def test_number_format_is_kept(make, dtype, tmp_path):
    hf = make().to(dtype)
    assert {p.dtype for p in from_hf(hf).parameters()} == {dtype}
    hf.save_pretrained(tmp_path)
    assert {p.dtype for p in from_hf(tmp_path).parameters()} == {dtype}


def test_of_several_number_formats_the_widest():
    hf = gpt2()
    hf.transformer.wte.half()
    table = hf.transformer.wte.weight
    model = from_hf(hf)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.head, table.float())


@theirs
def test_weights_are_copies(make):
    hf = make()
    with torch.no_grad():
        for parameter in from_hf(hf).parameters():
            parameter.zero_()
    assert all(parameter.any() for parameter in hf.parameters())


@both
def test_export_loads_offline(tmp_path, offline, tokenizer, parts, kind):
    save_hf(ours(**parts), tokenizer, tmp_path)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    judge = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert type(hf) is kind and hf.dtype is torch.float32
    assert apart(ours(**parts), hf) < 1e-4
    for text in NASTY:
        ids = judge.encode(text)
        assert ids == tokenizer.encode(text)
        assert judge.decode(ids) == text
    assert judge.eos_token_id == tokenizer.eot == hf.config.eos_token_id
    assert judge.model_max_length == CONTEXT and len(judge) == 300


@both
def test_greedy_continuations(tmp_path, offline, tokenizer, parts, kind):
    """64 tokens: with and without a cache, one by one and in a batch that
    is padded on the left."""
    model = ours(**parts)
    save_hf(model, tokenizer, tmp_path)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    prompts = [[5], tokenizer.encode(TEXTS[1])[:20], list(range(60, 120, 2)),
               list(range(CONTEXT - 64))]
    wanted = generate(model, prompts, 64, temperature=0)
    assert generate(model, prompts, 64, temperature=0,
                    use_cache=False) == wanted
    assert min(len(set(row)) for row in wanted) > 8
    assert greedy(hf, prompts, 64) == wanted
    assert greedy(hf, prompts, 64, use_cache=False) == wanted
    assert [greedy(hf, [prompt], 64)[0] for prompt in prompts] == wanted


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_round_trip_to_the_bit(tmp_path, tokenizer, parts, kind, dtype):
    model = ours(**parts).to(dtype)
    save_hf(model, tokenizer, tmp_path)
    back, same = load_hf(tmp_path)
    assert back.config == model.config and not back.training
    assert same.fingerprint == tokenizer.fingerprint
    for name, value in model.state_dict().items():
        assert back.state_dict()[name].dtype is dtype
        assert torch.equal(back.state_dict()[name], value), name
    assert list(tmp_path.glob("*.partial")) == []


def test_both_versions_of_transformers_find_the_rotary_base(tmp_path,
                                                            tokenizer):
    """Version 4 reads rope_theta, version 5 rope_parameters; neither would
    complain of a base that is not there."""
    save_hf(ours(**MODERN), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["rope_theta"] == 10_000
    assert config["rope_parameters"] == dict(rope_theta=10_000,
                                             rope_type="default")


# GPT-2's format has no ..., and Qwen3's has no ...
PARTS = [
    (dict(positions="rotary"), "positions='rotary'",
     "norm='layer', mlp='gelu', qk_norm=False, bias=True"),
    (dict(norm="rms"), "norm='rms'",
     "positions='learned', mlp='gelu', qk_norm=False, bias=True"),
    (dict(mlp="relu2"), "mlp='relu2'", "mlp='relu2', qk_norm=False"),
    (dict(mlp="swiglu"), "mlp='swiglu'", "norm='layer', qk_norm=False"),
    (dict(qk_norm=True), "qk_norm=True", "mlp='gelu', bias=True"),
    (dict(bias=False), "bias=False", "mlp='gelu', qk_norm=False"),
    (dict(tied=False), "tied=False", "qk_norm=False, bias=True"),
    (MODERN | dict(positions="learned"), "norm='rms', mlp='swiglu'",
     "positions='learned'"),
    (MODERN | dict(norm="layer"), "qk_norm=True", "norm='layer'"),
    (MODERN | dict(mlp="gelu"), "norm='rms', qk_norm=True", "mlp='gelu'"),
    (MODERN | dict(mlp="relu2"), "mlp='relu2'", "mlp='relu2'"),
    (MODERN | dict(qk_norm=False), "bias=False", "qk_norm=False"),
    (MODERN | dict(bias=True), "positions='rotary'", "bias=True"),
    (MODERN | dict(bias=True, tied=False), "qk_norm=True, tied=False",
     "bias=True")]


@pytest.mark.parametrize("parts, one, other", PARTS, ids=lambda value: value
                         if isinstance(value, str) else "")
def test_a_part_without_a_place_is_named(tmp_path, tokenizer, parts, one,
                                         other):
    """Such models were written as a GPT-2 once, without a word."""
    with pytest.raises(ValueError, match="cannot be written") as error:
        save_hf(GPT(GPTConfig(300, 8, 1, 2, 8, **parts)), tokenizer,
                tmp_path / "hf")
    first, second = str(error.value).split("; ")
    assert "GPT-2's format has no" in first and one in first
    assert "Qwen3's format has no" in second and second.endswith(
        other if parts.keys() >= MODERN.keys() else "")
    assert other in second or not parts.keys() >= MODERN.keys()
    assert not (tmp_path / "hf").exists()


def test_no_part_is_overlooked():
    """Every field of a configuration is held, checked, or of no matter to
    what the model computes."""
    sizes = {"vocab_size", "context_length", "n_layer", "n_head", "n_embd",
             "n_inner"}
    training = {"dropout", "first_weights"}
    for form in FORMATS:
        tied = {"tied"} - form.PARTS.keys()
        assert {f.name for f in fields(GPTConfig)} == (
            sizes | training | form.PARTS.keys() | tied)


@pytest.mark.parametrize("config", [
    GPTConfig(300, 8, 1, 2, 8), GPTConfig(300, 8, 1, 2, 8, **MODERN)],
    ids=["gpt2", "modern"])
def test_what_matters_to_training_alone(config):
    for changes in (dict(dropout=0.5), dict(first_weights="pytorch")):
        changed = replace(config, **changes)
        assert format_of(changed) is format_of(config)


def test_int8_weights_have_no_place(tmp_path, tokenizer):
    for parts in ({}, MODERN):
        with pytest.raises(ValueError, match="int8 weights of an Int8GPT"):
            save_hf(quantize_int8(ours(**parts)), tokenizer, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_model_that_is_not_what_it_says(tmp_path, tokenizer):
    model = ours()
    model.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="the model has extra.bias, for"):
        save_hf(model, tokenizer, tmp_path)
    model = ours(**MODERN)
    del model.transformer.h[1].mlp.c_gate
    with pytest.raises(ValueError, match="the model has no transformer.h.1"):
        save_hf(model, tokenizer, tmp_path)
    with pytest.raises(ValueError, match="300 entries and the model 301"):
        save_hf(GPT(GPTConfig(301, 8, 1, 1, 8)), tokenizer, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [
    dict(activation_function="gelu"), dict(activation_function="relu"),
    dict(scale_attn_weights=False), dict(tie_word_embeddings=False),
    dict(scale_attn_by_inverse_layer_idx=True),
    dict(layer_norm_epsilon=1e-6)], ids=str)
def test_foreign_settings_of_gpt2_are_refused(changes):
    (key, _), = changes.items()
    with pytest.raises(ValueError, match=key):
        from_hf(gpt2(**changes))


YARN = dict(rope_type="yarn", rope_theta=10_000.0, factor=4.0,
            original_max_position_embeddings=32)


@pytest.mark.parametrize("changes, what", [
    (dict(head_dim=16), "head_dim is 16, and only 8"),
    (dict(num_key_value_heads=2), "num_key_value_heads is 2, and only 4"),
    (dict(attention_bias=True), "attention_bias"),
    (dict(use_sliding_window=True, sliding_window=8), "use_sliding_window"),
    (dict(layer_types=["full_attention", "sliding_attention"]),
     "layer_types"),
    (dict(hidden_act="gelu"), "hidden_act is 'gelu', and only 'silu'"),
    (dict(rms_norm_eps=1e-5), "rms_norm_eps is 1e-05, and only 1e-06"),
    (dict(rope_parameters=dict(rope_type="default", rope_theta=1e6)),
     "base 10000 are known: rope_parameters has {'rope_theta': 1000000.0}"),
    (dict(rope_parameters=YARN), "rope_parameters has {'rope_type': 'yarn'}"),
    (dict(rope_parameters=dict(rope_type="linear", rope_theta=10_000.0,
                               factor=2.0)),
     "rope_parameters has {'rope_type': 'linear'}"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_foreign_settings_of_qwen3_are_refused(changes, what):
    hf = qwen3(**changes)
    with pytest.raises(ValueError) as error:
        from_hf(hf)
    assert what in str(error.value)


@pytest.mark.parametrize("changes, what", [
    (dict(rope_theta=1e6), "rope_theta is 1000000.0"),
    (dict(rope_scaling=dict(type="linear", factor=2.0)), "rope_scaling has"),
    (dict(partial_rotary_factor=0.5), "partial_rotary_factor is 0.5"),
    (dict(rope_theta=5e5, rope_parameters=None), "rope_theta is 500000.0")],
    ids=str)
def test_settings_as_version_4_writes_them(tmp_path, changes, what):
    qwen3().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    old = json.loads(path.read_text())
    old |= dict(rope_theta=10_000.0, rope_scaling=None)
    old.pop("rope_parameters")
    path.write_text(json.dumps(old))
    assert apart(from_hf(tmp_path), qwen3()) < 1e-4
    path.write_text(json.dumps(old | changes))
    with pytest.raises(ValueError) as error:
        from_hf(tmp_path)
    assert what in str(error.value)


def test_foreign_models_are_refused(tmp_path):
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48,
        num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=16))
    with pytest.raises(ValueError, match="model_type is 'llama'"):
        from_hf(model)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model_type is 'llama'"):
        from_hf(tmp_path)


def gpt2_files(tokenizer, folder, extra=0):
    """A GPT-2 as OpenAI published it: vocab.json, merges.txt, weights."""
    V = tokenizer.vocab_size
    gpt2(vocab_size=V + extra).save_pretrained(folder)
    model = json.loads(tokenizer.library.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))


@pytest.mark.parametrize("extra", [0, 4])
def test_a_folder_of_gpt2(tmp_path, offline, tokenizer, extra):
    """Its two files of the tokenizer make what one of ours makes, also
    where the weights were padded."""
    gpt2_files(tokenizer, tmp_path, extra)
    model, read = load_hf(tmp_path)
    assert model.config.vocab_size == 300 + extra and not model.training
    assert read.eot == tokenizer.eot
    for text in [*NASTY, EOT]:
        assert read.encode(text) == tokenizer.encode(text)
        assert read.decode(read.encode(text)) == text
    judge = GPT2TokenizerFast.from_pretrained(tmp_path)
    for text in TEXTS:
        assert judge.encode(text) == read.encode(text)
    judge.save_pretrained(tmp_path)  # now as tokenizer.json
    assert (tmp_path / "tokenizer.json").is_file()
    assert load_hf(tmp_path)[1].encode(TEXTS[0]) == read.encode(TEXTS[0])


@both
def test_a_folder_that_holds_a_model(tmp_path, tokenizer, parts, kind):
    model = ours(**parts)
    save_hf(model, tokenizer, tmp_path)
    assert holds(tmp_path, model, tokenizer)
    assert holds(tmp_path, from_hf(tmp_path), tokenizer)
    assert not holds(tmp_path, GPT(model.config), tokenizer)
    (tmp_path / "model.safetensors").write_bytes(b"half of")
    assert not holds(tmp_path, model, tokenizer)
    assert not holds(tmp_path / "nowhere", model, tokenizer)


def test_a_tokenizer_that_does_not_fit(tmp_path, tokenizer):
    save_hf(ours(), tokenizer, tmp_path)
    larger = train_tokenizer(TEXTS * 9, 301)
    larger.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="301 entries and the model 300"):
        load_hf(tmp_path)
    library = tokenizer.library
    library.normalizer = normalizers.Lowercase()
    try:
        tokenizer.save(tmp_path / "tokenizer.json")
    finally:
        library.normalizer = None
    with pytest.raises(ValueError, match="changes the text"):
        load_hf(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        load_hf(tmp_path)
