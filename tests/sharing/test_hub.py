"""To and from Hugging Face's formats, with `transformers` as the judge."""

import json
import shutil

import pytest
import torch
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
)

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.generation import generate
from course_lib.sharing.hugging_face import from_hf, holds, load_hf, save_hf
from course_lib.text.tokenizer import EOT, train_tokenizer

SHAPE = dict(vocab_size=131, n_positions=64, n_layer=2, n_head=4, n_embd=32,
             bos_token_id=0, eos_token_id=0)
TEXTS = ["Life is about the small things: a door, a lamp, a road home.\n",
         "\"Caf\u00e9?\" she said. \U0001f31e Two  spaces, a\ttab.", "life"]


def gpt2(kind=GPT2LMHeadModel, **changes):
    torch.manual_seed(0)
    hf = kind(GPT2Config(**(SHAPE | changes))).eval()
    return opinionated(hf)


def opinionated(model):
    """The same with weights so large that the best token is clear, and
    positions so strong that it is not always the same one."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.mul_(3) if p.dim() > 1 else p.add_(0.1 * torch.randn_like(p))
            if "wpe" in name:
                p.mul_(8)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS * 9, 300)


@pytest.fixture(scope="module")
def trained():
    """A GPT of ours with the tokenizer's vocabulary."""
    torch.manual_seed(1)
    return opinionated(GPT(GPTConfig(300, 64, 2, 4, 32))).eval()


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@torch.no_grad()
def same_logits(ours, hf, V):
    ids = torch.randint(V, (2, 40), generator=torch.Generator().manual_seed(0))
    return (ours.eval()(ids) - hf(ids).logits).abs().max() < 1e-4


@torch.no_grad()
def greedy(hf, prompt, count):
    """The continuation of a `transformers` model by its own generate."""
    out = hf.generate(torch.tensor([prompt]), do_sample=False,
                      min_new_tokens=count, max_new_tokens=count,
                      pad_token_id=0, eos_token_id=None,
                      attention_mask=torch.ones(1, len(prompt)))
    return out[0, len(prompt):].tolist()


def test_from_a_model():
    hf = gpt2()
    ours = from_hf(hf)
    assert ours.config == GPTConfig(131, 64, 2, 4, 32)
    assert same_logits(ours, hf, 131)


@pytest.mark.parametrize("as_type", [str, lambda path: path])
def test_from_a_folder(tmp_path, as_type):
    hf = gpt2()
    hf.save_pretrained(tmp_path)
    assert same_logits(from_hf(as_type(tmp_path)), hf, 131)


def test_from_a_folder_of_the_first_checkpoints(tmp_path):
    """OpenAI's files have no `transformer.` prefix and keep the mask."""
    hf = gpt2()
    hf.save_pretrained(tmp_path)
    weights = {name.removeprefix("transformer."): value for name, value
               in load_file(tmp_path / "model.safetensors").items()}
    weights["h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
    save_file(weights, tmp_path / "model.safetensors")
    assert same_logits(from_hf(tmp_path), hf, 131)


def test_from_the_model_without_its_head():
    hf = gpt2(GPT2Model)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        difference = (from_hf(hf).eval().hidden(ids)
                      - hf(ids).last_hidden_state).abs().max()
    assert difference < 1e-4


def test_published_shape_is_not_padded():
    with torch.device("meta"):
        hf = GPT2LMHeadModel(GPT2Config(n_layer=1))
    hf = hf.to_empty(device="cpu")
    ours = from_hf(hf)
    assert ours.config == GPTConfig(50257, 1024, 1, 12, 768)
    assert ours.head.shape == (50257, 768)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_number_format_is_kept(dtype):
    hf = gpt2().to(dtype)
    assert {p.dtype for p in from_hf(hf).parameters()} == {dtype}


def test_weights_are_copies():
    hf = gpt2()
    ours = from_hf(hf)
    with torch.no_grad():
        ours.head.zero_()
    assert hf.transformer.wte.weight.any()


def test_greedy_continuations_are_gpt2s():
    hf = gpt2()
    ours = from_hf(hf)
    for prompt in ([5], [7, 8, 9, 10, 11], list(range(30))):
        theirs = greedy(hf, prompt, 32)
        assert generate(ours, [prompt], 32, temperature=0) == [theirs]
        assert len(set(theirs)) > 8


def test_export_loads_offline(tmp_path, offline, trained, tokenizer):
    save_hf(trained, tokenizer, tmp_path)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path,
                                              local_files_only=True).eval()
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert type(hf) is GPT2LMHeadModel
    assert same_logits(trained, hf, 300)
    for text in TEXTS:
        ids = theirs.encode(text)
        assert ids == tokenizer.encode(text)
        assert theirs.decode(ids) == text
    assert theirs.eos_token_id == tokenizer.eot == hf.config.eos_token_id
    assert theirs.model_max_length == 64 and len(theirs) == 300


def test_export_continues_as_ours(tmp_path, offline, trained, tokenizer):
    save_hf(trained, tokenizer, tmp_path)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    for text in TEXTS:
        prompt = tokenizer.encode(text)[:30]
        ours = generate(trained, [prompt], 32, temperature=0)
        assert ours == [greedy(hf, prompt, 32)]
        assert len(set(ours[0])) > 8


def test_round_trip_to_the_bit(tmp_path, trained, tokenizer):
    save_hf(trained, tokenizer, tmp_path)
    back = from_hf(tmp_path)
    assert back.config == trained.config
    for name, value in trained.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


@pytest.mark.parametrize("changes", [
    dict(activation_function="gelu"), dict(activation_function="relu"),
    dict(scale_attn_weights=False), dict(tie_word_embeddings=False),
    dict(scale_attn_by_inverse_layer_idx=True), dict(n_inner=100),
    dict(layer_norm_epsilon=1e-6)], ids=str)
def test_foreign_settings_are_refused(changes):
    (key, _), = changes.items()
    with pytest.raises(ValueError, match=key):
        from_hf(gpt2(**changes))


def llama():
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48,
        num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=16))


def test_foreign_models_are_refused(tmp_path):
    model = llama()
    with pytest.raises(ValueError, match="model_type is 'llama'"):
        from_hf(model)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model_type is 'llama'"):
        from_hf(tmp_path)


def test_nameless_configuration_is_refused(tmp_path):
    gpt2().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 32}))
    with pytest.raises(ValueError, match="it has no n_embd, n_head"):
        from_hf(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_missing_file_is_named(tmp_path, missing):
    gpt2().save_pretrained(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        from_hf(tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError, match="config.json"):
        from_hf(tmp_path)


def test_export_of_a_mismatch_is_refused(tmp_path, tokenizer):
    with pytest.raises(ValueError, match="300 entries and the model 301"):
        save_hf(GPT(GPTConfig(301, 8, 1, 1, 8)), tokenizer, tmp_path)
    with pytest.raises(ValueError, match="needs biases"):
        save_hf(GPT(GPTConfig(300, 8, 1, 1, 8, bias=False)), tokenizer,
                tmp_path)


def gpt2_files(tokenizer, folder, extra=0):
    """A GPT-2 as OpenAI published it: vocab.json, merges.txt, weights."""
    V = tokenizer.vocab_size
    gpt2(vocab_size=V + extra).save_pretrained(folder)
    model = json.loads(tokenizer.library.to_str())["model"]
    vocab = {name: place for name, place in model["vocab"].items()}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))


@pytest.mark.parametrize("extra", [0, 4])
def test_a_folder_of_gpt2(tmp_path, offline, tokenizer, extra):
    """Its two files of the tokenizer make what one of ours makes, also
    where the weights were padded."""
    gpt2_files(tokenizer, tmp_path, extra)
    model, theirs = load_hf(tmp_path)
    assert model.config.vocab_size == 300 + extra and not model.training
    assert theirs.eot == tokenizer.eot
    for text in [*TEXTS, EOT]:
        assert theirs.encode(text) == tokenizer.encode(text)
        assert theirs.decode(theirs.encode(text)) == text
    judge = GPT2TokenizerFast.from_pretrained(tmp_path)
    for text in TEXTS:
        assert judge.encode(text) == theirs.encode(text)
    judge.save_pretrained(tmp_path)  # now as tokenizer.json
    assert (tmp_path / "tokenizer.json").is_file()
    assert load_hf(tmp_path)[1].encode(TEXTS[0]) == theirs.encode(TEXTS[0])


def test_a_folder_of_ours_comes_back(tmp_path, trained, tokenizer):
    save_hf(trained, tokenizer, tmp_path)
    model, same = load_hf(tmp_path)
    assert same.fingerprint == tokenizer.fingerprint
    assert holds(tmp_path, model) and holds(tmp_path, trained)
    assert not holds(tmp_path, GPT(trained.config))
    (tmp_path / "model.safetensors").write_bytes(b"half of")
    assert not holds(tmp_path, trained)
    assert not holds(tmp_path / "nowhere", trained)


def test_a_tokenizer_that_does_not_fit(tmp_path, trained, tokenizer):
    save_hf(trained, tokenizer, tmp_path)
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
