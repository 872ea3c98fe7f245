from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import assert_whole
from matplotlib.figure import Figure
from toy_tables import module_on_path

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.studies.latent_scan import (
    LatentScan,
    draw_latent_scan,
    elbow,
    scan_latent_sizes,
)
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.representations.jet_image import JetImage

THEIRS = '''
from pathlib import Path

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage

FITS = []


class Counted(Detector):
    """Writes down how it is trained; its loss is 1 / latent and a bit of the seed."""

    score_names = ("none",)
    min_jets = 10

    def __init__(self, *, latent=1, scale=1.0, stop_in=0, representation=None):
        self.latent, self.scale, self.stop_in = latent, scale, stop_in
        self.representation = representation or JetImage(pixels=4)

    def _fit(self, jets, *, validation, seed, progress):
        resume = self._resuming()
        FITS.append((self.latent, seed, len(jets), len(validation), resume and resume.path))
        if resume is not None:
            resume.path.parent.mkdir(parents=True, exist_ok=True)
            resume.path.write_text("half way")
        best = self.scale / self.latent + 1e-12 * seed
        self.history_ = {"val_loss": [9.0, best, 8.0]}
        self.best_epoch_ = 2
        if progress is not None:
            for epoch in (1, 2, 3):
                progress(epoch, 3, {"val_loss": 9.0})

    def _scores(self, jets):
        return {"none": [0.0] * len(jets)}

    def _save(self, folder: Path):
        (folder / "none.json").write_text("{}")

    def _load(self, folder: Path):
        pass


class Silent(Counted):
    """Keeps no history."""

    def _fit(self, jets, *, validation, seed, progress):
        pass
'''


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("scanned")
    with module_on_path(folder, "their_latent_detector", THEIRS):
        yield "their_latent_detector:Counted"


@pytest.fixture
def fits(counted: str) -> list[tuple[Any, ...]]:
    import their_latent_detector  # type: ignore[import-not-found]  # noqa: PLC0415

    their_latent_detector.FITS.clear()
    return their_latent_detector.FITS  # type: ignore[no-any-return]


def test_elbow_of_two_straight_lines_is_where_they_meet() -> None:
    sizes = list(range(1, 21))
    losses = [10.0 - size if size < 7 else 3.0 - 0.1 * (size - 7) for size in sizes]
    assert elbow(sizes, losses) == 7
    assert elbow([10 * size for size in sizes], [1e-6 * loss for loss in losses]) == 70


def test_elbow_of_a_hyperbola_is_the_geometric_mean_of_its_ends() -> None:
    # 1/x lies farthest below the chord from a to b where its slope is the chord's: x = √(a b).
    sizes = range(2, 33)
    assert elbow(sizes, [1 / size for size in sizes]) == 8


def test_elbow_is_the_point_farthest_from_the_chord() -> None:
    sizes = [2, 4, 6, 8, 12, 16, 24, 32]
    losses = np.array([40.0, 31.0, 26.0, 23.0, 19.5, 19.0, 18.0, 17.8])
    first, last = np.array([sizes[0], losses[0]]), np.array([sizes[-1], losses[-1]])
    along = (last - first) / np.linalg.norm(last - first)
    offsets = np.stack([sizes, losses], axis=1) - first
    distances = np.abs(offsets[:, 0] * along[1] - offsets[:, 1] * along[0])
    assert elbow(sizes, losses) == sizes[int(np.argmax(distances))] == 12


@pytest.mark.parametrize(
    "losses", [[3.0, 2.0, 1.0], [3.0, 2.9, 1.0], [1.0, 1.0, 1.0], [0.3, 0.2, 0.1]]
)
def test_no_elbow_where_the_losses_do_not_flatten_out(losses: list[float]) -> None:
    assert elbow([1, 2, 3], losses) is None
    assert elbow([5], [1.0]) is None


@pytest.mark.parametrize(
    ("sizes", "losses"),
    [([], []), ([2, 1], [1, 1]), ([1, 1], [1, 1]), ([1, 2], [1, np.nan]), ([1], [1, 2])],
)
def test_what_has_no_elbow_is_refused(sizes: list[int], losses: list[float]) -> None:
    with pytest.raises(ConfigError, match="elbow: expected"):
        elbow(sizes, losses)


def test_mean_and_spread() -> None:
    scan = LatentScan((1, 2, 3), ((4.0, 6.0), (1.0, 3.0), (1.0, 1.0)))
    np.testing.assert_allclose(scan.mean, [5, 2, 1])
    np.testing.assert_allclose(scan.spread, [np.sqrt(2), np.sqrt(2), 0])
    assert scan.elbow == 2
    assert LatentScan((1, 2), ((4.0,), (1.0,))).spread.tolist() == [0, 0]


def test_every_training_has_its_own_seed_and_the_same_jets(
    background: Jets, counted: str, fits: list[tuple[Any, ...]]
) -> None:
    heard = []
    scan = scan_latent_sizes(
        background,
        sizes=[4, 1, 2],
        trainings=3,
        detector=DetectorConfig(name=counted),
        seed=1,
        progress=lambda *step: heard.append(step[:4]),
    )
    assert scan.sizes == (1, 2, 4)
    assert [latent for latent, *_ in fits] == [1, 1, 1, 2, 2, 2, 4, 4, 4]
    assert len({seed for _, seed, *_ in fits}) == 9
    assert {tuple(fit[2:]) for fit in fits} == {(1200, 300, None)}
    np.testing.assert_allclose(scan.mean, [1, 0.5, 0.25], rtol=0.05)
    assert heard[:4] == [(0, 9, 1, 3), (0, 9, 2, 3), (0, 9, 3, 3), (1, 9, 1, 3)]
    assert len(heard) == 27
    again = scan_latent_sizes(
        background, sizes=[2], trainings=1, detector=DetectorConfig(name=counted), seed=1
    )
    assert again.losses == (scan.losses[1][:1],)
    other = scan_latent_sizes(
        background, sizes=[2], trainings=1, detector=DetectorConfig(name=counted), seed=2
    )
    assert other.losses != again.losses


def test_what_was_trained_is_not_trained_again(
    background: Jets,
    other_background: Jets,
    counted: str,
    fits: list[tuple[Any, ...]],
    tmp_path: Path,
) -> None:
    def scan(jets: Jets, sizes: list[int], **settings: float) -> LatentScan:
        fits.clear()
        return scan_latent_sizes(
            jets,
            sizes=sizes,
            trainings=2,
            detector=DetectorConfig(name=counted, hyper_parameters=settings),
            validation=other_background,
            seed=1,
            folder=tmp_path,
        )

    first = scan(background, [1, 2])
    assert len(fits) == 4
    kept = sorted(tmp_path.iterdir())
    assert [path.suffix for path in kept] == [".json"] * 4  # and no state of trainings
    assert {json.loads(path.read_text())["loss"] for path in kept} == set(sum(first.losses, ()))
    more = scan(background, [1, 2, 4])
    assert [latent for latent, *_ in fits] == [4, 4]
    assert more.losses[:2] == first.losses
    kept[0].write_text("{")
    assert scan(background, [1, 2, 4]) == more
    assert len(fits) == 1
    scan(background, [1], scale=2.0)
    assert len(fits) == 2
    scan(background[1:], [1])
    assert len(fits) == 2


def test_an_interrupted_training_keeps_its_state(
    background: Jets, counted: str, fits: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    def stop(training: int, n_trainings: int, epoch: int, *_: Any) -> None:
        if (training, epoch) == (1, 2):
            raise KeyboardInterrupt

    def scan(**more: Any) -> LatentScan:
        return scan_latent_sizes(
            background,
            sizes=[1, 2],
            trainings=1,
            detector=DetectorConfig(name=counted),
            seed=1,
            folder=tmp_path,
            **more,
        )

    with pytest.raises(KeyboardInterrupt):
        scan(progress=stop)
    state = fits[-1][-1]
    assert state.read_text() == "half way"
    scan()
    assert [latent for latent, *_ in fits] == [1, 2, 2]
    assert fits[-1][-1] == state
    assert not state.parent.exists()


@pytest.mark.long
def test_ene_s_autoencoder_gains_from_a_larger_code(background: Jets, tmp_path: Path) -> None:
    settings = {
        "filters": 4,
        "epochs": 6,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "epsilon": 1e-10,
        "representation": JetImage(pixels=8),
    }
    jets = background[:1000]
    scan = scan_latent_sizes(
        jets,
        sizes=[1, 6],
        trainings=1,
        detector=DetectorConfig(name="ene", hyper_parameters=settings),
        seed=1,
        folder=tmp_path,
    )
    assert scan.mean[0] > scan.mean[1]
    numbers = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    for training in numbers:
        assert training["loss"] == min(training["history"]["val_loss"])
    assert {training["hyper_parameters"]["latent"] for training in numbers} == {1, 6}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"sizes": []}, ConfigError, "each once"),
        ({"sizes": [2, 2]}, ConfigError, "each once"),
        ({"trainings": 0}, ConfigError, "trainings must be at least 1"),
        ({"hyper_parameters": {"latent": 3}}, ConfigError, "give it as sizes"),
        ({"name": "kmeans"}, DetectorError, "unknown hyper-parameter of KMeansDetector 'latent'"),
        ({"name": "their_latent_detector:Silent"}, DetectorError, "keeps no 'val_loss'"),
    ],
)
def test_what_cannot_be_scanned_is_refused(
    wrong: dict[str, Any], error: type[Exception], message: str, background: Jets, counted: str
) -> None:
    settings = {"sizes": [2], "name": counted, "seed": 1, "hyper_parameters": {}} | wrong
    config = {key: settings.pop(key) for key in ("name", "hyper_parameters")}
    with pytest.raises(error, match=message):
        scan_latent_sizes(background, detector=DetectorConfig(**config), **settings)


SIZES = [2, 4, 6, 8, 10, 12, 16, 20, 32]
MEANS = 1.6e-5 + 3e-5 * np.exp(-(np.array(SIZES) - 2) / 4)
LOSSES = MEANS[:, np.newaxis] * np.random.default_rng(1).normal(1, 0.02, (9, 5))

FIGURES: dict[str, Callable[[], Figure]] = {
    "scan": lambda: draw_latent_scan(
        SIZES, LOSSES.tolist(), label=PlotLabel("simulation", "13 TeV")
    ),
    "no elbow": lambda: draw_latent_scan([1, 2, 3], [[3.0, 3.1], [2.0, 2.1], [1.0, 1.1]]),
    "one training": lambda: draw_latent_scan(SIZES, [[loss] for loss in MEANS], loss_name="MSE"),
    "one size": lambda: draw_latent_scan([12], [[1e-5, 2e-5]]),
    "no loss left": lambda: draw_latent_scan([1, 2], [[0.0], [0.0]]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_picture_renders_with_ink_and_margins(name: str) -> None:
    assert_whole(FIGURES[name]())


def test_band_is_the_spread_around_the_mean_and_the_elbow_is_marked() -> None:
    losses = [[4.0, 6.0], [1.0, 3.0], [1.0, 1.0]]
    axes = draw_latent_scan([1, 2, 3], losses).axes[0]
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["mean of 2"], [[1, 5], [2, 2], [3, 1]])
    np.testing.assert_allclose(lines["elbow: 2"], [[2, 2]])
    np.testing.assert_allclose(lines["chord"], [[1, 5], [3, 1]])
    band = axes.collections[0].get_paths()[0].vertices
    at_one = np.unique(np.asarray(band)[np.isclose(np.asarray(band)[:, 0], 1), 1])
    np.testing.assert_allclose(at_one, [5 - np.sqrt(2), 5 + np.sqrt(2)])


def test_small_losses_are_drawn_in_powers_of_ten() -> None:
    axes = draw_latent_scan(SIZES, LOSSES.tolist()).axes[0]
    assert "10^{-5}" in axes.get_ylabel()
    assert 1 < max(axes.lines[1].get_ydata()) < 10  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="finite"):
        draw_latent_scan([1, 2, 3], [[1.0], [np.nan], [1.0]])
