"""What a model costs: parameters, and FLOP for each token (chapter 1).

Two conventions hold everywhere: a multiplication and the addition that goes
with it are 2 FLOP, and only matrix products count. What is left out
(norms, softmax, GELU, the optimizer) is about one per cent of the work.
"""

from dataclasses import astuple, dataclass

from course_lib.model.config import GPTConfig


@dataclass(frozen=True)
class Parameters:
    """Parameters by part. A head that is tied to the token embedding has
    none of its own."""

    token_embedding: int
    position_embedding: int
    attention: int
    mlp: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        """Everything that is trained, N in the scaling laws."""
        return sum(astuple(self))

    @property
    def embedding(self) -> int:
        """Token and position embeddings together."""
        return self.token_embedding + self.position_embedding

    @property
    def without_embedding(self) -> int:
        """What does not grow with vocabulary or context: N in the rule for
        the learning rate."""
        return self.total - self.embedding - self.head


def count_parameters(config: GPTConfig) -> Parameters:
    """Closed form of the number of parameters, part by part (chapter 1).

    For GPT-2 attention has 4 C^2 weights a layer and the MLP 8 C^2; biases
    add 9 C, and the 2L + 1 norms have a scale of C each and a shift.

    >>> from course_lib.presets import load_preset
    >>> count_parameters(load_preset("full").model).total
    51237888
    """
    L, C, inner = config.n_layer, config.n_embd, config.inner_width
    bias, maps = int(config.bias), _mlp_maps(config)
    shift = int(config.bias and config.norm == "layer")
    return Parameters(
        token_embedding=config.vocab_size * C,
        position_embedding=(config.positions == "learned")
        * config.context_length * C,
        attention=L * (4 * C * C + bias * 4 * C),
        mlp=L * (maps * inner * C + bias * ((maps - 1) * inner + C)),
        norms=(2 * L + 1) * C * (1 + shift)
        + config.qk_norm * L * 2 * config.head_width,
        head=0 if config.tied else config.vocab_size * C)


def _mlp_maps(config) -> int:
    """Matrices of C x inner weights in an MLP: SwiGLU has a gate."""
    return 3 if config.mlp == "swiglu" else 2


def flops_by_part(config: GPTConfig, T: int | None = None) -> dict[str, int]:
    """FLOP per token of training, forward and backward, by part (chapter 1).

    T is the length of the rows in tokens, the model's context by default.
    Each weight of a matrix costs 2 FLOP forward and 4 backward (one product
    for the gradient of the input, one for that of the weight). Attention
    scores are counted as computed by a plain product, all T x T of them:
    2 T C for the scores and 2 T C for the weighted sum, per layer. A kernel
    that skips the masked half does less than is counted here, as in the
    MFU of Chowdhery et al. 2022 (PaLM), appendix B.
    Looking up an embedding is no product and costs nothing.
    """
    T = config.context_length if T is None else T
    if not 1 <= T <= config.context_length:
        raise ValueError(f"T={T} must lie between 1 and the context length, "
                         f"{config.context_length}")
    L, C = config.n_layer, config.n_embd
    forward = {"attention projections": 2 * L * 4 * C * C,
               "attention scores": L * 4 * T * C,
               "mlp": 2 * L * _mlp_maps(config) * config.inner_width * C,
               "head": 2 * config.vocab_size * C}
    return {part: 3 * flop for part, flop in forward.items()}


def flops_per_token(config: GPTConfig, T: int | None = None) -> int:
    """FLOP per token of training, forward and backward: the sum of
    `flops_by_part`. About 331e6 for the full preset; MFU uses it.
    """
    return sum(flops_by_part(config, T).values())
