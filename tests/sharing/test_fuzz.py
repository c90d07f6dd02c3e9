"""Folders in Hugging Face's format with something wrong in them, by chance
and by the thousand: each loads as it is, or is one line."""

import copy
import json
import random
import shutil
import struct

import pytest
import tiny
import torch
from referee import MODERN, TEXTS, ours

from course_lib.sharing.hugging_face import load_hf, save_hf
from course_lib.text.tokenizer import train_tokenizer

VALUES = [None, True, False, 0, 1, -1, 2, 3, 7, 64, 300, 301, 10**6, 10**12,
          10**30, 0.5, 1e308, float("nan"), float("inf"), "", "32", "gpt2",
          "\x1b[31m", "a\nb", [], [1], [[]], {}, {"a": 1}, "x" * 5000]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    tokenizer = train_tokenizer(TEXTS * 9, 300)
    save_hf(ours(), tokenizer, root / "gpt2")
    save_hf(ours(**MODERN, tied=False), tokenizer, root / "qwen3")
    return root


def changed(value, draw):
    """The value with one place removed, replaced, or doubled."""
    [*way, last] = draw.choice([p for p in tiny.places(value) if p])
    inside = value
    for key in way:
        inside = inside[key]
    if draw.random() < 0.25:
        del inside[last]
    elif draw.random() < 0.1 and isinstance(inside, list):
        inside.append(inside[last])
    else:
        inside[last] = copy.deepcopy(draw.choice(VALUES))
    return value


def loads_or_says_why(folder):
    """What was loaded; None where one line said why not."""
    try:
        model, tokenizer = load_hf(folder)
    except (ValueError, FileNotFoundError) as error:
        line = str(error)
        assert "\n" not in line and len(line) < 600, line
        return None
    with torch.no_grad():
        ids = tokenizer.encode("life is about")[:model.config.context_length]
        logits = model(torch.tensor([ids]))
    assert logits.isfinite().all()
    return model


@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_other_values_in_a_json(whole, tmp_path, kind, name):
    draw = random.Random(f"{kind} {name}")
    folder = shutil.copytree(whole / kind, tmp_path / "hf")
    text = (folder / name).read_text()
    wanted = loads_or_says_why(folder).state_dict()
    loaded = 0
    for _ in range(300 if name == "config.json" else 100):
        value = json.loads(text)
        for _ in range(draw.choice([1, 1, 2])):
            changed(value, draw)
        (folder / name).write_text(json.dumps(value))
        model = loads_or_says_why(folder)
        if model:  # what was changed says nothing about the weights
            loaded += 1
            state = model.state_dict()
            assert state.keys() == wanted.keys()
            assert all(torch.equal(state[key], wanted[key]) for key in wanted)
    assert 0 < loaded < 290


@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
def test_other_headers_of_weights(whole, tmp_path, kind):
    draw = random.Random(kind)
    folder = shutil.copytree(whole / kind, tmp_path / "hf")
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8:8 + size]), data[8 + size:]
    header.pop("__metadata__", None)
    loaded = 0
    for number in range(300):
        if number % 3:
            value = json.dumps(changed(copy.deepcopy(header), draw)).encode()
            broken = struct.pack("<Q", len(value)) + value + rest
        else:
            broken = bytearray(data)
            for _ in range(3):
                broken[draw.randrange(8 + size)] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        loaded += loads_or_says_why(folder) is not None
    assert loaded < 40


@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
def test_files_cut_off_and_mixed_up(whole, tmp_path, kind):
    draw = random.Random(kind)
    names = sorted(path.name for path in (whole / kind).iterdir())
    for number in range(60):
        folder = shutil.copytree(whole / kind, tmp_path / str(number))
        for name in draw.sample(names, 2):
            path = folder / name
            if not path.is_file():
                continue
            data = path.read_bytes()
            match draw.randrange(5):
                case 0:
                    path.write_bytes(data[:draw.randrange(len(data))])
                case 1:
                    path.unlink()
                case 2:
                    path.write_bytes(draw.randbytes(200))
                case 3:
                    path.write_bytes((whole / kind / draw.choice(names)
                                      ).read_bytes())
                case 4:
                    path.unlink()
                    path.mkdir()
        loads_or_says_why(folder)
        shutil.rmtree(folder)
