"""What the README tells a newcomer to type works, in that order."""

import re
from pathlib import Path

import pytest
from PIL import Image

from lesionlite import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_command_exists_and_is_shown() -> None:
    shown = set(re.findall(r"lesionlite (\w+)", README)) - {"COMMAND"}
    assert shown == set(cli.COMMANDS)


def test_make_has_the_two_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M)


def raw_collection(folder: Path) -> Path:
    """Photographs named as MSLD v2.0 names them: two classes, ten patients each."""
    folder.mkdir()
    for code, colour in (("MKP", (200, 60, 60)), ("HEALTHY", (220, 180, 150))):
        for patient in range(10):
            for index in range(2):
                shade = tuple(c - 3 * patient - index for c in colour)
                image = Image.new("RGB", (48, 40), shade)
                image.save(folder / f"{code}_{patient:02}_{index:02}.jpg")
    return folder


@pytest.mark.slow
def test_the_commands_in_the_readmes_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = raw_collection(tmp_path / "raw")
    data, run, files = (str(tmp_path / name) for name in ("data", "run", "files"))

    def command(*arguments: str) -> str:
        assert cli.main(arguments) in (0, 1)
        return capsys.readouterr().out

    assert "Cowpox" in command("prepare", "--msld", str(raw), "--out", data)
    tiny = ["--weights", "none", "--model", "mobilevitv2_050", "--side", "32", "--batch", "8"]
    assert "weighted F1" in command("train", data, "--out", run, "--epochs", "1", *tiny)
    kept = str(Path(run) / "model.safetensors")
    again = ["--weights", kept, "--model", "mobilevitv2_050", "--side", "32", "--epochs", "0"]
    assert "next: lesionlite build" in command("train", data, "--out", run + "2", *again)
    only = ["--formats", "onnx", "--calibration", "10", "--tuning-steps", "2"]
    assert "w8a8.onnx" in command("export", run, "--data", data, "--out", files, *only)
    quick = ["--queries", "4", "--seconds", "0.05", "--out", str(tmp_path / "elsewhere")]
    said = command("benchmark", files, "--run", run, "--data", data, *quick)
    model = str(Path(files) / "mobilevitv2_050-fp32.onnx")
    assert "fp16" in said and f"predict {model} IMAGE" in said
    assert "Monkeypox" in command("evaluate", model, data)
    image = str(next((Path(data) / "test").rglob("*.jpg")))
    assert "They agree to the end" in command("diff", run, model, image)
    image = str(next(raw.iterdir()))
    assert "Not a medical device" in command("predict", model, image)


def test_the_python_lines(
    artifacts: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    place = tmp_path / "dist" / "demo"
    place.mkdir(parents=True)
    (place / "artifacts").symlink_to(artifacts)
    (tmp_path / "image.png").symlink_to(next((drawn / "test").rglob("*.png")))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
