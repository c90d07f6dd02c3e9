"""To and from Hugging Face's formats (chapters 1 and 5).

A folder written here loads with transformers' AutoModelForCausalLM and
AutoTokenizer, offline; a GPT-2 of any size loads from its model or folder.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from course_lib.budget import count_parameters
from course_lib.data import write_json
from course_lib.model import GPT, GPTConfig
from course_lib.tokenizer import EOT, Tokenizer

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
    save_file(hf_weights(model), folder / "model.safetensors",
              {"format": "pt"})
    write_json(folder / "config.json", hf_config(model, tokenizer.eot))
    tokenizer.save(folder / "tokenizer.json")
    write_json(folder / "tokenizer_config.json", dict(
        tokenizer_class="PreTrainedTokenizerFast", bos_token=EOT,
        eos_token=EOT, pad_token=EOT, unk_token=EOT,
        model_max_length=model.config.context_length,
        clean_up_tokenization_spaces=False))


def export_run(run, folder) -> None:
    """`save_hf` for a trained run, with a model card made of its record."""
    model, card = run.model(), model_card(run)  # before anything is written
    save_hf(model, run.tokenizer, folder)
    Path(folder, "README.md").write_text(card, encoding="utf-8")


def model_card(run) -> str:
    """What a stranger must know about a run's model, in Markdown."""
    preset, record = run.preset, run.record
    if not run.finished:
        raise ValueError(f"{run.folder} has not finished training: run "
                         f"`course train {run.folder} --resume`")
    final, timing = run.log[-1], (run.timing or [{}])[-1]
    seconds = timing.get("seconds", 0.0)
    total = count_parameters(preset.model).total
    return f"""---
library_name: transformers
pipeline_tag: text-generation
---
# A GPT trained with course_lib

GPT-2's architecture with {preset.model.n_layer} layers,
{preset.model.n_head} heads and {preset.model.n_embd} channels:
{total:,} parameters, a context of {preset.model.context_length} tokens and
a byte-level vocabulary of {preset.model.vocab_size:,}.

| | |
|---|---|
| trained on | {record["corpus"]["name"]} |
| training text | {record["files"]["train"]["bytes"]:,} bytes, \
{record["files"]["train"]["tokens"]:,} tokens |
| tokens seen | {final["tokens"]:,} |
| validation loss | {final["val_loss"]:.4f} nats per token |
| validation perplexity | {math.exp(final["val_loss"]):.2f} |
| validation bits per byte | {final["val_bits_per_byte"]:.4f} |
| hardware | {record["prepared"]["device"]} |
| training time | {seconds / 3600:.2f} hours |
| cost by the book's price table | US${timing.get("dollars", 0.0):.2f} |
| licence of the weights | not stated: it depends on the training text |

A small model of its training text and nothing more: it knows no facts, it
repeats the text's prejudices, and it should not be asked for advice.
"""
