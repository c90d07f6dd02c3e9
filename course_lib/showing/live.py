"""Figures that answer with the model itself, in the reader's own browser
(chapters 1, 3 and 5).

Each shows its idea before anything is asked: what it draws first was computed
here. In the book the weights are a script beside the pages, loaded by the
first question; in a notebook they stand in the output.
"""

import html
import os
from uuid import uuid4

import torch
from IPython.display import display

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT, rotary_angles, rotate
from course_lib.sharing.browser_format import (
    browser_model,
    browser_tokenizer,
    rounded,
)
from course_lib.sharing.colored import token_name
from course_lib.sharing.talk import alive, engine, inline
from course_lib.text.tokenizer import Tokenizer

# Where the pages of the book find the weights of its own run, see
# book/_ext/talking.py; outside the book nothing sets it.
ADDRESS = "COURSE_WEIGHTS"
NEW_TOKENS = 40


def show_attention(model: GPT, tokenizer: Tokenizer, text: str) -> None:
    """Attention by layer and head on a sentence, which the reader may
    change."""
    ids = tokenizer.encode(text)[:model.config.context_length]
    weights = attention_weights(rounded(model), torch.tensor([ids]))[:, :, 0]
    shown = dict(tokens=[token_name(tokenizer, i) for i in ids], weights=[[
        [[round(w, 5) for w in row[:place + 1]]
         for place, row in enumerate(head.tolist())]
        for head in layer] for layer in weights])
    _show("attention", dict(shown=shown), model, tokenizer, f"""
<div class="gpt-heads" role="group" aria-label="Heads"></div>
<div class="gpt-tokens" role="group" aria-label="Tokens"></div>
<p class="gpt-said"></p>
{_form("Your sentence", text, "Look at this sentence")}""",
          "Heat maps of attention weights, one for each layer and head, and a "
          "sentence coloured by where one token looks.")


def show_merges(tokenizer: Tokenizer, text: str) -> None:
    """The merges of a text, one at a time; the reader may change it."""
    _show("merges", {}, None, tokenizer, f"""
<p class="gpt-pieces"></p>
<p class="gpt-said"></p>
<div class="gpt-control"><button type="button" class="gpt-back">Back</button>
<button type="button" class="gpt-on">One merge on</button>
<label><span>merges done</span><input type="range" class="gpt-step" min="0"
 max="1" value="0"></label></div>
<label>Your text<textarea class="gpt-own" rows="2" maxlength="300"
 spellcheck="false">{html.escape(text)}</textarea></label>""",
          "A text in boxes, one a token, and a slider for how many merges "
          "were done.")


def show_cache(model: GPT, tokenizer: Tokenizer, text: str) -> None:
    """Multiplications for each token that the model writes after a text,
    with and without the cache; the reader may change the text."""
    plain, cached = products(model.config,
                             1 + len(tokenizer.encode(text)), NEW_TOKENS)
    _show("work", dict(shown=dict(plain=plain, cached=cached)), model,
          tokenizer, f"""
<div class="gpt-chart"></div>
<p class="gpt-note gpt-ends"><span>first new token</span>
<span>token {NEW_TOKENS}</span></p>
<p class="gpt-said"></p>
<div class="gpt-control"><label><span>token</span><input type="range"
 class="gpt-place" min="1" max="{NEW_TOKENS}" value="{NEW_TOKENS}"></label>
</div>
{_form("A beginning", text, "Write both ways")}
<p class="gpt-written"></p>""",
          "Bars of the multiplications for each new token: without the cache "
          "they grow, with it they hardly do.")


@torch.no_grad()
def attention_weights(model: GPT, ids) -> torch.Tensor:
    """(B, T) ids -> (L, H, B, T, T): how much of each value (last) a token
    (last but one) takes. Computed beside the model, which never stores it."""
    layers, config = [], model.config

    def record(attn, inputs):
        B, T, C = inputs[0].shape
        q, k, _ = (part.view(B, T, config.n_head, -1).transpose(1, 2)
                   for part in attn.c_attn(inputs[0]).split(C, dim=2))
        q, k = attn.q_norm(q), attn.k_norm(k)
        if config.positions == "rotary":
            angles = rotary_angles(torch.arange(T)[None], config.head_width)
            q, k = rotate(q, angles), rotate(k, angles)
        scores = q @ k.mT / config.head_width ** 0.5  # (B, H, T, T)
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        layers.append(scores.masked_fill(later, -torch.inf).softmax(-1))

    hooks = [block.attn.register_forward_pre_hook(record)
             for block in model.transformer.h]
    try:
        model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(layers).transpose(1, 2)


def products(config: GPTConfig, start: int, count: int,
             ) -> tuple[list[int], list[int]]:
    """Multiplications for each of `count` tokens after `start`, as far as
    the context reaches: reading all before it anew, and with a cache."""
    C, V = config.n_embd, config.vocab_size
    matrices = 3 if config.mlp == "swiglu" else 2
    a_token = config.n_layer * (4 * C * C + matrices * C * config.inner_width)

    def read(first, last):  # positions, and the head once
        scores = config.n_layer * 2 * C * sum(range(first + 1, last + 2))
        return (last + 1 - first) * a_token + scores + V * C

    lengths = range(start, start + count)
    if lengths[-1] > config.context_length:
        raise ValueError(f"{lengths[-1]} tokens do not fit a context of "
                         f"{config.context_length}")
    plain = [read(0, n - 1) for n in lengths]
    return plain, [plain[0], *(read(n - 1, n - 1) for n in lengths[1:])]


def _form(label: str, text: str, button: str) -> str:
    return f"""<form><label>{label}<textarea class="gpt-own" rows="2"
 maxlength="400" spellcheck="false">{html.escape(text)}</textarea></label>
<button type="submit">{button}</button>
<p class="gpt-status" role="status"></p></form>"""


def _show(kind: str, data: dict, model: GPT | None, tokenizer: Tokenizer,
          parts: str, what: str) -> None:
    """Display a figure; `model` is None where only the tokenizer is asked.
    `what` says in a sentence what it shows."""
    address, element = os.environ.get(ADDRESS), f"gpt-{uuid4().hex[:8]}"
    file = ""
    if model is not None and address:
        where = dict(name=address.rpartition("/")[2].removesuffix(".js"),
                     source=address, size="from beside this page")
    else:
        text = (browser_tokenizer(tokenizer) if model is None
                else browser_model(model, tokenizer))
        file = _json(text, f'id="{element}"')
        where = dict(name=element, element=element,
                     size="which stands in this page")
    markup = f"""{engine()}{file}
<div class="gpt gpt-{kind} live" role="group" aria-label="{html.escape(what)}">
{_json(where | data, 'class="gpt-data"')}
{parts}
<noscript><p>This figure needs JavaScript.</p></noscript></div>
{alive(f"{kind}.js")}"""
    display({"text/html": markup, "text/plain": what}, raw=True)


def _json(value, attribute: str) -> str:
    return (f'<script type="application/json" {attribute}>{inline(value)}'
            "</script>")
