# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The model that speaks
#
# What you have run so far took minutes. This chapter is about one run that took
# hours and is recorded: the `evening` model, by the recipe of chapter 6, on
# public-domain books. Here is what it says when it is given three words. It is
# the first text with the first {term}`seed`, not a chosen one.

# %% tags=["remove-input"]
from course_lib.showing import load_result, plots, side_by_side

plots.use_style()
long_run = load_result("long_run.json")
last = {prompt: text.removeprefix(prompt) for prompt, text
        in long_run["samples"][-1]["texts"].items()}
side_by_side("What the model says.", {
    "it goes on": [last["life is about"]]}, ["life is about"])

# %% tags=["remove-input"]
from course_lib.showing import card

card("07_speaks", needs="nothing; earlier chapters explain the words",
     gives="a judgement of a real model: what it costs, what it can "
     "do, and what it cannot")

# %% [markdown]
# The words are English, and so is most of the grammar. Is that good, for a model
# of this size and this much text? Is it better than a compressor?
# And what did it cost? A sample cannot answer. The rest of this chapter is
# measurements, and most of them begin with a guess.
#
# ## The plan
#
# The size came from the dial of [chapter 2](02_scaling_laws.ipynb), turned to the
# hours there were, with `--largest 9e6` so that the model fits into a page. The
# text is public-domain books. One in twenty is held out, by a hash of its text.

# %%
from course_lib.presets import Preset
from course_lib.showing import show_table

preset = Preset.from_dict(long_run["run"]["preset"])
spent, files = long_run["training"], long_run["run"]["files"]
model = preset.model
print(f"{long_run['parameters'] / 1e6:.1f}M parameters: "
      f"{model.n_layer} layers, {model.n_head} heads, "
      f"{model.n_embd} channels, context {model.context_length}")
print(f"trained on {spent['tokens'] / 1e6:.1f}M tokens in steps of "
      f"{preset.batch_tokens:,}: {spent['passes']:.2f} passes")
show_table([{"text": name, "books": f"{files[key]['documents']:,}",
             "megabytes": f"{files[key]['bytes'] / 1e6:,.0f}",
             "million tokens": f"{files[key]['tokens'] / 1e6:.1f}"}
            for name, key in (("to train on", "train"),
                              ("held out", "val"))])

# %% [markdown]
# A book from the web carries what its author did not write, and a model learns to
# write that too. So `course prepare --corpus books:FOLDER` cleans a book before it is
# split (`course_lib/text/books.py` has the rules). From these, which came with their
# licences cut off already, it took little:

# %%
cleaning = load_result("cleaning.json")
show_table([{"taken out": row["part"],
             "of so many books": f"{row['books']:,}",
             "kilobytes": f"{row['bytes'] / 1e3:,.0f}",
             "share": f"{row['bytes'] / cleaning['bytes']:.3%}"}
            for row in cleaning["rows"]])
lost = sum(row["bytes"] for row in cleaning["rows"])
print(f"in all {lost / cleaning['bytes']:.2%} of "
      f"{cleaning['bytes'] / 1e6:.0f} megabytes")

# %% tags=["remove-cell"]
kept_bytes = sum(part["bytes"] for part in files.values())
assert cleaning["bytes"] - lost == kept_bytes
assert cleaning["books"] == sum(p["documents"] for p in files.values())
assert lost < 0.005 * cleaning["bytes"]
assert cleaning["rows"][0] == {"part": "licences", "bytes": 0,
                               "books": 0}
assert abs(files["val"]["documents"] / cleaning["books"] - .05) < .005

# %% [markdown]
# Then the bet of [chapter 2](02_scaling_laws.ipynb#the-bet): how long the run
# would be, and at which loss it would end, written down before its first step.
#
# The run could be stopped and resumed, and its length need not be settled at once:
# its learning rate decays late ([chapter 4](04_training.ipynb)), and until then no
# step depends on where it ends (`course train RUN --resume --tokens N` moves the
# end). As the machine's hours went to other work, the end was moved to where
# it could still be reached. A new end needs a new bet, and by then there was a better
# way to make one. A copy of the run had been ended early. Its loss is known, so the
# law has only to say by what factor further tokens lower it, and an error that lifts
# the whole curve cancels. This second bet was made when the end was moved and
# before the learning rate's decay; beside it stands what the first bet's rule says of the
# new length.

# %%
from course_lib import stages
from course_lib.scaling import forecast

first, second = (load_result(f"long_run_{which}.json")
                 for which in ("bet", "second_bet"))
ladder = stages.ladder(preset)
to_bits = ladder.bits_per_byte(1.0)
bets = {"the first bet, for the plan": first["forecast"],
        "its rule, for the new end": second["law"],
        "the second bet": second["forecast"]}
known = second["known"]
show_table([{"prediction": name, "tokens": f"{says['D'] / 1e6:.0f}M",
             "nats per token": f"{says['loss']:.2f} "
             f"({says['low']:.2f} to {says['high']:.2f})",
             "bits per byte": f"{says['loss'] * to_bits:.3f}"}
            for name, says in bets.items()])
planned, cut = first["forecast"]["D"], second["forecast"]["D"]
at = second["step"] * preset.batch_tokens
print(f"the copy: {known['loss']:.3f} nats per token after "
      f"{known['tokens'] / 1e6:.0f}M tokens")
print(f"the plan was cut by {1 - cut / planned:.0%}, after "
      f"{at / 1e6:.0f}M tokens")
tried = [run["forecast"]["low"] < run["loss"] < run["forecast"]["high"]
         for run in second["tried"]]
print("the way of the second bet, tried on models of the ladder: "
      f"right {sum(tried)} times of {len(tried)}")

# %% tags=["remove-cell"]
assert spent["tokens"] == cut
assert at < 0.6 * cut

# %% [markdown]
# (Batch and learning rate are those of the first plan. A run planned for fewer
# tokens would have smaller batches.)
#
# ## The run
#
# Chapter 2 and chapter 4 tell of runs that ended outside their interval.
#
# :::{admonition} Predict
# :class: hint
# Where does this one end, beside the interval of the second bet?
#
# - above its interval
# - inside
# - below it
# :::

# %% mystnb={"figure": {"caption": "The long run: training loss (thin, smoothed), held-out loss (dots; the diamond on all the held-out text, the others on a sample), and the second bet on its end (bar).", "name": "fig-long-run"}, "image": {"alt": "A loss that falls steeply, then slowly, and once more quickly where the learning rate decays; its end stands beside a vertical bar."}} tags=["hide-input"]
import numpy as np
from matplotlib import pyplot as plt

log, held_out = long_run["log"], long_run["validation_log"]
seen = np.array([r["tokens"] for r in log])
loss = np.array([r["loss"] for r in log])
smooth = np.array([loss[max(0, i - 4):i + 5].mean()
                   for i in range(len(loss))])
plt.plot(seen, smooth, linewidth=1, label="training")
plots.plot_held_out(held_out[1:], "o", markersize=4, label="held out")
says = second["forecast"]
plt.errorbar(1.03 * spent["tokens"], says["loss"],
             [[says["loss"] - says["low"]],
              [says["high"] - says["loss"]]],
             fmt="s", capsize=4, markersize=4, label="second bet")
plt.ylim(says["low"] - 0.3, 6)
plots.count_axis("tokens seen")
plt.ylabel("nats per token")
plt.legend();

# %%
from course_lib.training.sessions import in_words

ended = long_run["validation"]


def place(says):
    """Where the run ended beside a prediction."""
    off = ended["loss"] - says["loss"]
    side = "above" if off > 0 else "below"
    inside = says["low"] <= ended["loss"] <= says["high"]
    return (f"{abs(off):.3f} {side} {says['loss']:.3f}, "
            f"{'inside' if inside else side} the interval")


print(f"measured {ended['loss']:.3f} nats per token")
for name, says in bets.items():
    print(f"{name}:", place(says) if says["D"] == spent["tokens"]
          else "for a length that was not run")
print(f"{ended['bits_per_byte']:.3f} bits per byte on "
      f"{ended['bytes'] / 1e6:.0f} MB of held-out books")
# all on the sample that was measured along the way
sample = load_result("end_on_sample.json")
points = [(r["tokens"] / spent["tokens"], r["val_bits_per_byte"])
          for r in held_out[1:-1]] + [(1.0, sample["bits_per_byte"])]
before, turn, end = np.interp((0.6, 0.8, 1), *zip(*points))
print(f"gained by the last fifth of the run {turn - end:.3f} bits per "
      f"byte, by the fifth before it {before - turn:.3f}")

# %% tags=["remove-cell"]
closer, wide = second["forecast"], second["law"]
assert closer["low"] < ended["loss"] < closer["loss"]
assert ended["loss"] - closer["low"] < 0.1 * (
    closer["high"] - closer["low"])
assert 0.09 < wide["loss"] - ended["loss"] < 0.11
assert wide["low"] < ended["loss"]
assert turn - end > before - turn > 0
assert 0 < ended["bits_per_byte"] - sample["bits_per_byte"] < 0.01
assert sample["of_tokens"] + 1 == ended["tokens"]
fewer = ladder[ladder.budget < ladder.budget.max()]
without = forecast(fewer, long_run["parameters"], spent["tokens"])
assert 0.035 < ended["loss"] - without.loss < 0.045
assert wide["high"] - wide["low"] > 0.4

# %% [markdown]
# Inside the second bet's, and near its lower end: either the last tokens were worth
# more than the ladder had said, or the copy, which had the batch of a longer plan,
# ended too high. The first bet's rule, asked for the same length, lay a tenth of a
# nat too high, and its interval is so wide that it could hardly miss. How near a
# run ends to the middle says more about a law than whether it is inside. And the
# ladder without its last run, the one that chapter 2 suspects, would have come
# nearer, four hundredths of a nat too low.
#
# The last line and the end of {numref}`fig-long-run` show what a late decay is
# for: such curves flatten, and then the small steps settle what the large ones
# overshot. How the run went otherwise:

# %%
print(in_words(long_run["sessions"]))
print(f"{spent['hours']:.1f} hours of wall clock, "
      f"{spent['seconds'] / 3600:.1f} of them in training steps")
flop_rate = spent["flop"] / spent["seconds"]
print(f"{spent['tokens'] / spent['seconds']:,.0f} tokens/s on average, "
      f"{flop_rate / 1e9:,.0f} GFLOP/s: {spent['threads']} threads, "
      f"{flop_rate / spent['matmul_peak']:.0%} of their peak")

# %% [markdown]
# The peak is what the same threads reach in matrix products alone. The machine did
# other work at the same time, so speed and share are less than it can do.
#
# ## Is that good?
#
# A loss means something beside another one. So here are programs that predict
# the same held-out bytes without a neural network, each after reading the same training
# books, or as much of them as it can hold: `xz`, which looks for repetitions;
# PPMd, an old compressor that is good at text; and tables of five bytes and of
# five tokens with {term}`Kneser-Ney smoothing`: such tables, of words, were the
# language models until about 2010. The compressors go on learning while they read the
# held-out books; the tables and the model do not. The model is asked in windows
# that do not overlap, which costs it a little. Beside these stands the largest model
# of this book's first edition, a third as large, which had ten megabytes of books to
# read.
#
# :::{admonition} Predict
# :class: hint
# `xz` needs a little more than two bits for a byte. Order the others, and the
# model.
# :::

# %%
rows = load_result("baselines.json")["rows"]
bits = {row["name"]: row["bits_per_byte"] for row in rows}
read = {row["name"]: row["training_bytes"] for row in rows}
bits["this model"] = ended["bits_per_byte"]
read["this model"] = spent["passes"] * files["train"]["bytes"]
before = load_result("first_edition.json")
bits["the first edition's model"] = before["bits_per_byte"]
read["the first edition's model"] = before["training_bytes"]
show_table([{"held-out books": name, "bits per byte": f"{value:.3f}",
             "megabytes read before": f"{read[name] / 1e6:,.0f}"}
            for name, value in sorted(bits.items(),
                                      key=lambda item: -item[1])])
best = min(row["bits_per_byte"] for row in rows)
print(f"the model is {1 - bits['this model'] / best:.0%} below the "
      "best of the others")

# %% tags=["remove-cell"]
assert bits["Kneser-Ney, 5 tokens"] == best > bits["this model"]
assert 2 < max(bits.values()) < 2.2
assert before["bytes"] == ended["bytes"] and not before["read_before"]
assert 0.3 < before["parameters"] / long_run["parameters"] < 0.35
assert spent["passes"] < 1
assert 2 < bits["xz -9, after the training text"] < 2.1
assert sorted(bits, key=bits.get)[1] == "Kneser-Ney, 5 tokens"
assert read["Kneser-Ney, 5 tokens"] >= files["train"]["bytes"]

# %% [markdown]
# The model needs the fewest bits, and the table of five tokens comes nearest. The
# table keeps a count of all it saw, in all of the training books, while the model
# has not read them once. Give the table more text, and it gets better and larger;
# the model gets better and stays as large.
#
# What is the recipe's share in that? A model of the same size was trained on the same
# books by `gpt2`, for a tenth of the tokens, and by `modern` for as many. `gpt2` got
# the best of three learning rates, `modern` the one that its rule says, untried.

# %%
[swept] = load_result("rates_books_gpt2.json")["points"]
own = ladder.N == long_run["parameters"]
nats = {"gpt2": min(swept["losses"].values()),
        "modern": float(ladder.loss[own][0])}
show_table([{"recipe": name, "parameters": f"{N:,.0f}",
             "tokens": f"{D / 1e6:.1f}M",
             "nats per token": f"{loss:.3f}",
             "bits per byte": f"{loss * to_bits:.3f}"}
            for (name, loss), N, D in zip(
                nats.items(), (swept["N"], ladder.N[own][0]),
                (swept["point"]["tokens"], ladder.D[own][0]))])
print("gpt2 at other rates:", ", ".join(
    f"{float(rate):.4f} {loss:.3f}"
    for rate, loss in swept["losses"].items()))

# %% tags=["remove-cell"]
assert sum(own) == 1 and swept["point"]["tokens"] == ladder.D[own][0]
assert abs(swept["N"] / ladder.N[own][0] - 1) < 0.03
assert 0.09 < swept["point"]["tokens"] / spent["tokens"] < 0.11
assert len(swept["losses"]) == 3 and "rate" in swept
assert 0.37 < nats["gpt2"] - nats["modern"] < 0.40
usual = ladder[ladder.rate == 1]
twins = usual[usual.seed != preset.seed]
apart = [min(abs(usual.loss[(usual.seed == preset.seed)
                            & (usual.N == N) & (usual.D == D)] - loss))
         for N, D, loss in zip(*twins.runs)]
assert max(apart[1:]) < 0.01
assert twins.budget[0] == ladder.budget.min()

# %% [markdown]
# Almost four tenths of a nat, with one seed each; where the ladder tried two seeds
# they differ by less than a hundredth, its smallest budget apart. Smaller models on
# fewer tokens lie nearer together ([the notes to chapter 2](notes_scaling.ipynb)
# have three such budgets). But both runs have hardly begun, and what longer runs of
# one size do to the gap was not measured.
#
# ## Does it follow what it reads?
#
# Bits per byte are an average, and most bytes are easy. A harder question, which
# you can answer yourself: the last word of a passage is missing. The model is
# given the whole passage, or its last sentence alone. What it gains from the
# passage is what it has followed. The passages come from the held-out books by a
# rule (`course_lib/measuring/cloze.py` has it), and nobody has picked them
# {cite}`paperno2016`.

# %%
from course_lib.showing import print_text

judged = load_result("cloze.json")
ours, table = judged["models"][0], judged["models"][-1]
one = next(e for e in ours["examples"] if e["seen"])
print_text("..." + one["passage"][-220:] + " ____")

# %% tags=["hide-output"]
print(f"the author: {one['word']}; the model: {one['said']}")

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# The missing word stands elsewhere in the passage. In a hundred such passages,
# how often does the model go on with it? And the table of five tokens, which
# cannot look further back than four?
#
# - both about equally often
# - the model two or three times as often as the table
# - the model in most of them, the table hardly ever
# :::

# %%
def share(row):
    """A share with its interval."""
    return (f"{row['share']:.1%} ({row['low']:.1%} to "
            f"{row['high']:.1%})")


show_table([{
    "word": ("in" if mine["word_seen"] else "not in")
    + f" the passage; {mine['given']} given",
    "this model": share(mine["right"]),
    "nats for the word": f"{mine['nats']['mean']:.1f}",
    "five tokens": share(theirs["right"])}
    for mine, theirs in zip(ours["cloze"], table["cloze"])])
print(f"here the table has counted {table['tokens'] / 1e6:.0f}M tokens")

# %% tags=["remove-cell"]
known, alone, new, new_alone = ours["cloze"]
assert known["right"]["low"] > alone["right"]["high"]
assert known["right"]["share"] == 0.27
assert table["cloze"][0]["right"]["share"] == 0.1
gains = [b["nats"]["mean"] - a["nats"]["mean"]
         for a, b in ((known, alone), (new, new_alone))]
assert gains[0] > 2 and gains[1] < gains[0] / 4
assert len({row["right"]["share"] for row in table["cloze"][:2]}) == 1
assert 2.7 < gains[0] < 3.3

# %% [markdown]
# In twenty-seven, and the table in ten. Where the passage has the word, the
# passage takes about three nats off its price, and the model is right more often
# with it than without; for the table, whose view ends four tokens back, it does
# nothing. So the model uses what stands further back.
#
# Where the word is not in the passage, the passage helps far less, as the last two
# lines show: what the model takes from it is mostly words. How often a
# reader would be right, on passages that no reader has selected, was not measured;
# try the one above.
#
# ## Does it know grammar?
#
# Take a sentence of a held-out book, and break one thing in it by a rule: *was*
# for *were*, *himself* for *herself*, a word out of order. Whoever knows the
# language finds the author's likelier {cite}`warstadt2020`. By chance half of the
# answers are right.
#
# :::{admonition} Predict
# :class: hint
# In how many of a hundred does the model find the author's likelier? And does the
# table of five tokens do best or worst where the two words that must agree stand
# apart?
# :::

# %%
show_table([{"kind": kind, "this model": share(row),
             "five tokens": share(table["pairs"][kind])}
            for kind, row in ours["pairs"].items()])

# %% tags=["remove-cell"]
assert ours["pairs"]["all pairs"]["low"] > 0.97
far = table["pairs"]["agreement at a distance"]
assert far == min(table["pairs"].values(), key=lambda row: row["share"])
assert far["high"] < 0.5
of_kinds = [row["share"] for kind, row in table["pairs"].items()
            if kind != "all pairs"]
assert sum(of > 0.9 for of in of_kinds) > len(of_kinds) / 2

# %% [markdown]
# The model gets nearly all of them right. So does the table of five tokens in most
# kinds, but where the two words that must agree stand apart it is worse than
# guessing.
#
# These pairs are easy ones: the mistakes are made by rules, nobody has checked
# each of them, and most show in two neighbours, as *a apple* does. In *houses of the
# man were* they do not. The table has hardly ever seen those five tokens
# together, so it goes by the last one or two, and after *man* comes *was*. (The
# test is made so: the nearer noun always has the other number.) The model was
# told nothing but the next token, and has learned that a verb agrees with a noun,
# and with which.
#
# ## Would others count the same?
#
# The figures that papers print mostly come from one program, the Language Model
# Evaluation Harness {cite}`gao2024`. It was given the model that ships with this
# book, and the three tests as files in its own format (`book/harness` has them).

# %%
outside = load_result("harness.json")
named = {"books_held_out": "bits per byte, {} books",
         "books_cloze": "right words, {} passages",
         "books_pairs": "right sentences, {} pairs"}
show_table([{"test": named[row["task"]].format(row["count"]),
             "the harness": f"{row['harness']:.4f}",
             "this book": f"{row['course']:.4f}"}
            for row in outside["tasks"]])
across = outside["bits_per_byte_across"]
print(f"the same books as one text: {across:.4f} bits per byte")

# %% tags=["remove-cell"]
for row in outside["tasks"]:
    assert abs(row["harness"] - row["course"]) < 1e-6
assert abs(across - outside["tasks"][0]["course"]) < 0.001
assert outside["tasks"][0]["count"] == 4
assert across < long_run["validation"]["bits_per_byte"]
of_pairs = ours["pairs"]["all pairs"]
turned = of_pairs["share"] - outside["tasks"][2]["course"]
assert round(of_pairs["count"] * turned) == 1
assert len(outside["tasks"]) == 3

# %% [markdown]
# They agree to the last digit. The table of grammar in the section before was measured
# on the weights before they were rounded to bfloat16 for shipping; the rounding changes
# the answer to one pair. (Whole books take the harness long, so it was given
# the first four of those held out, which are easier than the average.) To compare
# bits per byte with others, ask what was counted. The harness reads each book by
# itself and does not count end-of-text, and so this book has done for the table, as
# `course evaluate --by-document` does. Everywhere else windows go on across books,
# and end-of-text is a token like any other. With whole books that is all but the
# same. Texts that end often would show it.
#
# ## Has it learned by heart?
#
# Does it write, or does it repeat its books? The longest piece that a text shares
# with the training text is easy to find: here for the model's own samples, for
# passages of held-out books, and, to see whether the search works, for passages of
# the training books themselves.

# %%
copies = load_result("copies.json")
show_table([{"texts": kind, "half share at least":
             f"{np.median(found['lengths']):.0f} tokens in a row",
             "the most": max(found["lengths"])}
            for kind, found in copies["kinds"].items()])
print(f"texts of {copies['tokens']} tokens, "
      f"{len(copies['kinds']['samples']['lengths'])} of each kind; "
      f"{copies['searched_tokens'] / 1e6:.0f}M tokens searched")

# %% tags=["remove-cell"]
most = {kind: max(found["lengths"])
        for kind, found in copies["kinds"].items()}
assert most["samples"] <= most["held-out passages"] < 30
assert most["training passages"] == copies["tokens"]

# %% [markdown]
# In these samples nothing was copied: they share no longer pieces with the books
# than held-out books do. But a sample begins where the model likes. The sharper
# test begins a passage that the run has read, lets the model go on with the
# likeliest token each time, and counts until the first that is not the book's
# {cite}`carlini2023`.

# %%
show_table([{"begun": kind, "keeps to the text for":
             f"{np.mean(kept):.1f} tokens on average",
             "the most": max(kept)}
            for kind, kept in copies["kept"].items()])
print(f"{copies['begun']} tokens are given, and "
      f"{copies['tokens'] - copies['begun']} could be right")

# %% tags=["remove-cell"]
averages = [np.mean(kept) for kept in copies["kept"].values()]
assert max(map(max, copies["kept"].values())) < 10
assert {len(kept) for kept in copies["kept"].values()} == {40}
assert abs(averages[0] - averages[1]) < 1
assert averages[0] < averages[1] + 0.2 and max(averages) < 1

# %% [markdown]
# In forty passages of each it goes no further with what it has read than with what
# it has not: none of them is known by heart. That is what one would expect of less
# than one pass. A model that had read its books ten times would be another matter
# ({ref}`overfitting <learning-by-heart>`).
#
# ## What it says
#
# One beginning on the way, and then ten at the end, the first seed of each. (The
# samples on the way were taken after a hundredth and a tenth of the run as it was
# first planned, which is more of the run as it was.)

# %% tags=["hide-input"]
samples = long_run["samples"]
chosen = [samples[1], samples[2], samples[-1]]
names = [f"{s['step'] / samples[-1]['step']:.0%} of the steps"
         for s in chosen]
begin = "It was a dark and stormy night"
side_by_side("One beginning, as the model learned.", {
    "it goes on": [s["texts"][begin] for s in chosen]}, names)

# %% tags=["hide-input"]
side_by_side("Ten beginnings, the first seed of each.",
             {"it goes on": list(last.values())}, list(last))

# %% [markdown]
# Read three of them aloud. Most sentences have a subject and a verb, most
# quotation marks are closed again, and somebody who speaks is often answered. But
# no two sentences are about the same thing for long: follow the ship, or the old
# man, from one sentence to the next.
#
# ## What it cannot do
#
# - *Facts.* Nobody has tested any, and there is little to hope for: it has read
#   each of its sentences once at most, and its books have many more letters than
#   it has parameters.
# - *A thread.* To keep to a subject makes few tokens of a sentence likelier, so
#   the loss hardly rewards it; and what stands before its context, the model
#   cannot see.
# - *Answers.* It was not taught to give any: ask it something, and it goes on as a
#   novel would.
# - *Our time.* It has the century of its books and their prejudices, since it was
#   shown nothing else.
#
# ## The bill

# %%
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import load_preset
from course_lib.scaling.budget import GPU_MFU, dollars, hours

price, full = spent["price"], load_preset("full")
work = flops_per_token(full.model) * full.tokens
bill = [{"run": "this one", "on": f"{spent['threads']} CPU cores",
         "time": f"{spent['hours']:.1f} hours, measured",
         "US$": f"{spent['dollars']:.2f}"}]
minutes = 60 * hours(work, "H100", GPU_MFU)
bill.append({"run": "the full one", "on": "one H100",
             "time": f"{minutes:.0f} minutes, projected",
             "US$": f"{dollars(work, 'H100', GPU_MFU):.2f}"})
show_table(bill)
print(f"the cores: ${price['dollars_per_hour']:.4f} an hour "
      f"({price['instance']}, {price['date']}); the H100: at an "
      f"assumed MFU of {GPU_MFU:.0%}")
larger = count_parameters(full.model).total / long_run["parameters"]
print(f"the full run has {larger:.1f} times the parameters and "
      f"{full.tokens / spent['tokens']:.0f} times the tokens")

# %% tags=["remove-cell"]
assert full.model.n_embd == 2 * model.n_embd
assert price["processors"] == spent["threads"] == 2
assert files["train"]["bytes"] > 50 * long_run["parameters"]
assert len(last) == 10
assert [round(100 * sample["step"] * preset.batch_tokens / planned)
        for sample in samples[1:3]] == [1, 10]

# %% [markdown]
# The hours of the first line are measured. Its price is that of a rented machine
# with two virtual processors of this kind, which we have not tried. The second is
# projected, as everywhere in this book: no run on a GPU is recorded here. A GPU would
# not make our model better, only sooner, and how much sooner we do not project: the
# MFU that [chapter 6](06_cheaper.ipynb) assumes is for the products of the full model,
# and those of this one, with half as many channels, do not fill such a card. What
# makes it better is what the law says, more parameters and more text, and the last
# line says how many more the model of the title has.
#
# ## How far is that from a chatbot?
#
# Three kinds of training away, of which you have done the first.
#
# 1. *Pretraining*: predict the next token of much text. That is this chapter's
#    run, larger. GPT-3 {cite}`brown2020`, from which the first ChatGPT descends, has
#    175 billion parameters and read 300 billion tokens:

# %%
print(f"{175e9 / long_run['parameters']:,.0f} times the parameters, "
      f"{300e9 / spent['tokens']:,.0f} times the tokens")

# %% [markdown]
# 2. *{term}`Instruction tuning`*: train on, with the same loss, on texts that consist of
#    a request and a good answer. Special tokens mark who speaks and where an
#    answer ends, which is where sampling stops. Commonly only the answer's tokens
#    count in the loss: in this book's code, those of the request would get the
#    target -100, which `model.loss` leaves out. {cite:t}`ouyang2022` used some
#    13,000 requests, with answers written by people. `course train --from` does
#    the training on, but reads plain text and counts every token of it.
# 3. *Preferences*: people compare several answers to a request. A second model
#    learns to foretell their judgement, and the first one is trained, by
#    reinforcement learning, to write what the second one rates highly, without
#    moving far from where it began (*RLHF*). {cite:t}`rafailov2023` do without the
#    second model and train on the comparisons (*DPO*).
#
# None of the three adds a part to the architecture of chapter 1. In the study of
# {cite:t}`ouyang2022` the last two cost little beside the first, and changed much:
# people preferred the answers of a model with 1.3 billion parameters that had gone
# through all three to those of the 175 billion that had gone through the first alone.
#
# For the model of this page the distance is mostly the first step. It can be
# taught to answer in the form of an answer; there is too little in it to answer
# with, and its context is shorter than a conversation.
#
# :::{admonition} Takeaway
# :class: tip
# Say beforehand what a run will end with, and in which unit. Then compare it
# with something that is not a network, ask it questions whose answers you can
# judge, and look for what it copied. A sample shows none of that, and is what
# everybody remembers.
# :::
#
# ## Where to go next
#
# - {doc}`Talk to it <../book/talk>`. Its weights are in the repository, in
#   `book/models/books`.
# - `course evaluate book/models/books --text FILE` measures it on a text of yours.
# - {ref}`Fine-tune it <fine-tuning>` on that text, which takes two commands.
# - Turn the dial for your own hours, make your own bet, and run it overnight.
# - Read {cite:t}`radford2019`, whose design this book began with, and
#   {cite:t}`hoffmann2022`, from which the dial comes.
#
# ## Exercises
#
# ### 1. A bet of your own
#
# *Medium, 10 minutes, and as long as the run.* Prepare an hour's run on a folder of
# public-domain books, `course prepare --corpus books:FOLDER --hours 1 --out runs/bet`;
# write down what it predicts, and what you believe. Then train. Who was closer? (On
# another kind of text the law's nats are another unit.)
#
# ### 2. Text of another kind
#
# *Easy, 5 minutes.* Measure the model on something that no novelist of 1900 could
# have written: a page of a manual, say. How many bits per byte more than on its own
# held-out books? And at which words? ({doc}`../book/talk` colours them.)
#
# Solution (click to open):

# %% tags=["hide-cell"]
from course_lib.machine.origin import ROOT
from course_lib.measuring import evaluate_text
from course_lib.sharing import load_hf

shipped, its_tokenizer = load_hf(ROOT / "book" / "models" / "books")
text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
manual = evaluate_text(shipped.float(), its_tokenizer, [text])
print(f"{manual.bits_per_byte:.2f} bits per byte, "
      f"{manual.bits_per_byte - ended['bits_per_byte']:+.2f}")
assert manual.bits_per_byte > ended["bits_per_byte"]

# %% [markdown]
# ### 3. When did it pass the table?
#
# *Easy, 5 minutes.* After which share of the run did the model pass the table of five
# tokens? And how much of its lead came in the last fifth?
#
# Solution (click to open):

# %% tags=["hide-cell"]
# `points` are on the sample, which is a little easier than all the
# held-out text that the table was asked for
show_table([{"share of the tokens": f"{seen:.0%}",
             "bits per byte": f"{needs:.3f}",
             "against the table": f"{needs / best - 1:+.1%}"}
            for seen, needs in points])
