"""Folders that are not what they claim to be: each is one clear line, soon,
and before memory is asked for."""

import json
import os
import shutil
import struct
import time

import pytest
import torch
from referee import MODERN, TEXTS, ours
from safetensors.torch import load_file, save_file

from course_lib.cli import main as cli
from course_lib.sharing.hugging_face import from_hf, load_hf, save_hf
from course_lib.text.tokenizer import train_tokenizer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKEN = "transformer.wte.weight"
QUERIES = "model.layers.1.self_attn.q_proj.weight"
HUGE = 10**12


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A GPT-2, a Qwen3 with a head of its own, and the GPT-2 in two files."""
    root = tmp_path_factory.mktemp("whole")
    tokenizer = train_tokenizer(TEXTS * 9, 300)
    save_hf(ours(), tokenizer, root / "gpt2")
    save_hf(ours(**MODERN, tied=False), tokenizer, root / "qwen3")
    shutil.copytree(root / "gpt2", root / "shards")
    weights = load_file(root / "gpt2" / WEIGHTS)
    (root / "shards" / WEIGHTS).unlink()
    parts = {"a.safetensors": [TOKEN], "b.safetensors": weights.keys()
             - {TOKEN}}
    for file, names in parts.items():
        save_file({name: weights[name] for name in names},
                  root / "shards" / file)
    (root / "shards" / INDEX).write_text(json.dumps(dict(weight_map={
        name: file for file, names in parts.items() for name in names})))
    for kind in ("gpt2", "qwen3", "shards"):
        load_hf(root / kind)
    return root


def text(name, value):
    """A file with this text or these bytes in it."""
    def change(folder):
        data = value.encode() if isinstance(value, str) else value
        (folder / name).write_bytes(data)
    return change


def config(**fields):
    """Other fields in config.json; those of None are left out."""
    def change(folder):
        path = folder / "config.json"
        values = json.loads(path.read_text()) | fields
        path.write_text(json.dumps({key: value for key, value
                                    in values.items() if value is not None}))
    return change


def weights(change_them):
    """Other tensors in model.safetensors."""
    def change(folder):
        values = load_file(folder / WEIGHTS)
        change_them(values)
        save_file({name: value.contiguous() for name, value
                   in values.items()}, folder / WEIGHTS)
    return change


def cut(size):
    """Only the first bytes of model.safetensors, or all but the last."""
    return lambda folder: (folder / WEIGHTS).write_bytes(
        (folder / WEIGHTS).read_bytes()[:size])


def index(change_it):
    def change(folder):
        value = json.loads((folder / INDEX).read_text())
        change_it(value["weight_map"])
        (folder / INDEX).write_text(json.dumps(value))
    return change


def remove(name):
    return lambda folder: (folder / name).unlink()


def header(**tensors):
    """A safetensors file with this header and four bytes of data."""
    data = json.dumps(tensors).encode()
    return struct.pack("<Q", len(data)) + data + bytes(4)


def moved(folder):
    """A shard outside of the folder, which is whole otherwise."""
    (folder / "a.safetensors").rename(folder.parent / "a.safetensors")
    index(lambda files: files.update({TOKEN: "../a.safetensors"}))(folder)


FOLDERS = {
    # the configuration
    "no folder": ("gpt2", shutil.rmtree, "no config.json in"),
    "no config": ("gpt2", remove("config.json"), "no config.json in"),
    "config is empty": ("gpt2", text("config.json", ""),
                        "config.json is damaged"),
    "config is no JSON": ("gpt2", text("config.json", "{'a': 1}"),
                          "config.json is damaged"),
    "config is no UTF-8": ("gpt2", text("config.json", b"\xff\xfe{}"),
                           "config.json is damaged"),
    "config is nested": ("gpt2", text("config.json", "[" * 200_000),
                         "config.json is damaged"),
    "config is a list": ("gpt2", text("config.json", "[1]"),
                         "must hold a JSON object, not [1]"),
    "config is null": ("gpt2", text("config.json", "null"),
                       "must hold a JSON object, not None"),
    "config says nothing": ("gpt2", text("config.json", '{"a": 1}'),
                            "it has no n_embd, n_head, n_layer"),
    "another model": ("gpt2", config(model_type="llama"),
                      "model_type is 'llama'"),
    "model_type is a list": ("gpt2", config(model_type=["gpt2"]),
                             "model_type is ['gpt2']"),
    "n_embd missing": ("gpt2", config(n_embd=None), "it has no n_embd"),
    "n_embd is a word": ("gpt2", config(n_embd="32"),
                         "n_embd must be a whole number of 1 or more"),
    "n_embd is a float": ("gpt2", config(n_embd=32.0),
                          "n_embd must be a whole number of 1 or more"),
    "n_head is zero": ("gpt2", config(n_head=0),
                       "n_head must be a whole number of 1 or more, not 0"),
    "n_head does not divide": ("gpt2", config(n_head=5),
                               "n_head=5 must divide n_embd=32"),
    "n_layer is true": ("gpt2", config(n_layer=True),
                        "n_layer must be a whole number of 1 or more"),
    "n_layer is negative": ("gpt2", config(n_layer=-2),
                            "n_layer must be a whole number of 1 or more"),
    "n_inner is a list": ("gpt2", config(n_inner=[]),
                          "n_inner must be a whole number of 1 or more"),
    "activation is an object": ("gpt2", config(activation_function={}),
                                "activation_function is {}"),
    "no size in qwen3": ("qwen3", config(hidden_size=None, head_dim=None),
                         "it has no head_dim, hidden_size"),
    "heads are a list": ("qwen3", config(num_attention_heads=[4]),
                         "num_attention_heads must be a whole number"),
    "odd head": ("qwen3", config(hidden_size=36, head_dim=9),
                 "n_embd / n_head must be even"),
    "head does not divide": ("qwen3", config(
        num_attention_heads=3, num_key_value_heads=3, head_dim=10),
        "n_head=3 must divide n_embd=32"),
    "tied by a word": ("qwen3", config(tie_word_embeddings="no"),
                       "tie_word_embeddings must be true or false"),
    "rotary is a list": ("qwen3", config(rope_parameters=[1]),
                         "rope_parameters must be an object, not [1]"),
    "rotary is nested": ("qwen3", config(rope_parameters=dict(
        full_attention=dict(rope_theta=1.0))), "rope_parameters has"),
    "kinds of layers are a number": ("qwen3", config(layer_types=3),
                                     "layer_types must all be"),
    "kinds of layers are lists": ("qwen3", config(layer_types=[[]]),
                                  "layer_types must all be"),
    # the configuration against the weights
    "a billion layers": ("gpt2", config(n_layer=10**9),
                         "no transformer.h.2.ln_1.weight"),
    "a billion layers of qwen3": ("qwen3", config(num_hidden_layers=10**9),
                                  "no model.layers.2.input_layernorm"),
    "a layer too few": ("gpt2", config(n_layer=1),
                        "the weights hold transformer.h.1."),
    "a large vocabulary": ("gpt2", config(vocab_size=HUGE),
                           "the configuration promises (1000000000000, 32)"),
    "a wide model": ("qwen3", config(hidden_size=8 * HUGE, head_dim=2 * HUGE),
                     "(300, 32), and the configuration promises (300, 80"),
    "a wide MLP": ("qwen3", config(intermediate_size=HUGE),
                   "mlp.gate_proj.weight has the shape (88, 32)"),
    "a long context": ("gpt2", config(n_positions=HUGE),
                       "wpe.weight has the shape (128, 32)"),
    "tied after all": ("qwen3", config(tie_word_embeddings=True),
                       "lm_head.weight is not model.embed_tokens.weight"),
    "not tied": ("qwen3", weights(lambda values: values.pop(
        "lm_head.weight")), "the weights have no lm_head.weight"),
    # the weights
    "no weights": ("gpt2", remove(WEIGHTS), "no model.safetensors in"),
    "weights are empty": ("gpt2", cut(0), "model.safetensors is damaged"),
    "weights are cut in the header": ("gpt2", cut(100), "is damaged"),
    "weights are cut at the end": ("gpt2", cut(-1), "is damaged"),
    "a header of 2**60 bytes": ("gpt2", text(
        WEIGHTS, struct.pack("<Q", 2**60) + b"{}"), "is damaged"),
    "a header that is no JSON": ("gpt2", text(
        WEIGHTS, struct.pack("<Q", 4) + b"{{{{"), "is damaged"),
    "a tensor larger than the file": ("gpt2", text(WEIGHTS, header(
        a=dict(dtype="F32", shape=[HUGE], data_offsets=[0, 4]))),
        "is damaged"),
    "no tensors": ("gpt2", text(WEIGHTS, struct.pack("<Q", 2) + b"{}"),
                   f"no {TOKEN}"),
    "a tensor missing": ("gpt2", weights(lambda values: values.pop(TOKEN)),
                         f"the weights have no {TOKEN}"),
    "a tensor too many": ("gpt2", weights(lambda values: values.update(
        {"score.weight": torch.ones(2)})), "the weights hold score.weight"),
    "a bias too many": ("qwen3", weights(lambda values: values.update(
        {QUERIES.replace("weight", "bias"): torch.ones(32)})),
        "q_proj.bias, for which the configuration has no place"),
    "a tensor turned": ("gpt2", weights(lambda values: values.update(
        {"transformer.h.0.mlp.c_fc.weight":
         values["transformer.h.0.mlp.c_fc.weight"].T})),
        "c_fc.weight has the shape (128, 32), and the configuration promises"),
    "a tensor of another shape": ("qwen3", weights(
        lambda values: values.update({QUERIES: torch.ones(16, 32)})),
        "q_proj.weight has the shape (16, 32)"),
    "whole numbers": ("gpt2", weights(lambda values: values.update(
        {TOKEN: torch.ones(300, 32, dtype=torch.int8)})),
        "number format that is none of float64"),
    "eight bits": ("qwen3", weights(lambda values: values.update(
        {QUERIES: torch.ones(32, 32).to(torch.float8_e4m3fn)})),
        "number format that is none of float64"),
    "another head": ("gpt2", weights(lambda values: values.update(
        {"lm_head.weight": values[TOKEN] + 1})),
        "lm_head.weight is not transformer.wte.weight"),
    "a head of another shape": ("gpt2", weights(lambda values: values.update(
        {"lm_head.weight": torch.ones(3)})),
        "lm_head.weight is not transformer.wte.weight"),
    "a value that is no number": ("gpt2", weights(lambda values: values[
        TOKEN].__setitem__((7, 5), float("nan"))), f"{TOKEN} holds a value"),
    "an infinite value": ("qwen3", weights(lambda values: values[
        QUERIES].__setitem__((1, 1), float("inf"))), "that is NaN"),
    # several files
    "index is a list": ("shards", text(INDEX, "[]"), "must hold a JSON"),
    "index has no map": ("shards", text(INDEX, "{}"), "has no weight_map"),
    "index maps nothing": ("shards", text(INDEX, '{"weight_map": {}}'),
                           "has no weight_map"),
    "index maps to a number": ("shards", index(lambda files: files.update(
        {TOKEN: 5})), "its own folder, not 5"),
    "index leaves the folder": ("shards", moved,
                                "its own folder, not '../a.safetensors'"),
    "index is absolute": ("shards", index(lambda files: files.update(
        {TOKEN: "/etc/passwd"})), "its own folder, not '/etc/passwd'"),
    "index names a backslash": ("shards", index(lambda files: files.update(
        {TOKEN: "..\\a.safetensors"})), "its own folder"),
    "a shard missing": ("shards", remove("b.safetensors"),
                        "no b.safetensors in"),
    "a shard damaged": ("shards", text("b.safetensors", b"half"),
                        "b.safetensors is damaged"),
    "a tensor in the other shard": ("shards", index(
        lambda files: files.update({TOKEN: "b.safetensors"})),
        f"b.safetensors has no {TOKEN}"),
    "a tensor that the index leaves out": ("shards", index(
        lambda files: files.pop("transformer.ln_f.bias")),
        "holds transformer.ln_f.bias, which"),
    "a tensor that no shard has": ("shards", index(
        lambda files: files.update({"x": "a.safetensors"})),
        "a.safetensors has no x, which"),
    # the tokenizer
    "no tokenizer": ("gpt2", remove("tokenizer.json"), "no tokenizer at"),
    "tokenizer is no JSON": ("gpt2", text("tokenizer.json", "{"),
                             "is not a tokenizer file"),
    "tokenizer is an empty object": ("gpt2", text("tokenizer.json", "{}"),
                                     "is not a tokenizer file"),
}


def two_files(vocab, merges):
    def change(folder):
        remove("tokenizer.json")(folder)
        text("vocab.json", vocab)(folder)
        text("merges.txt", merges)(folder)
    return change


FOLDERS |= {
    "vocab.json is damaged": ("gpt2", two_files("{", ""),
                              "are no tokenizer"),
    "merges of unknown tokens": ("gpt2", two_files('{"a": 0}', "b c"),
                                 "are no tokenizer"),
    "ids past the vocabulary": (
        "gpt2", two_files('{"a": 999, "<|endoftext|>": 1}', ""),
        "changes the text"),
    "a vocabulary without bytes": (
        "gpt2", two_files('{"a": 0, "<|endoftext|>": 1}', ""),
        "changes the text"),
    "a vocabulary without end-of-text": (
        "gpt2", two_files('{"a": 0}', ""), "has no <|endoftext|>"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_one_line_says_what_is_wrong(whole, tmp_path, name):
    kind, change, what = FOLDERS[name]
    folder = shutil.copytree(whole / kind, tmp_path / "hf")
    change(folder)
    began = time.monotonic()
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load_hf(folder)
    assert what in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    assert time.monotonic() - began < 2


def test_the_command_line_says_it_too(whole, tmp_path, capsys):
    folder = shutil.copytree(whole / "gpt2", tmp_path / "hf")
    config(n_layer=10**9)(folder)
    for command in (["sample", str(folder)],
                    ["evaluate", str(folder), "--text", str(tmp_path)]):
        assert cli.main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.startswith(f"course {command[0]}: the weights have no ")


def test_a_link_to_a_file_elsewhere_is_a_file(whole, tmp_path):
    """The Hub's client keeps files elsewhere and links to them."""
    folder = shutil.copytree(whole / "shards", tmp_path / "hf")
    (folder / "a.safetensors").rename(tmp_path / "blob")
    os.symlink(tmp_path / "blob", folder / "a.safetensors")
    state = from_hf(whole / "gpt2").state_dict()
    for name, value in from_hf(folder).state_dict().items():
        assert torch.equal(value, state[name])
