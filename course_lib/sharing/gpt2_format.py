"""GPT-2's format: GPT2LMHeadModel of `transformers` (chapters 1 and 5).

Our parameters have its names already. OpenAI's matrices are (in, out), those
of nn.Linear (out, in).
"""

from collections.abc import Iterator

from course_lib.model.config import GPTConfig
from course_lib.sharing.stored import require, require_sizes
from course_lib.sharing.weights import Place

NAME, MODEL_TYPE = "GPT-2", "gpt2"
CLASS = "GPT2LMHeadModel"
# The parts that it has; the MLP may have any width.
PARTS = dict(positions="learned", norm="layer", mlp="gelu", qk_norm=False,
             bias=True, tied=True)
PREFIX, EMBEDDING = "transformer.", "transformer.wte.weight"
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
# The causal mask, which old files hold beside the weights.
IGNORED = (".attn.bias", ".attn.masked_bias")
SIZES = ("vocab_size", "n_positions", "n_layer", "n_head", "n_embd")
# What a configuration says, or means where it says nothing.
FIXED = dict(
    activation_function="gelu_new", layer_norm_epsilon=1e-5,
    scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False,
    tie_word_embeddings=True)


def write_config(config: GPTConfig) -> dict:
    """The fields of config.json."""
    return dict(
        vocab_size=config.vocab_size, n_positions=config.context_length,
        n_layer=config.n_layer, n_head=config.n_head, n_embd=config.n_embd,
        resid_pdrop=config.dropout, embd_pdrop=config.dropout,
        attn_pdrop=config.dropout, n_inner=config.n_inner, **FIXED)


def read_config(fields: dict) -> GPTConfig:
    """The way back. Raises ValueError for what is not GPT-2's."""
    require(fields, FIXED, NAME)
    inner = fields.get("n_inner")  # without, 4 n_embd
    require_sizes(fields, SIZES + ("n_inner",) * (inner is not None), NAME)
    return GPTConfig(*(fields[name] for name in SIZES), n_inner=inner)


def tensors(config: GPTConfig) -> Iterator[Place]:
    """Every tensor, with its shape in the file."""
    V, T, C = config.vocab_size, config.context_length, config.n_embd
    inner = config.inner_width
    block = {
        "ln_1.weight": (C,), "ln_1.bias": (C,),
        "attn.c_attn.weight": (C, 3 * C), "attn.c_attn.bias": (3 * C,),
        "attn.c_proj.weight": (C, C), "attn.c_proj.bias": (C,),
        "ln_2.weight": (C,), "ln_2.bias": (C,),
        "mlp.c_fc.weight": (C, inner), "mlp.c_fc.bias": (inner,),
        "mlp.c_proj.weight": (inner, C), "mlp.c_proj.bias": (C,)}
    yield _place(EMBEDDING, (V, C))
    yield _place("transformer.wpe.weight", (T, C))
    for layer in range(config.n_layer):
        for name, shape in block.items():
            yield _place(f"transformer.h.{layer}.{name}", shape)
    yield _place("transformer.ln_f.weight", (C,))
    yield _place("transformer.ln_f.bias", (C,))


def _place(name, shape) -> Place:
    return Place(name, name, shape, name.endswith(TRANSPOSED))
