"""To and from Hugging Face's formats (chapters 1 and 5).

A folder written here loads with transformers' AutoModelForCausalLM and
AutoTokenizer, offline: as a GPT-2, or what `modern` builds as a Qwen3. A
GPT-2 of any size loads from its model or folder, and so does a Qwen3 whose
heads all have their own keys and values.
"""

import os
import reprlib
from pathlib import Path

import torch

from course_lib.machine.files import read_object, write_json, write_tensors
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.quantization import Int8GPT
from course_lib.sharing import gpt2_format, qwen3_format
from course_lib.sharing.stored import (
    WEIGHTS,
    in_memory,
    stored_weights,
)
from course_lib.sharing.weights import check, filled, placed
from course_lib.text.given_tokenizer import find_tokenizer
from course_lib.text.tokenizer import EOT, Tokenizer

FORMATS = (gpt2_format, qwen3_format)
HEAD = "lm_head.weight"


def from_hf(source) -> GPT:
    """A GPT with the weights of a GPT-2 or a Qwen3: a `transformers` model,
    or a folder with config.json and model.safetensors, or the several files
    of a large one. Never pads the vocabulary.

    Nothing is copied before configuration and weights agree. Raises
    FileNotFoundError, or ValueError for an architecture that a GPT here
    cannot have, and for weights that are not what the configuration says.
    """
    if isinstance(source, (str, Path)):
        if not Path(source, "config.json").is_file():
            raise FileNotFoundError(f"no config.json in {source}: give a "
                                    "folder that holds a GPT-2 or a Qwen3 in "
                                    "Hugging Face's format")
        fields = read_object(Path(source, "config.json"))
        stored = stored_weights(Path(source))
    else:
        fields = source.config.to_dict()
        stored = in_memory(source.state_dict())
    form = _format_named(fields.get("model_type", "gpt2"))
    config = form.read_config(fields)
    stored = _checked(form, config, stored)
    return filled(config, list(form.tensors(config)), stored)


def _format_named(kind):
    for form in FORMATS:
        if form.MODEL_TYPE == kind:
            return form
    raise ValueError("this is neither GPT-2's nor Qwen3's architecture: "
                     f"model_type is {reprlib.repr(kind)}")


def _checked(form, config: GPTConfig, stored: dict) -> dict:
    """The tensors of a format by their full names."""
    # the files of the first GPT-2 checkpoints leave the prefix out, and so
    # does a model without its head
    if not any(name.startswith(form.PREFIX) for name in stored):
        stored = {name if name == HEAD else form.PREFIX + name: value
                  for name, value in stored.items()}
    head = stored.pop(HEAD, None) if config.tied else None
    check(stored, form.tensors(config), form.IGNORED)
    table = stored[form.EMBEDDING]
    if head and ((head.shape, head.dtype) != (table.shape, table.dtype)
                 or not torch.equal(head.read(), table.read())):
        raise ValueError(f"{HEAD} is not {form.EMBEDDING}, and the "
                         "configuration says that they are tied")
    return stored


def load_hf(folder) -> tuple[GPT, Tokenizer]:
    """`from_hf` for a folder, and the tokenizer that stands beside it, as
    tokenizer.json or as GPT-2's own vocab.json and merges.txt.

    Raises FileNotFoundError, or ValueError for a tokenizer that is another
    model's or that changes the text.
    """
    folder = Path(folder)
    model, tokenizer = from_hf(folder), find_tokenizer(folder)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(f"the tokenizer in {folder} has "
                         f"{tokenizer.vocab_size} entries and the model "
                         f"{model.config.vocab_size}")
    return model.eval(), tokenizer


def format_of(config: GPTConfig):
    """The module of the format that holds such a model. Raises ValueError
    that names, for each format, the parts that it lacks."""
    lacking = []
    for form in FORMATS:
        lacks = [f"{part}={getattr(config, part)!r}"
                 for part, known in form.PARTS.items()
                 if getattr(config, part) != known]
        if not lacks:
            return form
        lacking.append(f"{form.NAME}'s format has no {', '.join(lacks)}")
    raise ValueError("this model cannot be written in Hugging Face's "
                     f"formats: {'; '.join(lacking)}")


def hf_config(model: GPT, eot: int) -> dict:
    """The config.json of a model, as `transformers` writes it. Raises
    ValueError for a model that no format holds."""
    form = format_of(model.config)
    return dict(
        model_type=form.MODEL_TYPE, architectures=[form.CLASS],
        **form.write_config(model.config),
        bos_token_id=eot, eos_token_id=eot, pad_token_id=eot,
        dtype=str(model.head.dtype).removeprefix("torch."))


def hf_weights(model: GPT) -> dict[str, torch.Tensor]:
    """The weights by name, laid out as `transformers` wants them. Raises
    ValueError for a model that no format holds."""
    if isinstance(model, Int8GPT):
        raise ValueError("no format here holds the int8 weights of an "
                         "Int8GPT: export the model that it was made of")
    return placed(model, format_of(model.config).tensors(model.config))


def save_hf(model: GPT, tokenizer: Tokenizer, folder) -> None:
    """Write model and tokenizer so that `transformers` loads them.

    Raises ValueError, before anything is written, when the tokenizer is
    another model's, and for a model with a part that no format holds.
    """
    if tokenizer.vocab_size != model.config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.vocab_size} entries "
                         f"and the model {model.config.vocab_size}")
    weights, folder = hf_weights(model), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", hf_config(model, tokenizer.eot))
    tokenizer.save(folder / "tokenizer.json")
    write_json(folder / "tokenizer_config.json", dict(
        tokenizer_class="PreTrainedTokenizerFast", bos_token=EOT,
        eos_token=EOT, pad_token=EOT, unk_token=EOT,
        model_max_length=model.config.context_length,
        clean_up_tokenization_spaces=False))
    # last: a folder with these weights in it is whole
    partial = folder / f"{WEIGHTS}.partial"
    write_tensors(weights, partial, {"format": "pt"})
    os.replace(partial, folder / WEIGHTS)


def holds(folder, model: GPT, tokenizer: Tokenizer) -> bool:
    """Whether what `save_hf` writes stands in a folder already, and is read
    from it as it is: weights, configuration and tokenizer."""
    form = format_of(model.config)
    try:
        found, theirs = load_hf(folder)
        read_object(Path(folder, "tokenizer_config.json"))
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False
    ours, there = model.state_dict(), found.state_dict()
    return (found.config == form.read_config(hf_config(model, tokenizer.eot))
            and theirs.fingerprint == tokenizer.fingerprint
            and all(there[name].dtype == value.dtype
                    and torch.equal(there[name], value.cpu())
                    for name, value in ours.items()))
