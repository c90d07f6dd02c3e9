"""What the tests of formats share: models with clear opinions, and
`transformers` as the judge of them."""

import torch

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT

TEXTS = ["Life is about the small things: a door, a lamp, a road home.\n",
         "\"Caf\u00e9?\" she said. \U0001f31e Two  spaces, a\ttab.", "life"]
NASTY = [*TEXTS, "", " ", "\n", "  two\n\nx  ", "a  b 's 12\u00b3 I'LL don't",
         "\u00a0no\u3000break\u2003", "e\u0301 \u0928\u092e\u0938\u094d",
         "\r\n\r\n x", "\x00\x01\x7f", "\u201d\u2019s\u2019s\u2026 _a_"]
MODERN = dict(positions="rotary", norm="rms", mlp="swiglu", qk_norm=True,
              bias=False)
CONTEXT = 128


def opinionated(model):
    """The same with weights three times as large, so that the best token is
    clear, and with positions or outputs of blocks so strong that it is not
    always the same one. Norms and biases are made random too: among equals a
    swap would not show."""
    weights = dict(model.named_parameters())
    strong = "wpe" if any("wpe" in name for name in weights) \
        else ("c_proj", "o_proj", "down_proj")
    with torch.no_grad():
        for name, p in weights.items():
            p.mul_(3) if p.dim() > 1 else p.add_(0.1 * torch.randn_like(p))
            if name.removesuffix(".weight").endswith(strong):
                p.mul_(8 if strong == "wpe" else 30)
    return model.eval()


def ours(**parts) -> GPT:
    """A random GPT with 300 entries, as many as `tokenizer` has."""
    torch.manual_seed(1)
    return opinionated(GPT(GPTConfig(300, CONTEXT, 2, 4, 32, **parts)))


@torch.no_grad()
def apart(model, hf) -> float:
    """The largest difference of a logit, over rows of the whole context."""
    T, V = model.config.context_length, model.config.vocab_size
    ids = torch.randint(V, (2, T), generator=torch.Generator().manual_seed(0))
    return (model.eval()(ids) - hf.eval()(ids).logits).abs().max().item()


@torch.no_grad()
def greedy(hf, prompts, count, **options):
    """The continuations of a batch, padded on the left, by the own generate
    of a `transformers` model."""
    longest = max(map(len, prompts))
    ids = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt)
            for prompt in prompts]
    hf.generation_config.eos_token_id = None  # end-of-text does not end it
    out = hf.generate(torch.tensor(ids), attention_mask=torch.tensor(mask),
                      do_sample=False, max_new_tokens=count, pad_token_id=0,
                      **options)
    return out[:, longest:].tolist()
