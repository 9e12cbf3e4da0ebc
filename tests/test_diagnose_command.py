"""`ortholab diagnose`: the user's network is built and reported, errors are one line, only strict calls fail."""

import json

import pytest
from typer.testing import CliRunner

from ortholab.cli import app

NET = """
import torch
from torch import nn

def build():
    return nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))

def sick():
    model = build()
    nn.init.constant_(model[0].bias, -9.0)
    return model, torch.randn(5, 6)

def breaks():
    raise KeyError("no weights here")

def number():
    return 3
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    (tmp_path / "my_small_net.py").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["diagnose", *words])


def test_a_report_in_words_as_json_and_as_a_figure(ask, tmp_path):
    done = ask("my_small_net:build", "--shape", "6", "--batch", "3", "--figure", "out.svg")
    assert done.exit_code == 0
    assert done.stdout.startswith("Sequential: SOUND")
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")
    found = json.loads(ask("my_small_net:build", "--shape", "6", "--json").stdout)
    assert found["verdict"] == "sound"
    assert found["jacobian"]["shape"] == [2, 6]
    assert found == json.loads(ask("my_small_net:build", "--shape", "6", "--json").stdout) | {
        "seconds": found["seconds"]
    }


def test_only_a_strict_call_fails_for_an_unsound_network(ask):
    assert ask("my_small_net:sick").exit_code == 0
    assert ask("my_small_net:sick", "--strict").exit_code == 2
    assert ask("my_small_net:build", "--shape", "6", "--strict").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("my_small_net",), "MODULE:FACTORY"),
        (("nowhere_at_all:build",), "can't be imported"),
        (("my_small_net:nothing",), "must have nothing"),
        (("my_small_net:build",), "--shape must be given"),
        (("my_small_net:build", "--shape", "3,x"), "--shape"),
        (("my_small_net:build", "--shape", "7"), "must run on batch"),
        (("my_small_net:breaks",), "KeyError"),
        (("my_small_net:number",), "factory"),
        (("my_small_net:build", "--shape", "6", "--figure", "no/where.svg"), "can't be written"),
    ],
)
def test_mistakes_are_one_line(ask, words, message):
    done = ask(*words)
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
