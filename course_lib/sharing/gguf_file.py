"""A model as one GGUF file, which llama.cpp runs (chapter 5).

Weights are float32; llama.cpp's own `llama-quantize` makes smaller files of
it. A GPT-2 has no positions past its context, and llama.cpp, which rounds a
context up to a multiple of 256 tokens, crashes where they end: ask it for no
more. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import json
import os
from pathlib import Path

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import BASE, GPT, RMS_EPSILON
from course_lib.sharing.hugging_face import format_of, hf_weights
from course_lib.text.tokenizer import Tokenizer

GGUF = "model.gguf"  # in an exported folder


def require_gguf(tokenizer: Tokenizer):
    """The package that writes the format. Raises ValueError without it, and
    for a tokenizer that the format cannot hold."""
    try:
        import gguf
    except ImportError:
        raise ValueError("a GGUF file is written by a package that is not "
                         "here: `pip install gguf`") from None
    if not _merges(tokenizer):
        raise ValueError("a GGUF file cannot hold a tokenizer without merges,"
                         f" such as this one of {tokenizer.vocab_size} "
                         "entries: train one with more")
    return gguf


def write_gguf(model: GPT, tokenizer: Tokenizer, path,
               name: str | None = None) -> None:
    """Write model and tokenizer to `path`, whole or not at all. `name` is
    what tools show; the folder's name without.

    Raises ValueError when the tokenizer is another model's or has no merges,
    and for a model with a part that no format holds.
    """
    if tokenizer.vocab_size != model.config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.vocab_size} entries "
                         f"and the model {model.config.vocab_size}")
    gguf, path, config = require_gguf(tokenizer), Path(path), model.config
    form, weights = format_of(config), hf_weights(model)
    partial = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(partial, form.MODEL_TYPE)
    writer.add_name(name or path.resolve().parent.name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_shape(writer, config)
    _add_tokenizer(writer, tokenizer, gguf.TokenType)
    [arch] = [key for key, value in gguf.MODEL_ARCH_NAMES.items()
              if value == form.MODEL_TYPE]
    names = gguf.get_tensor_name_map(arch, config.n_layer)
    for place in form.tensors(config):
        value = weights.pop(place.name).float().cpu()
        # here matrices are (out, in) in every architecture
        writer.add_tensor(
            names.get_name(place.name, (".weight", ".bias")),
            (value.T if place.turned else value).contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, path)


def _add_shape(writer, config: GPTConfig) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_block_count(config.n_layer)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner_width)
    writer.add_head_count(config.n_head)
    writer.add_head_count_kv(config.n_head)
    if config.norm == "layer":
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(RMS_EPSILON)
    if config.positions == "rotary":
        writer.add_rope_freq_base(BASE)
        writer.add_rope_dimension_count(config.head_width)
        # or llama.cpp and others assume Qwen3's own 128
        writer.add_key_length(config.head_width)
        writer.add_value_length(config.head_width)


def _add_tokenizer(writer, tokenizer: Tokenizer, kinds) -> None:
    """Vocabulary and merges; text is cut into words as GPT-2 does."""
    ids = range(tokenizer.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([tokenizer.library.id_to_token(i) for i in ids])
    writer.add_token_types([kinds.CONTROL if i == tokenizer.eot
                            else kinds.NORMAL for i in ids])
    writer.add_token_merges([" ".join(pair) for pair in _merges(tokenizer)])
    writer.add_bos_token_id(tokenizer.eot)
    writer.add_eos_token_id(tokenizer.eot)
    writer.add_pad_token_id(tokenizer.eot)
    writer.add_add_bos_token(False)


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.library.to_str())["model"]["merges"]
