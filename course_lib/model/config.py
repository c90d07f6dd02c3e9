"""What a GPT is made of: its size, and its choice of parts (chapters 1, 6)."""

from dataclasses import dataclass

from course_lib.machine.files import real_number

POSITIONS = ("learned", "rotary")
NORMS = ("layer", "rms")
MLPS = ("gelu", "swiglu", "relu2")
MOST_LAYERS, MOST_PARAMETERS = 10_000, 10**13
FIRST_WEIGHTS = ("gpt2", "zero", "pytorch")


@dataclass(frozen=True)
class GPTConfig:
    """The shape and the parts of a GPT. `n_embd` is C, `n_head` is H,
    `n_layer` is L; the defaults of all that follows are GPT-2.

    `positions`: a learned vector for each, or `rotary` (Su et al. 2021).
    `norm`: LayerNorm, or `rms`, RMSNorm (Zhang and Sennrich 2019).
    `mlp`: `gelu`, its square-of-a-ReLU form `relu2` (So et al. 2021), or
    `swiglu` (Shazeer 2020). `n_inner` is the MLP's inner width; without,
    4C, and for SwiGLU, which has three matrices instead of two, 8C/3 to the
    nearest multiple of 8. `qk_norm`: RMSNorm on each head's queries and
    keys (Dehghani et al. 2023). `tied`: the head is the token embedding
    (Press and Wolf 2017). `first_weights`: `gpt2`; `zero`, the same with
    each block's outputs zero (Zhang et al. 2019); or `pytorch`, which is
    how the recipe of 2023 began.

    Raises ValueError when a field is out of range or two do not go together.
    """

    vocab_size: int
    context_length: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float = 0.0
    bias: bool = True
    positions: str = "learned"
    norm: str = "layer"
    mlp: str = "gelu"
    n_inner: int | None = None
    qk_norm: bool = False
    tied: bool = True
    first_weights: str = "gpt2"

    def __post_init__(self):
        names = ["vocab_size", "context_length", "n_layer", "n_head",
                 "n_embd"] + ["n_inner"] * (self.n_inner is not None)
        for name in names:
            value = getattr(self, name)
            if type(value) is not int or value < 1:  # True is an int too
                raise ValueError(f"{name} must be a whole number of 1 or "
                                 f"more, not {value!r}")
        for name in ("bias", "qk_norm", "tied"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, not "
                                 f"{getattr(self, name)!r}")
        if self.n_embd % self.n_head:
            raise ValueError(f"n_head={self.n_head} must divide n_embd="
                             f"{self.n_embd}: each head gets an equal share")
        real_number("dropout", self.dropout)
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        for name, known in (("positions", POSITIONS), ("norm", NORMS),
                            ("mlp", MLPS), ("first_weights", FIRST_WEIGHTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is none of "
                                 f"{', '.join(known)}")
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(
                f"rotary positions turn pairs of channels, and a head has "
                f"{self.head_width}: n_embd / n_head must be even")

    def check_size(self) -> None:
        """Raise ValueError for a model that nothing could hold, before
        anything is asked to."""
        matrices = 12 * self.n_layer * self.n_embd**2
        if self.n_layer > MOST_LAYERS or matrices > MOST_PARAMETERS:
            raise ValueError(
                f"n_layer={self.n_layer} and n_embd={self.n_embd} make a "
                f"model of about {matrices:.2g} parameters, more than any "
                "machine holds: take fewer")

    @property
    def head_width(self) -> int:
        """Channels of one head, D = C / H."""
        return self.n_embd // self.n_head

    @property
    def inner_width(self) -> int:
        """Channels inside the MLP."""
        if self.n_inner is not None:
            return self.n_inner
        if self.mlp == "swiglu":
            return max(8, 8 * round(self.n_embd / 3))
        return 4 * self.n_embd
