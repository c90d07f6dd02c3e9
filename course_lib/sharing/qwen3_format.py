"""Qwen3's format: Qwen3ForCausalLM of `transformers` (chapters 5 and 6).

What the `modern` recipe builds is a Qwen3 (Yang et al. 2025) whose heads all
have their own keys and values. Both turn channel i with channel i + D/2, and
norm queries and keys before they turn them.
"""

import reprlib
from collections.abc import Iterator
from dataclasses import replace

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import BASE, RMS_EPSILON
from course_lib.sharing.stored import require, require_sizes
from course_lib.sharing.weights import Place

NAME, MODEL_TYPE = "Qwen3", "qwen3"
CLASS = "Qwen3ForCausalLM"
# The parts that it has; the MLP may have any width, the head may be tied.
PARTS = dict(positions="rotary", norm="rms", mlp="swiglu", qk_norm=True,
             bias=False)
PREFIX, EMBEDDING = "model.", "model.embed_tokens.weight"
IGNORED = (".rotary_emb.inv_freq",)  # old files hold the rotary speeds
SIZES = ("vocab_size", "max_position_embeddings", "num_hidden_layers",
         "num_attention_heads", "hidden_size", "intermediate_size",
         "num_key_value_heads", "head_dim")
FIXED = dict(hidden_act="silu", rms_norm_eps=RMS_EPSILON,
             attention_bias=False, use_sliding_window=False)
ROTARY = dict(rope_theta=float(BASE), rope_type="default")


def write_config(config: GPTConfig) -> dict:
    """The fields of config.json."""
    return dict(
        vocab_size=config.vocab_size,
        max_position_embeddings=config.context_length,
        num_hidden_layers=config.n_layer, hidden_size=config.n_embd,
        intermediate_size=config.inner_width,
        num_attention_heads=config.n_head, num_key_value_heads=config.n_head,
        head_dim=config.head_width, attention_dropout=config.dropout,
        tie_word_embeddings=config.tied, **FIXED, sliding_window=None,
        # version 4 of transformers reads the first, version 5 the second
        rope_theta=ROTARY["rope_theta"], rope_parameters=ROTARY)


def read_config(fields: dict) -> GPTConfig:
    """The way back. Raises ValueError for a Qwen3 of other parts."""
    require_sizes(fields, SIZES, NAME)
    heads, width = fields["num_attention_heads"], fields["hidden_size"]
    require(fields, FIXED | dict(num_key_value_heads=heads,
                                 head_dim=width // heads), NAME)
    _require_rotary(fields)
    kinds = fields.get("layer_types")
    if kinds is not None and not (isinstance(kinds, list) and all(
            kind == "full_attention" for kind in kinds)):
        raise ValueError(f"layer_types must all be full_attention, not "
                         f"{reprlib.repr(kinds)}")
    tied = fields.get("tie_word_embeddings", False)
    if type(tied) is not bool:
        raise ValueError("tie_word_embeddings must be true or false, not "
                         f"{reprlib.repr(tied)}")
    config = GPTConfig(*(fields[name] for name in SIZES[:5]), tied=tied,
                       **PARTS)
    inner = fields["intermediate_size"]
    return config if inner == config.inner_width \
        else replace(config, n_inner=inner)


def _require_rotary(fields: dict) -> None:
    """One speed for each pair of channels, and nothing stretched: the two
    places where a configuration says so."""
    require(fields, dict(rope_theta=ROTARY["rope_theta"],
                         partial_rotary_factor=1.0), NAME)
    for place in ("rope_parameters", "rope_scaling"):
        rope = fields.get(place)
        if rope is None:
            continue
        if not isinstance(rope, dict):
            raise ValueError(f"{place} must be an object, not "
                             f"{reprlib.repr(rope)}")
        known = ROTARY | dict(type="default", partial_rotary_factor=1.0)
        for name, value in rope.items():
            if name not in known or value != known[name]:
                raise ValueError(
                    f"only plain rotary positions of base {BASE} are known: "
                    f"{place} has {reprlib.repr({name: value})}")


def tensors(config: GPTConfig) -> Iterator[Place]:
    """Every tensor, with its name here and its shape, (out, in) as ours."""
    V, C, D = config.vocab_size, config.n_embd, config.head_width
    inner = config.inner_width
    block = {
        "input_layernorm": ("ln_1", (C,)),
        "self_attn.q_proj": ("attn.c_attn", (C, C)),
        "self_attn.k_proj": ("attn.c_attn", (C, C)),
        "self_attn.v_proj": ("attn.c_attn", (C, C)),
        "self_attn.q_norm": ("attn.q_norm", (D,)),
        "self_attn.k_norm": ("attn.k_norm", (D,)),
        "self_attn.o_proj": ("attn.c_proj", (C, C)),
        "post_attention_layernorm": ("ln_2", (C,)),
        "mlp.gate_proj": ("mlp.c_gate", (inner, C)),
        "mlp.up_proj": ("mlp.c_fc", (inner, C)),
        "mlp.down_proj": ("mlp.c_proj", (C, inner))}
    yield Place(EMBEDDING, "transformer.wte.weight", (V, C))
    for layer in range(config.n_layer):
        for name, (ours, shape) in block.items():
            yield Place(f"model.layers.{layer}.{name}.weight",
                        f"transformer.h.{layer}.{ours}.weight", shape)
    yield Place("model.norm.weight", "transformer.ln_f.weight", (C,))
    if not config.tied:
        yield Place("lm_head.weight", "lm_head.weight", (V, C))
