"""To and from Hugging Face's formats (chapters 1 and 5).

A folder written here loads with transformers' AutoModelForCausalLM and
AutoTokenizer, offline; a GPT-2 of any size loads from its model or folder.
"""

import json
from pathlib import Path

import tokenizers
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import decoders, models, pre_tokenizers

from course_lib.data import write_json
from course_lib.model import GPT, GPTConfig
from course_lib.tokenizer import EOT, Tokenizer, load_tokenizer

# What a tokenizer must give back for bits per byte to mean anything.
PROBE = "Two  Lines,\n\tsaid \u201cJos\u00e9\u201d \u2014 twice. \U0001f31e "
# OpenAI stored these as (in, out); nn.Linear keeps (out, in).
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def from_hf(source) -> GPT:
    """A GPT with the weights of a GPT-2: a `transformers` GPT2LMHeadModel,
    or a folder with config.json and model.safetensors. Never pads the
    vocabulary. Raises FileNotFoundError, or ValueError for an architecture
    that is not GPT-2's.
    """
    if isinstance(source, (str, Path)):
        folder = Path(source)
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"no {name} in {folder}: give a "
                                        "folder that holds a GPT-2 in "
                                        "Hugging Face format")
        config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
    else:
        config, weights = source.config.to_dict(), source.state_dict()
    _check(config)
    model = GPT(GPTConfig(config["vocab_size"], config["n_positions"],
                          config["n_layer"], config["n_head"],
                          config["n_embd"]))
    weights = {_full_name(name): value for name, value in weights.items()}
    model.to(weights["transformer.wte.weight"].dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = weights[name]
            parameter.copy_(value.T if name.endswith(TRANSPOSED) else value)
    return model


def load_hf(folder) -> tuple[GPT, Tokenizer]:
    """`from_hf` for a folder, and the tokenizer that stands beside it, as
    tokenizer.json or as GPT-2's own vocab.json and merges.txt.

    Raises FileNotFoundError, or ValueError for a tokenizer that is another
    model's or that changes the text.
    """
    folder = Path(folder)
    model, pair = from_hf(folder), (folder / "vocab.json",
                                    folder / "merges.txt")
    if (folder / "tokenizer.json").is_file() \
            or not all(path.is_file() for path in pair):
        tokenizer = load_tokenizer(folder / "tokenizer.json")
    else:
        library = tokenizers.Tokenizer(models.BPE.from_file(*map(str, pair)))
        library.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=False)
        library.decoder = decoders.ByteLevel()
        library.add_special_tokens([EOT])
        tokenizer = Tokenizer(library)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(f"the tokenizer in {folder} has "
                         f"{tokenizer.vocab_size} entries and the model "
                         f"{model.config.vocab_size}")
    back = tokenizer.decode(tokenizer.encode(PROBE))
    if back != PROBE:
        raise ValueError(f"the tokenizer in {folder} changes the text: it "
                         f"makes {back!r} of {PROBE!r}")
    return model.eval(), tokenizer


def _full_name(name: str) -> str:
    # the files of the first GPT-2 checkpoints leave the prefix out
    return name if name.startswith(("transformer.", "lm_head.")) \
        else f"transformer.{name}"


def _check(config: dict) -> None:
    wanted = dict(model_type="gpt2", activation_function="gelu_new",
                  scale_attn_weights=True, tie_word_embeddings=True,
                  scale_attn_by_inverse_layer_idx=False,
                  layer_norm_epsilon=1e-5)
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise ValueError(f"this is not GPT-2's architecture: {key} is "
                             f"{config[key]!r}, and only {value!r} is known")
    missing = {"vocab_size", "n_positions", "n_layer", "n_head",
               "n_embd"} - config.keys()
    if missing:
        raise ValueError("this is not GPT-2's configuration: it has no "
                         f"{', '.join(sorted(missing))}")
    if config.get("n_inner") not in (None, 4 * config["n_embd"]):
        raise ValueError(f"n_inner={config['n_inner']} is not GPT-2's: "
                         f"expected {4 * config['n_embd']}")


def hf_config(model: GPT, eot: int) -> dict:
    """The config.json of a model, as `transformers` writes it."""
    config = model.config
    return dict(
        model_type="gpt2", architectures=["GPT2LMHeadModel"],
        vocab_size=config.vocab_size, n_positions=config.context_length,
        n_layer=config.n_layer, n_head=config.n_head, n_embd=config.n_embd,
        activation_function="gelu_new", layer_norm_epsilon=1e-5,
        resid_pdrop=config.dropout, embd_pdrop=config.dropout,
        attn_pdrop=config.dropout, tie_word_embeddings=True,
        bos_token_id=eot, eos_token_id=eot, pad_token_id=eot,
        dtype=str(model.head.dtype).removeprefix("torch."))


def hf_weights(model: GPT) -> dict[str, torch.Tensor]:
    """The weights by name, laid out as `transformers` wants them."""
    return {name: (value.T if name.endswith(TRANSPOSED) else value
                   ).contiguous()
            for name, value in model.state_dict().items()}


def save_hf(model: GPT, tokenizer: Tokenizer, folder) -> None:
    """Write model and tokenizer so that `transformers` loads them.

    Raises ValueError when the tokenizer is another model's, or for a model
    without biases, which GPT-2's format cannot hold.
    """
    if tokenizer.vocab_size != model.config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.vocab_size} entries "
                         f"and the model {model.config.vocab_size}")
    if not model.config.bias:
        raise ValueError("GPT-2's format needs biases: this model has none")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", hf_config(model, tokenizer.eot))
    tokenizer.save(folder / "tokenizer.json")
    write_json(folder / "tokenizer_config.json", dict(
        tokenizer_class="PreTrainedTokenizerFast", bos_token=EOT,
        eos_token=EOT, pad_token=EOT, unk_token=EOT,
        model_max_length=model.config.context_length,
        clean_up_tokenization_spaces=False))
    # last: a folder with these weights in it is whole
    save_file(hf_weights(model), folder / "model.safetensors",
              {"format": "pt"})


def holds(folder, model: GPT) -> bool:
    """Whether a folder has these very weights, written by `save_hf`."""
    try:
        found = load_file(Path(folder, "model.safetensors"))
    except (OSError, SafetensorError):
        return False
    ours = hf_weights(model)
    return found.keys() == ours.keys() and all(
        torch.equal(found[name], value.cpu()) for name, value in ours.items())
