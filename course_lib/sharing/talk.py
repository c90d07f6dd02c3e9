"""A model one can talk to, as a part of a page (chapter 5).

What is made here is complete without a script: it shows a text that the
model wrote and what it would go on with. `browser/talk.js` makes it answer,
with the weights of `browser_format`, in the reader's own browser.
"""

import html
import json
import math
from dataclasses import dataclass

import torch

from course_lib.measuring.surprise import surprisal
from course_lib.model.cache import window_start
from course_lib.model.gpt import GPT
from course_lib.sampling.drawing import probabilities
from course_lib.sampling.generation import generate
from course_lib.sharing.browser_format import browser_model, rounded, script
from course_lib.sharing.colored import colored, legend, token_name
from course_lib.text.tokenizer import Tokenizer

PROMPT, TOKENS, BARS = "life is about", 60, 10
TEMPERATURE, TOP_P = 0.8, 0.95
SENTENCE = "It is a truth that a model likes what it has read before."


@dataclass(frozen=True)
class Speaker:
    """A model as a page presents it. Its file stands at the address `source`
    or, without one, in the page under the id `element`; `size` says in words
    how much that is."""

    name: str
    title: str
    note: str
    model: GPT
    tokenizer: Tokenizer
    size: str
    source: str | None = None
    element: str | None = None


def engine() -> str:
    """What every page needs: the style, and the GPT for a Worker."""
    return (f"<style>{script('gpt.css')}{script('surprisal.css')}</style>"
            f'<script type="text/plain" class="gpt-engine">{script("gpt.js")}'
            f"{script('worker.js')}</script>")


def alive(name: str) -> str:
    """The script that makes what stands before it answer; nothing of it is
    seen from outside, so that a page may hold several."""
    return (f"<script>(() => {{{script('client.js')}{script(name)}}})();"
            "</script>")


def model_script(name: str, model: GPT, tokenizer: Tokenizer) -> str:
    """The script that a page loads when its reader asks for the weights."""
    return (f"(window.courseModels ??= {{}})[{json.dumps(name)}] = "
            f"{json.dumps(browser_model(model, tokenizer))};\n")


def talk(speakers: list[Speaker]) -> str:
    """The part of a page in which a reader talks to one model or more;
    `engine()` must stand before it."""
    return f"""
<div class="gpt gpt-talk">
<form class="gpt-ask">
<label for="gpt-prompt">A beginning</label>
<textarea class="gpt-prompt" id="gpt-prompt" rows="2" maxlength="2000"
 spellcheck="false">{html.escape(PROMPT)}</textarea>
<div class="gpt-buttons">
<button type="submit" class="gpt-write">Write on</button>
<button type="button" class="gpt-stop" disabled>Stop</button>
<button type="button" class="gpt-again">Again from the beginning</button>
</div>
<fieldset class="gpt-settings"><legend>How each token is chosen</legend>
{_slider("temperature", 0, 2, 0.1, TEMPERATURE)}
{_slider("top-k", 0, 100, 1, 0)}
{_slider("top-p", 0.05, 1, 0.05, TOP_P)}
</fieldset>
</form>
<div class="gpt-models">{"".join(map(_speaker, speakers))}</div>
<section class="gpt-sentence" aria-label="A sentence of your own">
<form>
<label for="gpt-own">A sentence of your own, and what each token of it costs
</label>
<textarea class="gpt-own" id="gpt-own" rows="2" maxlength="1000"
 spellcheck="false">{html.escape(SENTENCE)}</textarea>
<button type="submit">Colour it</button>
</form>
<p class="surprisal">{legend()}</p>
<div class="gpt-models">{"".join(map(_priced, speakers))}</div>
</section>
</div>
{alive("talk.js")}"""


def _slider(name: str, low, high, step, value) -> str:
    return (f'<label><span>{name}</span><input type="range" min="{low}" '
            f'max="{high}" step="{step}" value="{value}" '
            f'class="gpt-{name}"><output>{value}</output></label>')


def _speaker(one: Speaker) -> str:
    shown = example(one.model, one.tokenizer)
    data = dict(name=one.name, source=one.source, element=one.element,
                size=one.size, vocabulary=f"{one.tokenizer.vocab_size:,}",
                example=dict(prompt=PROMPT, ids=shown["ids"]))
    bars = "".join(map(_bar, shown["bars"]))
    return f"""
<section class="gpt-model" aria-label="{_quoted(one.title)}">
<h2>{html.escape(one.title)}</h2>
<p class="gpt-note">{html.escape(one.note)}</p>
<script type="application/json" class="gpt-data">{inline(data)}</script>
<p class="gpt-text"><span class="gpt-given">{html.escape(PROMPT)}</span>\
<span class="gpt-written">{html.escape(shown["written"])}</span></p>
<p class="gpt-status" role="status">An example, written when this page was \
made. What may come next (choose one to take it):</p>
<div class="gpt-bars">{bars}</div>
<p class="gpt-kept">{shown["kept"]:,} of {one.tokenizer.vocab_size:,} tokens \
have a chance with these settings.</p>
</section>"""


@torch.no_grad()
def example(model: GPT, tokenizer: Tokenizer, prompt: str = PROMPT) -> dict:
    """What the model, with a browser's weights, writes after a prompt, and
    what it might go on with: `ids`, `written`, `bars` of (id, token, before,
    after), and how many tokens are `kept` by the settings."""
    near = rounded(model)
    start = tokenizer.encode(prompt)
    [new] = generate(near, [start], TOKENS, TEMPERATURE, top_p=TOP_P, seed=0,
                     stop_id=tokenizer.eot)
    ids = start + new
    T = model.config.context_length
    logits = near(torch.tensor([ids[window_start(len(ids), T):]]))[:, -1]
    before = logits[0].double().softmax(-1)
    after = probabilities(logits, TEMPERATURE, top_p=TOP_P)[0]
    best = before.sort(descending=True, stable=True).indices[:BARS].tolist()
    return dict(
        ids=ids, written=tokenizer.decode(ids)[len(prompt):],
        kept=int((after > 0).sum()),
        bars=[(i, _name(tokenizer, i), before[i].item(), after[i].item())
              for i in best])


def _name(tokenizer: Tokenizer, token: int) -> str:
    return "end of text" if token == tokenizer.eot \
        else token_name(tokenizer, token)


def _bar(bar: tuple[int, str, float, float]) -> str:
    token, name, before, after = bar
    return (f'<button type="button" data-id="{token}" title="take '
            f'{_quoted(name)}">'
            f'<span class="gpt-token">{html.escape(name)}</span>'
            '<span class="gpt-bar"><span class="gpt-now" '
            f'style="width:{100 * after:.2f}%"></span>'
            '<span class="gpt-model-s" '
            f'style="width:{100 * before:.2f}%"></span></span>'
            f'<span class="gpt-share">{_percent(after) if after else "out"}'
            "</span></button>")


def _percent(p: float) -> str:
    return f"{100 * p:.0f}%" if p >= 0.0995 else f"{100 * p:.1f}%"


def _priced(one: Speaker) -> str:
    """The sentence that stands in the form, as this model sees it."""
    ids = [one.tokenizer.eot, *one.tokenizer.encode(SENTENCE)]
    bits = [nats / math.log(2) for nats in surprisal(rounded(one.model), ids)]
    size = len(SENTENCE.encode())
    return f"""
<div class="gpt-priced"><p class="gpt-note">{html.escape(one.title)}</p>
<p class="gpt-colored surprisal">\
{colored(one.tokenizer, ids[1:], bits)}</p>
<p class="gpt-cost">{sum(bits):.0f} bits for {size} bytes: \
{sum(bits) / size:.2f} bits per byte.</p></div>"""


def inline(value) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value).replace("<", "\\u003c")


def _quoted(text: str) -> str:
    return html.escape(text, quote=True)
