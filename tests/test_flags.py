"""Command lines that are wrong: one sentence each, exit code 2; and what --help says."""

import importlib
import re

import pytest

import lesionlite
from lesionlite import cli
from lesionlite.benchmark.elsewhere import browser
from lesionlite.benchmark.peers import mil_others
from lesionlite.benchmark.peers import run as peers
from lesionlite.flags import read_flags
from lesionlite.train.trials import survival


def told(capsys: pytest.CaptureFixture[str], line: str) -> str:
    """The one sentence on stderr of a command that must fail."""
    assert cli.main(line.split(" ") if line else []) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1, captured
    return captured.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train x --out y --epoch 5", "there is no flag --epoch (did you mean --epochs?)"),
        ("train x --out y --epochs abc", "--epochs is 'abc'; it must be a whole number"),
        ("train x --out y --epochs 1.5", "--epochs is '1.5'; it must be a whole number"),
        ("train x --out y --epochs", "--epochs needs a value"),
        ("train x --out y --lr inf", "--lr is Infinity; it must be a finite number"),
        ("train x --out y --lr=-inf", "--lr is -Infinity; it must be a finite number"),
        ("train x --out y --seed -1", "--seed is -1; it must be from 0"),
        ("train x --out y --json=3", "--json takes no value"),
        ("train x --out y --recipe demo --recipe demon", "did you mean 'demo'"),
        ("train x --out y --resize squish", "--resize is 'squish' (did you mean 'squash'?)"),
        ("train x y --out z", "'y' is one argument too many"),
        ("train x", "--out must be given"),
        ("train", "data (PATH) and --out must be given"),
        ("train x --out ", "--out is ''; it must be a path"),
        ("train  --out x", "data (PATH) is ''; it must be a path"),
        ("build --run=", "--run is ''; it must be a path"),
        ("build --images 0", "--images is 0; it must be from 1 to 1000000"),
        ("diff a", "b (PATH) must be given"),
        ("diff a b c --threshold nan", "--threshold is NaN; it must be a finite number"),
        ("evaluate a b --threads 0", "--threads is 0; it must be from 1 to 1024"),
        ("evaluate a b --threads 2000", "--threads is 2000; it must be from 1 to 1024"),
        ("predict a b --top 0", "--top is 0; it must be 1 or more"),
        ("serve a --port 65536", "--port is 65536; it must be from 0 to 65535"),
        ("benchmark a --run r --data d --sweep 1 x", "--sweep is '1 x'"),
        ("benchmark a --run r --data d --gate no", "choose from: point, interval"),
        ("benchmark a --run r --data d --max_f1_loss abc", "--max-f1-loss is 'abc'"),
        ("benchmark a --run r --data d --max-f1-loss nan", "--max-f1-loss is NaN"),
        ("", "a command is missing"),
        ("--json", "a command is missing before --json; choose from: build, prepare"),
        ("trian", "did you mean 'train'?"),
        ("help trian", "did you mean 'train'?"),
    ],
)
def test_a_wrong_line_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    assert words in told(capsys, line)


@pytest.mark.parametrize(
    ("module", "kind", "line", "words"),
    [
        (survival, survival.Survival, "--kils 3", "did you mean --kills?"),
        (survival, survival.Survival, "x --kills -1", "--kills is -1"),
        (browser, browser.Browser, "a b --run c --data d --seconds nan", "--seconds is NaN"),
        (mil_others, mil_others.Networks, "--side 5000", "--side is 5000"),
        (peers, None, "a --run b --threads 0", "--threads is 0"),
    ],
)
def test_other_programs_tell_so_too(module: object, kind: type, line: str, words: str) -> None:
    kind = kind or importlib.import_module("lesionlite.benchmark.commands").Peers
    with pytest.raises(lesionlite.LesionliteError, match=re.escape(words)):
        read_flags(kind, line.split(), "python -m x")


@pytest.mark.parametrize("line", ["--help", "-h", "help", "--json -h", "verify --json -h"])
def test_help_is_given_wherever_it_is_asked(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert cli.main(line.split()) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: lesionlite") and captured.err == ""


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"lesionlite \S+\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["build", "train"])
def test_help_reads_right(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert cli.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    for clutter in ("None", "default: )", "default: True", "default: False", "''", "message and"):
        assert clutter not in text
    assert "(default: 0.003)" in text
    if name == "build":
        assert "--run PATH" in text and "--max-f1-loss FLOAT" in text and "[PATH]" in text


def test_a_flag_takes_the_word_none_as_before() -> None:
    kind = importlib.import_module("lesionlite.benchmark.config").BenchmarkConfig
    assert read_flags(kind, ["--max-f1-loss", "None"], "x").max_f1_loss is None
    assert read_flags(kind, ["--max-f1-loss", "0.5"], "x").max_f1_loss == 0.5
