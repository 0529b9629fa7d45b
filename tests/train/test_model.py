import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT, SETTINGS, WEIGHTS
from lesionlite.train.model import load_run, start_weights
from lesionlite.train.networks import build_network
from lesionlite.train.states import read_state


def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_the_network_has_the_papers_size() -> None:
    network = build_network("mobilevitv2_100", 14)
    assert sum(p.numel() for p in network.parameters()) == 4_396_023


def test_an_unknown_model_lists_the_right_ones() -> None:
    with pytest.raises(LesionliteError, match="did you mean .*mobilevitv2_100.*list_models"):
        build_network("mobilevitv2_10", 14)


def test_a_run_loads_in_evaluation_mode(run: Path) -> None:
    network, contract = load_run(run)
    assert not network.training and len(contract.labels) == 14 and contract.side == 64


def test_contract_and_checkpoint_must_match(run: Path, tmp_path: Path) -> None:
    folder = copy(run, tmp_path)
    document = json.loads((folder / CONTRACT).read_text())
    document["labels"], document["prior"] = document["labels"][:5], []
    document["rejection"] = None
    (folder / CONTRACT).write_text(json.dumps(document))
    with pytest.raises(LesionliteError, match="5 labels, .* has 14 outputs"):
        load_run(folder)


def test_weights_of_another_network_are_refused(run: Path, tmp_path: Path) -> None:
    folder = copy(run, tmp_path)
    settings = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps({**settings, "model": "mobilevitv2_075"}))
    with pytest.raises(LesionliteError, match="does not fit the network.*--model"):
        load_run(folder)


def test_damaged_weights_are_refused(run: Path, tmp_path: Path) -> None:
    folder = copy(run, tmp_path)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(LesionliteError, match="damaged"):
        load_run(folder)


def test_a_pickle_with_more_than_tensors_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": {"x": Path("anything")}}, tmp_path / "evil.pt")
    with pytest.raises(LesionliteError, match="more than tensors"):
        read_state(tmp_path / "evil.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_start_a_network_and_a_new_head_is_said(
    run: Path, tmp_path: Path, suffix: str
) -> None:
    state = load_file(run / WEIGHTS)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": state}, file)
    else:
        save_file(state, file)
    other = build_network("mobilevitv2_050", 5)
    assert "new" in start_weights(other, "mobilevitv2_050", str(file), keep_head=False)
    assert torch.equal(other.state_dict()["stem.conv.weight"], state["stem.conv.weight"])
    with pytest.raises(LesionliteError, match="head.fc.weight"):
        start_weights(other, "mobilevitv2_050", str(file), keep_head=True)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="no weights file"):
        start_weights(build_network("mobilevitv2_050", 5), "", str(tmp_path / "x.pt"), False)


def test_offline_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    network = build_network("mobilevitv2_050", 5)

    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(timm, "create_model", refuse)
    said = (
        "bring model.safetensors of huggingface.co/timm/mobilevitv2_050.cvnets_in1k .*"
        "--weights FILE.*--weights none"
    )
    with pytest.raises(LesionliteError, match=said):
        start_weights(network, "mobilevitv2_050", "timm", False)
