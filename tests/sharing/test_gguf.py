"""GGUF files, read back by `transformers` and by the gguf package."""

import sys

import gguf
import pytest
import transformers.modeling_utils
from referee import CONTEXT, MODERN, NASTY, TEXTS, apart, greedy, ours
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import quantize_int8
from course_lib.sharing.gguf_file import GGUF, write_gguf
from course_lib.sharing.hugging_face import save_hf
from course_lib.text.tokenizer import train_tokenizer

MODELS = {"gpt2": {}, "modern": MODERN,
          "modern-untied": MODERN | dict(tied=False, n_inner=40)}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS * 9, 300)


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return ours(**request.param)


def test_transformers_reads_the_same_model(model, tokenizer, tmp_path,
                                           monkeypatch):
    """Its configuration comes from config.json: of the file `transformers`
    takes neither a GPT-2's context nor the width of a Qwen3's heads. And it
    asks for `accelerate`, which it then does not use."""
    monkeypatch.setattr(transformers.modeling_utils,
                        "is_accelerate_available", lambda: True)
    save_hf(model, tokenizer, tmp_path)
    write_gguf(model, tokenizer, tmp_path / GGUF)
    (tmp_path / "model.safetensors").unlink()
    hf = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=GGUF, config=AutoConfig.from_pretrained(tmp_path))
    assert apart(model, hf) < 1e-4
    prompts = [[5], list(range(30))]
    assert greedy(hf, prompts, 64) == generate(model, prompts, 64,
                                               temperature=0)


def test_transformers_reads_the_same_tokenizer(tokenizer, tmp_path):
    write_gguf(ours(), tokenizer, tmp_path / GGUF)
    judge = AutoTokenizer.from_pretrained(tmp_path, gguf_file=GGUF)
    assert len(judge) == 300
    for text in NASTY:
        assert judge.encode(text) == tokenizer.encode(text)
        assert judge.decode(judge.encode(text)) == text


def test_what_the_file_says(model, tokenizer, tmp_path):
    config = model.config
    write_gguf(model, tokenizer, tmp_path / GGUF, "a name")
    file = gguf.GGUFReader(tmp_path / GGUF)
    said = {name: field.contents() for name, field in file.fields.items()}
    arch = said["general.architecture"]
    assert arch == ("gpt2" if config.positions == "learned" else "qwen3")
    assert said["general.name"] == "a name" and said["general.file_type"] == 0
    wanted = {"context_length": CONTEXT, "block_count": 2,
              "embedding_length": 32, "attention.head_count": 4,
              "attention.head_count_kv": 4, "vocab_size": 300,
              "feed_forward_length": config.inner_width}
    if arch == "qwen3":
        wanted |= {"rope.freq_base": 10_000, "rope.dimension_count": 8,
                   "attention.key_length": 8, "attention.value_length": 8,
                   "attention.layer_norm_rms_epsilon": pytest.approx(1e-6)}
    else:
        wanted |= {"attention.layer_norm_epsilon": pytest.approx(1e-5)}
    assert {name: said.get(f"{arch}.{name}") for name in wanted} == wanted
    assert said["tokenizer.ggml.model"] == "gpt2"
    assert said["tokenizer.ggml.pre"] == "gpt-2"
    assert said["tokenizer.ggml.add_bos_token"] is False
    for kind in ("bos", "eos", "padding"):
        assert said[f"tokenizer.ggml.{kind}_token_id"] == tokenizer.eot
    kinds = said["tokenizer.ggml.token_type"]
    assert kinds.pop(tokenizer.eot) == gguf.TokenType.CONTROL
    assert set(kinds) == {gguf.TokenType.NORMAL}
    assert {t.tensor_type for t in file.tensors} == {
        gguf.GGMLQuantizationType.F32}
    assert sum(t.n_elements for t in file.tensors) == sum(
        p.numel() for p in model.parameters())


@pytest.mark.parametrize("format", ["half", "double", "bfloat16"])
def test_any_number_format_becomes_float32(tokenizer, tmp_path, format):
    write_gguf(getattr(ours(), format)(), tokenizer, tmp_path / GGUF)
    for tensor in gguf.GGUFReader(tmp_path / GGUF).tensors:
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32


def test_the_same_bytes_again(model, tokenizer, tmp_path):
    for name in ("a", "b"):
        write_gguf(model, tokenizer, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_whole_or_not_at_all(tokenizer, tmp_path, monkeypatch):
    def full(writer):
        raise OSError(28, "No space left on device")

    (tmp_path / GGUF).write_text("the file before")
    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)
    with pytest.raises(OSError, match="No space"):
        write_gguf(ours(), tokenizer, tmp_path / GGUF)
    assert (tmp_path / GGUF).read_text() == "the file before"


def test_what_cannot_be_written(tokenizer, tmp_path, monkeypatch):
    config = GPTConfig(300, 8, 1, 1, 8, norm="rms")
    for model, what in ((GPT(config), "GPT-2's format has no norm='rms'"),
                        (quantize_int8(ours()), "int8 weights"),
                        (GPT(GPTConfig(301, 8, 1, 1, 8)),
                         "300 entries and the model 301")):
        with pytest.raises(ValueError, match=what):
            write_gguf(model, tokenizer, tmp_path / GGUF)
    bytes_alone = train_tokenizer(TEXTS, 257)
    with pytest.raises(ValueError, match="without merges, such as this one"):
        write_gguf(GPT(GPTConfig(257, 8, 1, 1, 8)), bytes_alone,
                   tmp_path / GGUF)
    monkeypatch.setitem(sys.modules, "gguf", None)  # not installed
    with pytest.raises(ValueError, match="`pip install gguf`"):
        write_gguf(ours(), tokenizer, tmp_path / GGUF)
    assert not list(tmp_path.iterdir())
