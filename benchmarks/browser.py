"""Tokens per second of the GPT in JavaScript, in Chromium, in one thread.

    python benchmarks/browser.py [--rounds 10] [--busy]

A model of the `evening` scale's shape by the `modern` recipe, with random
weights, which take as long as any others. Each round writes a text within the
context, with the choice of each token by temperature, top-k and top-p, and
one that goes past it by half a context, where the window moves once and is
read anew. Writes book/results/browser.json, where `--busy` notes that the
machine had other work.
"""

import argparse
import os
import statistics
import sys

import torch
from playwright.sync_api import sync_playwright

from course_lib.machine.files import write_json
from course_lib.machine.origin import ROOT, provenance
from course_lib.model.cost import count_parameters
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.sharing.browser_format import browser_weights, script
from course_lib.showing.page import RESULTS

sys.path.insert(0, str(ROOT / "book"))
from chromium import launch  # noqa: E402

PROMPT, TOKENS = 16, 100
WRITE = """([start, count]) => {
  const V = gpt.config.vocab_size, text = [];
  while (text.length < start) text.push((text.length * 977) % V);
  gpt.seen = [];
  gpt.logits(text); // the prompt is not what is timed
  const begin = performance.now();
  for (let i = 0; i < count; i++)
    text.push(draw(probabilities(gpt.logits(text),
      { temperature: 0.8, topK: 200, topP: 0.95 }), Math.random()));
  return 1000 * count / (performance.now() - begin);
}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--busy", action="store_true",
                        help="note that the machine had other work")
    options = parser.parse_args()
    torch.manual_seed(0)
    preset = find_recipe("modern").at(load_preset("evening"))
    T = preset.model.context_length
    cases = {"within the context": [PROMPT, TOKENS],
             "half a context past it": [T - T // 4, T // 2]}
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.add_script_tag(content=script("gpt.js"))
        page.evaluate("file => { window.gpt = new GPT(file); }",
                      browser_weights(GPT(preset.model)))
        page.evaluate(WRITE, [PROMPT, 8])  # compiled by its use
        speeds = {name: [page.evaluate(WRITE, case)
                         for _ in range(options.rounds)]
                  for name, case in cases.items()}
        version = browser.version
        browser.close()
    rows = [dict(case=name, tokens_per_second=statistics.median(found),
                 rounds=sorted(found)) for name, found in speeds.items()]
    for row in rows:
        print(f"{row['case']}: {row['tokens_per_second']:.1f} tokens/s, "
              f"{row['rounds'][0]:.1f} to {row['rounds'][-1]:.1f}")
    write_json(RESULTS / "browser.json", dict(
        provenance=provenance("cpu", "int8 weights")
        | dict(threads=1, chromium=version),
        busy=options.busy and f"load {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} processors",
        scale=preset.name, recipe=preset.recipe,
        parameters=count_parameters(preset.model).total, rows=rows))


if __name__ == "__main__":
    main()
