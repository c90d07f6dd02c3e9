"""A reader's class, made with whatever arguments it takes."""

import inspect
from dataclasses import asdict

from course_lib.model.config import GPTConfig

# What others call the fields of a GPTConfig.
FIELDS = dict(
    vocab_size="V n_vocab",
    context_length="T block_size n_ctx n_positions max_seq_len seq_len "
    "max_len context context_size max_position_embeddings",
    n_layer="L num_layers n_layers layers depth num_hidden_layers",
    n_head="H num_heads n_heads heads num_attention_heads",
    n_embd="C d_model dim d_in d_out embed_dim emb_dim hidden_size",
    dropout="drop_rate", bias="qkv_bias")
OTHER = {other: field for field, others in FIELDS.items()
         for other in others.split()}


class ReadersConfig(GPTConfig):
    """A GPTConfig that answers to the names in other people's code."""

    model_type = None  # minGPT's name of a published model

    def __getattr__(self, name):
        if name in OTHER:
            return getattr(self, OTHER[name])
        if name == "head_size":
            return self.head_width
        if name.endswith(("pdrop", "_dropout")):
            return self.dropout
        raise AttributeError(f"the config has no {name}: it has "
                             + ", ".join(FIELDS))

    def __getitem__(self, name):
        return getattr(self, name)


def build(made, config: GPTConfig):
    """An instance of the reader's class for a config, which it gets whole
    or in parts by name. Raises TypeError for a name that a config does not
    have."""
    config = ReadersConfig(**asdict(config))
    wanted = [p for p in inspect.signature(made).parameters.values()
              if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD,
                            p.KEYWORD_ONLY)]
    if not wanted:
        return made()
    if len(wanted) == 1 and not has(config, wanted[0].name) \
            or wanted[0].name in ("config", "cfg", "args"):
        return made(config)
    given = {}
    for each in wanted:
        if has(config, each.name):
            given[each.name] = getattr(config, each.name)
        elif each.default is each.empty:
            raise TypeError(f"{made.__name__} wants {each.name}: a config "
                            f"has {', '.join(FIELDS)}")
    return made(**given)


def has(config, name: str) -> bool:
    """Whether a config answers to a name."""
    return getattr(config, name, None) is not None


def logits_of(model, ids):
    """(B, T, V) of a model that gives logits, or (logits, loss), and maybe
    those of the last place only unless it is given targets."""
    output = model(ids)
    logits = output[0] if isinstance(output, tuple) else output
    if isinstance(output, tuple) and logits.shape[1] != ids.shape[1]:
        logits = model(ids, ids)[0]
    return logits
