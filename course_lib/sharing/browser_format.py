"""A model for a browser: the file that `browser/gpt.js` reads (chapter 5).

Every matrix is rounded to eight bits with a scale for each row, as in
`sampling.quantization`, and is a quarter of its size; vectors stay float32.
All of it is one JSON object, the numbers in base64, because a page that was
opened from a disk may read no other file than a script.
"""

import base64
import copy
import json
from dataclasses import asdict
from pathlib import Path

import torch

from course_lib.model.gpt import GPT
from course_lib.sampling.quantization import round_rows
from course_lib.text.tokenizer import Tokenizer

SCRIPTS = Path(__file__).with_name("browser")


def script(name: str) -> str:
    """The source of one of the scripts and styles that a page is made of."""
    return (SCRIPTS / name).read_text(encoding="utf-8")


def browser_model(model: GPT, tokenizer: Tokenizer) -> dict:
    """A model and its tokenizer as plain values, for JSON. Raises ValueError
    when the tokenizer is another model's."""
    if tokenizer.vocab_size != model.config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.vocab_size} entries "
                         f"and the model {model.config.vocab_size}")
    return browser_weights(model) | browser_tokenizer(tokenizer)


def browser_weights(model: GPT) -> dict:
    """The model without its tokenizer."""
    tensors, parts = [], []
    for name, tensor in _weights(model).items():
        if tensor.dim() == 2:
            whole, scale = round_rows(tensor)
            parts += [_bytes(scale), _bytes(whole.to(torch.int8))]
            parts.append(b"\0" * (-whole.numel() % 4))
        else:
            parts.append(_bytes(tensor))
        tensors.append([name, *tensor.shape, 0][:3])
    return dict(config=asdict(model.config), tensors=tensors,
                weights=base64.b64encode(b"".join(parts)).decode())


def browser_tokenizer(tokenizer: Tokenizer) -> dict:
    """The tokenizer alone: tokens in the order of their ids, merges in the
    order in which they were learned."""
    merges = json.loads(tokenizer.library.to_str())["model"]["merges"]
    return dict(tokens=[tokenizer.library.id_to_token(i)
                        for i in range(tokenizer.vocab_size)],
                # pairs; each one string in old versions' files
                merges=[pair if isinstance(pair, str) else " ".join(pair)
                        for pair in merges],
                eot=tokenizer.eot)


def rounded(model: GPT) -> GPT:
    """A copy in float32 with the weights that a browser gets, for whoever
    wants to compare."""
    near = copy.deepcopy(model).float().cpu().eval()
    with torch.no_grad():
        for weight in near.parameters():
            if weight.dim() == 2:
                whole, scale = round_rows(weight)
                weight.copy_(whole * scale[:, None])
    return near


def _weights(model: GPT) -> dict[str, torch.Tensor]:
    return {name: weight.detach().float().cpu()
            for name, weight in model.named_parameters()}


def _bytes(tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()
