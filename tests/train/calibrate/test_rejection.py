import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import mahalanobis
from scipy.special import softmax

from lesionlite.cli import main
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.layout import CONTRACT, SCORES, SETTINGS
from lesionlite.rejection import STATISTICS
from lesionlite.train.calibrate.adjust import adjust
from lesionlite.train.calibrate.config import AdjustConfig
from lesionlite.train.calibrate.rejection import (
    LEAST_PROBABILITY,
    Described,
    fit_rejection,
    numbers,
    rejections,
    squared_distances,
)
from lesionlite.train.calibrate.rejection_report import fit_and_measure
from lesionlite.train.calibrate.strangers import draw_strangers

CLASSES = 3


def described(images: int, seed: int = 0) -> Described:
    """Images of three classes that differ in all their numbers."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, images)
    logits = 3 * np.eye(CLASSES)[truth] + rng.normal(size=(images, CLASSES))
    statistics = truth[:, None] + rng.normal(size=(images, STATISTICS))
    return Described(logits, statistics, truth)


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_the_share_holds_for_images_that_were_not_fitted_to(share: float) -> None:
    found = fit_rejection(described(800), share)
    assert found is not None
    distances = squared_distances(found, described(20_000, seed=1).numbers)
    assert (distances > found.reject_above).mean() == pytest.approx(share, abs=0.4 * share + 0.004)


def test_without_folds_the_share_would_be_exceeded() -> None:
    """With few images, Gaussians fit those they were fitted to far better than others."""
    few = described(60)
    found = fit_rejection(few, 0.1)
    assert found is not None
    own = squared_distances(found, few.numbers)
    new = squared_distances(found, described(5000, seed=1).numbers)
    assert (new > np.quantile(own, 0.9)).mean() > 0.2 > (new > found.reject_above).mean()


def test_it_is_the_distance_to_the_nearest_class() -> None:
    """SciPy's Mahalanobis distance, with the covariance that the whitening stands for."""
    images = described(300)
    found = fit_rejection(images, 0.05)
    assert found is not None
    whitening = np.array(found.whitening)
    precision = whitening.T @ whitening
    rows = images.numbers
    means = [rows[images.truth == index].mean(0) for index in range(CLASSES)]
    expected = [min(mahalanobis(row, mean, precision) for mean in means) ** 2 for row in rows]
    assert squared_distances(found, rows) == pytest.approx(expected, rel=1e-3)


def test_small_probabilities_count_alike() -> None:
    statistics = np.zeros((2, STATISTICS))
    found = numbers(np.array([[1.0, 0.0], [1 - 1e-6, 1e-6]]), statistics)
    assert found[:, 1] == pytest.approx([np.log(LEAST_PROBABILITY)] * 2)


@pytest.mark.parametrize(("images", "share"), [(48, 0.02), (1, 0.5), (9, 0.3), (500, 0.0)])
def test_too_few_images_give_none(images: int, share: float) -> None:
    assert fit_rejection(described(images), share) is None


def test_so_many_images_are_enough() -> None:
    assert fit_rejection(described(49), 0.02) is not None


def test_equal_images_and_absent_classes_can_be_fitted() -> None:
    truth = np.zeros(60, np.int64)
    same = Described(np.zeros((60, CLASSES)), np.ones((60, STATISTICS)), truth)
    found = fit_rejection(same, 0.1)
    assert found is None or np.isfinite(np.array(found.whitening)).all()
    one = described(200)
    kept = one.where(one.truth != 2)
    found = fit_rejection(kept, 0.05)
    assert found is not None and len(found.centres) == CLASSES - 1


def test_a_class_left_out_has_no_probability() -> None:
    images = described(50).without([1])
    probabilities = softmax(images.logits, axis=1)
    assert (probabilities[:, 1] == 0).all() and probabilities.sum(1) == pytest.approx([1] * 50)


def test_the_contract_keeps_it_and_says_what_is_wrong() -> None:
    found = fit_rejection(described(100), 0.05)
    contract = Contract(("a", "b", "c"), side=32, rejection=found)
    text = contract.to_json()
    assert Contract.from_json(text) == contract
    assert len(text.splitlines()) < 90  # a row of a matrix is a line
    document = json.loads(text)
    for wrong, words in (
        ({"least_probability": 1.0}, r"rejection\.least_probability is 1\.0; expected .* below 1"),
        ({"centres": []}, r"rejection\.centres is rows of \[\]; expected rows of 18"),
        ({"centres": [[1.0]]}, r"rejection\.centres is rows of \[1\]"),
        ({"whitening": [[1.0]], "centres": [[1.0]]}, "whitening has 1 rows, it must have 18"),
        ({"reject_above": 0.0}, r"rejection\.reject_above is 0\.0"),
        ({"reject_above": "far"}, "rejection.reject_above is"),
    ):
        spoilt = {**document, "rejection": {**document["rejection"], **wrong}}
        with pytest.raises(LesionliteError, match=words):
            Contract.from_json(json.dumps(spoilt))


def test_a_contract_without_one_does_not_tell() -> None:
    contract = Contract(("a", "b", "c"), side=32)
    assert rejections(contract, np.zeros((2, STATISTICS)), np.full((2, 3), 1 / 3)) is None


def skin(rng: np.random.Generator) -> Any:
    """A smooth spot on a plain ground."""
    y, x = np.mgrid[:64, :64] / 64 - 0.5
    spot = np.exp(-20 * (x**2 + y**2))[..., None] * rng.uniform(50, 120)
    image = np.array([220, 170, 150]) + rng.normal(0, 8, 3) - spot + rng.normal(0, 4, (64, 64, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def measured() -> Any:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, 240)
    pixels = np.stack([skin(rng) for _ in truth])
    logits = 3 * np.eye(CLASSES)[truth] + rng.normal(size=(240, CLASSES))
    contract = Contract(("a", "b", "c"), side=64)

    def answer(images: Any) -> Any:
        return np.zeros((len(images), CLASSES))

    domains = {"first": ["a", "b"], "second": ["c", "unknown"]}
    return fit_and_measure(pixels, logits, truth, contract, answer, 0.05, domains)


def test_strangers_are_told_and_the_kind_is_not_lost(measured: Any) -> None:
    _, report = measured
    assert set(report.others) == {"drawn scenes", "textures", "spoiled images"}
    assert all(found.auroc > 0.95 and found.rejected > 0.8 for found in report.others.values())
    assert report.false_rejections <= 0.06 and set(report.by_class) == {"a", "b", "c"}
    assert set(report.left_out) == {"a", "b", "c", "first", "second"}
    assert "100% of drawn scenes" in report.sentence()
    json.dumps(report.document())


def test_strangers_are_drawn_alike_and_are_all_different() -> None:
    rng = np.random.default_rng(0)
    pixels, contract = np.stack([skin(rng) for _ in range(4)]), Contract(("a", "b"), side=64)
    first, second = (draw_strangers(pixels, contract, 60) for _ in range(2))
    for name, images in first.items():
        assert (images == second[name]).all() and images.shape == (60, 64, 64, 3)
        fewest = 60 if name != "spoiled images" else 20  # negatives of one image are alike
        assert len({image.tobytes() for image in images}) >= fewest, name


def test_folds_leave_an_image_out_of_its_own_measure() -> None:
    """An image far from all others is near to itself, but not to what was fitted without it."""
    images = described(200)
    statistics = images.statistics.copy()
    statistics[0] = 500
    far = Described(images.logits, statistics, images.truth)
    assert far.out_of_fold[0] > 100 * np.median(far.out_of_fold)


def scene(contract: Contract) -> Any:
    """A drawn scene of the contract's size."""
    blank = np.zeros((1, contract.side, contract.side, 3), np.uint8)
    return draw_strangers(blank, contract, 1)["drawn scenes"][0]


def test_every_file_rejects_what_the_run_rejects(run: Path, artifacts: Path, images: Any) -> None:
    contract = Contract.read(run / CONTRACT)
    assert contract.rejection is not None
    several = np.stack([*images[:9], scene(contract)])
    expected = load(run).answer(several).rejected
    assert expected is not None and expected[-1] and not expected.all()
    names = [f"mobilevitv2_050-{one}" for one in ("fp32.onnx", "w8a8.tflite", "fp32.ptl")]
    for name in names:
        found = load(artifacts / name).answer(several)
        assert (found.rejected == expected).all(), name


def test_predict_and_evaluate_say_it(
    run: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scene.png"
    Image.fromarray(scene(Contract.read(run / CONTRACT))).save(file)
    known = next((drawn / "val").rglob("*.png"))
    assert main(["predict", str(run), str(file)]) == 0
    assert "scene.png: not this kind of image: " in capsys.readouterr().out
    assert main(["predict", str(run), str(file), str(known), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["images"]
    assert [row["rejected"] for row in rows] == [True, False]
    scores = json.loads((run / SCORES).read_text())
    assert 0 <= scores["rejected"] < 0.5
    assert all(row["rejected"] is not None for row in scores["classes"] if row["support"])
    report = json.loads((run / SETTINGS).read_text())["rejection"]
    assert report["others"]["drawn scenes"]["rejected"] > 0.9


def test_no_images_have_no_answers(run: Path) -> None:
    found = load(run).answer([])
    assert found.probabilities.shape == (0, 14) and found.rejected is not None


def test_adjust_fits_it_anew_or_drops_it(run: Path, drawn: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(run, tmp_path / "run"))
    before = Contract.read(own / CONTRACT).rejection
    adjust(own, drawn, AdjustConfig(tau=1, target_prior="uniform", false_rejections=0.1))
    moved = Contract.read(own / CONTRACT).rejection
    assert before is not None and moved is not None
    assert moved.reject_above != pytest.approx(before.reject_above, rel=1e-3)
    adjust(own, drawn, AdjustConfig(tau=0, false_rejections=0.1))
    back = Contract.read(own / CONTRACT).rejection  # another number of threads rounds otherwise
    assert back is not None and back.reject_above == pytest.approx(before.reject_above, rel=1e-3)
    adjust(own, drawn, AdjustConfig(tau=0))  # 28 images cannot show 2 %
    assert Contract.read(own / CONTRACT).rejection is None
    assert json.loads((own / SETTINGS).read_text())["rejection"] is None
    assert json.loads((own / SCORES).read_text())["rejected"] is None
