"""What the steps are called, in the order of the chapters; without torch."""

NAMES = (
    "bigram_counts", "bigram_loss", "softmax", "cross_entropy",
    "embed", "attention", "self_attention", "mlp", "block", "gpt",
    "first_weights", "causal_loss",
    "chinchilla",
    "bpe_train", "bpe_encode", "bpe_decode", "pack", "batch",
    "adamw", "clip", "learning_rate", "training_step",
    "probabilities", "cached_attention", "generate", "bits_per_byte",
    "rotary", "muon")


def chosen(names=()) -> list[str]:
    """These steps, or all of them. Raises ValueError for an unknown one."""
    for name in names:
        if name not in NAMES:
            raise ValueError(f"no step {name!r}: choose of "
                             f"{', '.join(NAMES)}")
    return list(names or NAMES)
