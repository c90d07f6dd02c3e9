"""Publishing, by the real client, at tests/hub_server.py; and the card."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml

from course_lib.cli import main as cli
from course_lib.runs import open_run
from course_lib.sharing.model_card import corpus_name, hardware, model_card
from course_lib.sharing.publish import FILES, export_run, push


class Hub:
    """The server, and `course` run in a process that knows it."""

    def __init__(self, root):
        self.root = root
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).parents[1] / "hub_server.py",
             root],
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.server.stdout.readline())

    def run(self, *command, token="me-token", port=None):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": f"http://127.0.0.1:{port or self.port}",
                "HF_HOME": str(self.root / "home"), "NO_PROXY": "127.0.0.1",
                "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1",
                "OMP_NUM_THREADS": "1"} | ({"HF_TOKEN": token} if token
                                           else {})
        return subprocess.run(
            [sys.executable, *map(str, command)], env=env, text=True,
            capture_output=True, timeout=120)

    def course(self, *command, **options):
        return self.run("-m", "course_lib", *command, **options)

    def files(self, name):
        """What stands at the head of a model's branch `main`."""
        folder = self.root / name
        commit = json.loads((folder / "refs.json").read_text())["main"]
        return tiny.contents(folder / commit)


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hub").mkdir()
    hub = Hub(tmp_path / "hub")
    yield hub
    hub.server.terminate()
    hub.server.wait()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with tiny.quick_training():
        run = tiny.make_run(tmp_path_factory.mktemp("trained"))
        run.train(progress=False)
    return run


GENERATE = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
where, prompt = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(where)
model = AutoModelForCausalLM.from_pretrained(where)
ids = tokenizer(prompt, return_tensors="pt")
out = model.generate(**ids, do_sample=False, max_new_tokens=8)
print(tokenizer.decode(out[0][ids.input_ids.shape[1]:]), end="")
"""


@pytest.mark.slow
def test_published_and_loaded_by_its_name(hub, trained, tmp_path, capfd):
    """From the run to the Hub, and back by transformers alone."""
    done = hub.course("export", trained.folder, "--to", tmp_path / "hf",
                      "--push", "me/cats", "--license", "mit")
    assert done.returncode == 0, done.stderr
    assert f"published http://127.0.0.1:{hub.port}/me/cats" in done.stdout
    assert hub.files("me/cats") == tiny.contents(tmp_path / "hf")
    card = (tmp_path / "hf" / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    assert '"me/cats"' in code
    assert hub.run("-c", code).stdout.startswith("life is about")
    done = hub.run("-c", GENERATE, "me/cats", "the cat saw")
    assert done.returncode == 0, done.stderr
    assert cli.main(["sample", str(trained.folder), "--prompt", "the cat saw",
                     "--temperature", "0", "--tokens", "8"]) == 0
    assert capfd.readouterr().out == f"the cat saw{done.stdout}\n"


@pytest.mark.slow
def test_publishing_again(hub, trained, tmp_path):
    """An edited card is kept and published; another model is refused."""
    again = ["export", trained.folder, "--to", tmp_path / "hf", "--push",
             "me/cats"]
    assert hub.course(*again).returncode == 0
    card = tmp_path / "hf" / "README.md"
    card.write_text(card.read_text() + "\nIt knows only cats.\n")
    done = hub.course(*again)
    assert done.returncode == 0, done.stderr
    assert "was left as it is" in done.stdout
    assert "only cats" in card.read_text()
    assert hub.files("me/cats") == tiny.contents(tmp_path / "hf")
    done = hub.course(*again, "--license", "mit")
    assert done.returncode == 2 and "name the licence in" in done.stderr
    weights = tmp_path / "hf" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    done = hub.course(*again)
    assert done.returncode == 2 and "is not empty" in done.stderr


@pytest.mark.slow
def test_a_private_page(hub, trained, tmp_path):
    export = ["export", trained.folder, "--to", tmp_path / "hf", "--push"]
    done = hub.course(*export, "me/secret", "--private")
    assert done.returncode == 0, done.stderr
    assert (hub.root / "me/secret/private").exists()
    assert hub.course(*export, "me/secret", "--private").returncode == 0
    assert hub.course(*export, "me/open").returncode == 0
    before = hub.files("me/open")
    (tmp_path / "hf/README.md").write_text("mine alone")
    done = hub.course(*export, "me/open", "--private")
    assert done.returncode == 2
    assert "me/open is a public page already" in done.stderr
    assert hub.files("me/open") == before


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, "wrong", "you-token"])
def test_a_token_that_may_not(hub, trained, tmp_path, token):
    done = hub.course("export", trained.folder, "--to", tmp_path / "hf",
                      "--push", "me/cats", token=token)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("course export: cannot publish me/cats")
    assert "run `hf auth login` with a token that may write" in last
    assert f"{tmp_path / 'hf'} is whole" in last
    assert "Traceback" not in done.stderr
    assert not (hub.root / "me").exists()


@pytest.mark.slow
def test_no_hub(hub, trained, tmp_path):
    done = hub.course("export", trained.folder, "--to", tmp_path / "hf",
                      "--push", "me/cats", port=1)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cannot publish me/cats" in done.stderr
    assert sorted(os.listdir(tmp_path / "hf")) == sorted(FILES)


def test_a_dry_run_sends_nothing(hub, trained, tmp_path):
    done = hub.course("export", trained.folder, "--to", tmp_path / "hf",
                      "--push", "me/cats", "--dry-run", token=None)
    assert done.returncode == 0, done.stderr
    for name in FILES:
        size = (tmp_path / "hf" / name).stat().st_size
        assert f"would upload {name}: {size:,} bytes" in done.stdout
    assert done.stdout.endswith("/me/cats\n")
    assert not (hub.root / "requests.log").exists()


@pytest.mark.parametrize("name", ["cats", "me/", "/cats", "a/b/c", "me/ca ts",
                                  "../cats", "me/caf\u00e9", ""])
def test_a_name_that_is_none(trained, tmp_path, name):
    if name:
        assert cli.main(["export", str(trained.folder), "--to",
                         str(tmp_path / "hf"), "--push", name]) == 2
        assert not (tmp_path / "hf").exists()
    with pytest.raises(ValueError, match="write OWNER/NAME"):
        push(tmp_path, name)


@pytest.mark.parametrize("option", ["--private", "--dry-run"])
def test_options_of_push_alone(trained, tmp_path, capsys, option):
    assert cli.main(["export", str(trained.folder), "--to",
                     str(tmp_path / "hf"), option]) == 2
    assert "go with --push" in capsys.readouterr().err
    assert not (tmp_path / "hf").exists()


def test_a_folder_that_lacks_a_file(trained, tmp_path):
    export_run(trained, tmp_path / "hf")
    (tmp_path / "hf" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="no config.json"):
        push(tmp_path / "hf", "me/cats", dry_run=True)


def test_the_card_says_what_the_run_recorded(trained):
    card = model_card(trained)
    final, files = trained.log[-1], trained.record["files"]
    loss = final["val_loss"]
    for fact in (f"{sum(p.numel() for p in trained.model().parameters()):,}",
                 f"{files['train']['bytes']:,} bytes",
                 f"{files['train']['tokens']:,} tokens",
                 f"{files['val']['tokens']:,} tokens",
                 f"{files['train']['documents']:,} documents |",
                 "The architecture is GPT-2's, with 1", "| recipe | `gpt2` of",
                 "together may have 16 tokens",
                 f"| {trained.preset.tokens:,}, or",
                 f"| {loss:.4f} nats", f"| {math.exp(loss):.2f} |",
                 f"| {final['val_bits_per_byte']:.4f} |",
                 f"| hardware | {trained.timing[-1]['device']} |",
                 "not a rented GPU", "text` |", "None is stated"):
        assert fact in " ".join(card.split()), fact
    assert str(trained.folder.parent) not in card
    for absent in ("model.gguf", "sentence", "padding"):
        assert absent not in card


def fields(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_fields_in_front(trained):
    assert fields(model_card(trained)) == dict(
        library_name="transformers", pipeline_tag="text-generation",
        tags=["gpt2"])
    assert fields(model_card(trained, "cc0-1.0"))["license"] == "cc0-1.0"
    for name, dataset in (("bookcorpus", "bookcorpus/bookcorpus"),
                          ("hub:a/b@main#body", "a/b"),
                          ("stream:a/b", "a/b")):
        corpus = trained.record["corpus"] | dict(name=name)
        run = type(trained)(trained.folder, trained.record | dict(
            corpus=corpus))
        assert fields(model_card(run))["datasets"] == [dataset]


@pytest.mark.parametrize("licence", ["MIT", "my own", "mit\nx: y", "-"])
def test_a_licence_that_is_none(trained, tmp_path, licence):
    with pytest.raises(ValueError, match="no licence that the Hub knows"):
        export_run(trained, tmp_path / "hf", licence)
    assert not (tmp_path / "hf").exists()


def test_hours_and_dollars_of_two_machines():
    """Two hours at US$1 an hour, then one on two GPUs at US$6 together. What
    was paid for is `elapsed`: compiling, evaluating and saving too."""
    rows = hardware([
        dict(seconds=3000, elapsed=3600, dollars=1.0, device="A",
             processes=1),
        dict(seconds=6000, elapsed=7200, dollars=2.0, device="A",
             processes=1),
        dict(seconds=9000, elapsed=10800, dollars=18.0, device="B",
             processes=2)])
    assert "| A: 2 hours, 2 x B: 1 hours |" in rows
    assert "| hours | 3 |" in rows and "| US$8.00 |" in rows
    assert "| not recorded |" in hardware([dict(seconds=1, dollars=0.0)])
    assert "| not recorded |" in hardware([])
    assert "| hours | 1,234 |" in hardware([
        dict(seconds=1, elapsed=1234 * 3600, dollars=0.0, device="A")])


def test_hours_of_old_lines():
    """A run's lines had no `elapsed` once, and one may have gone on since:
    its clock then began again."""
    old = [dict(seconds=3600, dollars=1.0, device="A"),
           dict(seconds=7200, dollars=2.0, device="A")]
    new = dict(seconds=7300, elapsed=3600, dollars=2.0, device="A")
    assert "| hours | 2 |" in hardware(old)
    assert "| US$2.00 |" in hardware(old)
    assert "| hours | 3 |" in hardware([*old, new])
    assert "| US$4.00 |" in hardware([*old, new])


@pytest.mark.parametrize("name, shown", [
    ("/home/ann/books", "files in `books`"),
    ("/a/x, /b/x, /b/y", "files in `x`, `y`"),
    ("bookcorpus", "`bookcorpus` of the Hugging Face Hub")])
def test_a_card_keeps_folders_to_itself(name, shown):
    assert corpus_name(name) == shown
    assert re.match("36,000 short stories", corpus_name("stories:36000"))


def test_before_the_end(prepared, tmp_path, quick):
    run = open_run(shutil.copytree(prepared, tmp_path / "run"))
    run.train(stop_at=3, progress=False)
    with pytest.raises(ValueError, match="has not finished training"):
        export_run(run, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
