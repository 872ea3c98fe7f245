from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from toy_tables import write_table

from oddjet.analysis.config import (
    DecorrelationConfig,
    DetectorConfig,
    HuntConfig,
    TrainingConfig,
    make_config,
)
from oddjet.analysis.pipeline import train as training
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.pipeline.steps import train_detectors
from oddjet.analysis.pipeline.train import (
    KEY_FILE,
    TrainingPlan,
    decorrelation_key,
    train_detector,
    training_key,
)
from oddjet.datasets.disk.digest import source_digest
from oddjet.datasets.folds import fold_of, held_out
from oddjet.datasets.jets import Truth, make_jets
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, DetectorError, TooFewJetsError, UnknownDetectorError
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.networks.resume import Resume, TrainingState
from oddjet.processors.engine.progress import SilentReporter

pytestmark = pytest.mark.usefixtures("few_replicas")

PLAN = TrainingPlan()
OBSERVABLES = DetectorConfig(name="observables")


def write_skim(folder: Path, kinds: dict[str, str], n: int = 900) -> Skim:
    """A skim of toy jets: background of one prong, signal of two."""
    jets = {}
    for number, (name, kind) in enumerate(kinds.items()):
        rng = np.random.default_rng(number)
        is_signal = kind == "signal"
        side = np.where(is_signal & (rng.random((n, 12)) < 0.5), 0.35, 0.0)
        width = rng.uniform(0.03, 0.2, (n, 1))
        constituents = ak.zip(
            {
                "pt": rng.exponential(20, (n, 12)) + 1,
                "eta": width * rng.normal(size=(n, 12)) + side,
                "phi": width * rng.normal(size=(n, 12)),
            }
        )
        jets[name] = make_jets(
            ak.from_regular(constituents),
            msoftdrop=rng.uniform(5, 200, n),
            **{f"tau{i}": rng.uniform(0.1, 0.5, n) / i for i in range(1, 5)},
            run=np.ones(n, int),
            luminosityBlock=np.ones(n, int),
            event=np.arange(n) + 10_000 * number,
            weight=np.ones(n),
            label=np.full(n, Truth.MERGED if is_signal else Truth.BACKGROUND),
            dataset=name,
        )
    return write_table(folder, jets, kinds)


def test_the_key_holds_all_that_matters(tmp_path: Path) -> None:
    skim = write_skim(tmp_path / "a", {"q": "background", "w": "signal"}, n=5)
    other = write_skim(tmp_path / "b", {"w": "signal", "q": "background"}, n=5)
    key = training_key(skim, OBSERVABLES, PLAN)
    assert key == training_key(skim, OBSERVABLES, PLAN)
    khanal = DetectorConfig(name="khanal", hyper_parameters={"epochs": 2})
    keys = {
        key,
        training_key(skim, OBSERVABLES, TrainingPlan(folds=4)),
        training_key(skim, OBSERVABLES, TrainingPlan(seed=2)),
        training_key(skim, khanal, PLAN),
        training_key(other, OBSERVABLES, PLAN),
    }
    assert len(keys) == 5


def test_the_key_holds_the_code_of_a_detector_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=5)
    monkeypatch.syspath_prepend(tmp_path)
    code = "from oddjet.ml.detectors.observables import ObservableDetector\n\nclass Theirs(ObservableDetector):\n    pass\n"
    keys = set()
    for more in ("", "# changed\n"):
        (tmp_path / "their_observables.py").write_text(code + more)
        source_digest.cache_clear()
        keys.add(training_key(skim, DetectorConfig(name="their_observables:Theirs"), PLAN))
    assert len(keys) == 2


def test_a_training_that_still_holds_is_used_again(tmp_path: Path) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background", "w": "signal"})
    output = tmp_path / "models" / "observables"
    first = train_detector(skim, OBSERVABLES, output)
    files = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    again = train_detector(skim, OBSERVABLES, output)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == files
    jets = skim.jets("w")
    for name, values in first.scores(jets).items():
        np.testing.assert_array_equal(values, again.scores(jets)[name])
    train_detector(skim, OBSERVABLES, output, TrainingPlan(seed=2))
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} != files
    assert output.with_name(f"observables.{KEY_FILE}").exists()


def test_a_supervised_detector_gets_signal_and_is_calibrated_without(tmp_path: Path) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background", "w": "signal"})
    settings = DetectorConfig(name="bdt", hyper_parameters={"iterations": 20})
    trained = train_detector(skim, settings, tmp_path / "bdt")
    background = trained.scores(skim.jets("q"))["log_odds_calibrated"]
    signal = trained.scores(skim.jets("w"))["log_odds_calibrated"]
    assert np.mean(background >= 1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(signal >= 1) > 0.3
    with pytest.raises(ConfigError, match="supervised"):
        train_detector(write_skim(tmp_path / "q", {"q": "background"}), settings, tmp_path / "x")


def test_another_decorrelation_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background", "w": "signal"}, n=1500)
    output = tmp_path / "models" / "observables"
    plain = train_detector(skim, OBSERVABLES, output)
    monkeypatch.setattr(FoldedDetector, "fit", None)  # from here on a training would fail
    jets = skim.jets("w")
    ddt = DecorrelationConfig(methods={"ddt": {}})
    both = DecorrelationConfig(methods=["ddt", "quantile_map"])
    for wanted in (ddt, both, None):
        trained = train_detector(skim, OBSERVABLES, output, TrainingPlan(decorrelation=wanted))
        assert trained.methods == tuple(wanted.methods if wanted else ())
        scores = trained.scores(jets)
        for name, values in plain.scores(jets).items():
            np.testing.assert_array_equal(scores[name], values)
    assert trained.fingerprint == plain.fingerprint
    train_detector(skim, OBSERVABLES, output, TrainingPlan(decorrelation=both))
    files = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert train_detector(skim, OBSERVABLES, output, TrainingPlan(decorrelation=both)).methods == (
        "ddt",
        "quantile_map",
    )
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == files


def test_thresholds_learned_on_data_do_not_see_its_window_and_train_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background", "d": "data"})
    output = tmp_path / "models" / "observables"
    plain = train_detector(skim, OBSERVABLES, output)
    assert plain.learned_on == ("q",)
    monkeypatch.setattr(FoldedDetector, "fit", None)  # from here on a training would fail
    hunt = HuntConfig(range=(40, 200), window=(80, 120))
    training = TrainingConfig.model_validate({"thresholds": {"on": "data"}})
    plan = TrainingPlan(training=training, hunt=hunt)
    trained = train_detector(skim, OBSERVABLES, output, plan)
    assert (trained.learned["thresholds"].datasets, trained.learned_on) == (("d",), ("d", "q"))
    jets = skim.jets("d")
    mass, name = np.asarray(jets.msoftdrop), trained.raw_score_names[0]
    beside = (mass < 80) | (mass >= 120)
    for fold in range(3):
        rows = (fold_of(jets, 3) == fold) & ~held_out(jets, 0.5) & beside
        raw = trained.detectors[fold].scores(jets[rows])[name]
        survival = 10 ** -trained.calibrations[fold][name](raw)
        np.testing.assert_allclose(survival, [np.mean(raw >= value) for value in raw])
    assert train_detector(skim, OBSERVABLES, output, plan).fingerprint == trained.fingerprint
    assert train_detector(skim, OBSERVABLES, output).fingerprint == plain.fingerprint
    flexible = TrainingPlan(
        decorrelation=DecorrelationConfig(methods=["ddt"]), training=TrainingConfig(on="data")
    )
    with pytest.raises(ConfigError, match="ddt cannot be continued"):
        train_detector(skim, OBSERVABLES, output, flexible)


def test_an_interrupted_decorrelation_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=1500)
    output = tmp_path / "models" / "observables"
    ddt, flat = (DecorrelationConfig(methods=[name]) for name in ("ddt", "quantile_map"))
    train_detector(skim, OBSERVABLES, output, TrainingPlan(decorrelation=ddt))
    write, calls = training._write_keys, []

    def interrupted(*keys: object) -> None:
        calls.append(keys)
        if len(calls) == 2:  # the new one is saved, its key is not
            raise Interrupted
        write(*keys)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_write_keys", interrupted)
    with pytest.raises(Interrupted):
        train_detector(skim, OBSERVABLES, output, TrainingPlan(decorrelation=flat))
    monkeypatch.undo()
    assert FoldedDetector.load(output).methods == ("quantile_map",)
    assert train_detector(skim, OBSERVABLES, output, TrainingPlan(decorrelation=ddt)).methods == (
        "ddt",
    )


def test_the_keys_of_trainings_and_decorrelations_are_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=5)
    hashed: list[str] = []

    def digest(*modules: str) -> str:
        hashed.extend(modules)
        return ""

    monkeypatch.setattr(training, "source_digest", digest)
    training_key(skim, OBSERVABLES, PLAN)
    assert {"oddjet.ml.detectors", "oddjet.ml.folds", "oddjet.ml.networks"} <= set(hashed)
    assert not [module for module in hashed if "decorrelation" in module or module == "oddjet.ml"]
    ddt = DecorrelationConfig(methods={"ddt": {}})
    shift = DecorrelationConfig(methods={"ddt": {"scale": False}})
    keys = {
        decorrelation_key("t", TrainingPlan(decorrelation=ddt)),
        decorrelation_key("t", TrainingPlan(decorrelation=ddt, hunt=HuntConfig(mass="mass"))),
        decorrelation_key("u", TrainingPlan(decorrelation=ddt)),
        decorrelation_key("t", TrainingPlan(decorrelation=shift)),
        decorrelation_key("t", TrainingPlan(decorrelation=ddt), ["other jets"]),
        decorrelation_key("t", TrainingPlan()),
    }
    assert len(keys) == 6
    assert "oddjet.ml.decorrelation" in hashed


class Interrupted(Exception):
    """Stands for Ctrl-C, a lost node, a full disk."""


class Listener(SilentReporter):
    """Notes how far the training is [% of a fold], and may interrupt it there."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.heard: list[int] = []
        self.stop_at = stop_at

    @contextmanager
    def track(self, *_: object) -> Iterator[Callable[[int], None]]:
        def update(done: int) -> None:
            self.heard.append(done)
            if done == self.stop_at:
                raise Interrupted

        yield update


@pytest.mark.slow
def test_an_interrupted_training_goes_on_in_its_fold_and_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Resume.save

    def at_every_epoch(self: Resume, state: TrainingState, *, last: bool) -> None:
        del last  # instead of every half minute and at the end
        save(self, state, last=True)

    monkeypatch.setattr(Resume, "save", at_every_epoch)
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=450)
    small = {"epochs": 4, "batch_size": 128, "checkpoint_every": 2}
    settings = DetectorConfig(name="autoencoder", hyper_parameters=small)
    whole = train_detector(skim, settings, tmp_path / "whole")
    output, unfinished = tmp_path / "models" / "a", tmp_path / "models" / "a.unfinished"
    first = Listener(stop_at=250)  # the third fold's second epoch
    with pytest.raises(Interrupted):
        train_detector(skim, settings, output, reporter=first)
    assert first.heard == [25, 50, 75, 100, 125, 150, 175, 200, 225, 250]
    assert not output.exists()
    assert len(list(unfinished.glob("*/fold2/*.npz"))) == 1
    second = Listener()
    resumed = train_detector(skim, settings, output, reporter=second)
    assert second.heard == [275, 300, 300]
    assert not unfinished.exists()
    jets = skim.jets("q")
    expected = whole.scores(jets)
    for name, values in resumed.scores(jets).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, err_msg=name)
    for mine, other in zip(resumed.detectors, whole.detectors, strict=True):
        assert mine.history_ == other.history_  # type: ignore[attr-defined]


def test_what_is_left_of_another_training_is_thrown_away(tmp_path: Path) -> None:
    left = tmp_path / "khanal.unfinished" / "of_other_jets_settings_or_code" / "fold0"
    left.mkdir(parents=True)
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=20)
    with pytest.raises(TooFewJetsError):
        train_detector(skim, DetectorConfig(name="khanal"), tmp_path / "khanal")
    assert list((tmp_path / "khanal.unfinished").iterdir()) == []


def test_too_few_jets_and_unknown_detectors_leave_nothing_behind(tmp_path: Path) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=20)
    with pytest.raises(TooFewJetsError):
        train_detector(skim, DetectorConfig(name="khanal"), tmp_path / "models" / "khanal")
    with pytest.raises(UnknownDetectorError, match="kmeans"):
        train_detector(skim, DetectorConfig(name="kmean"), tmp_path / "models" / "kmean")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("kind", ["file", "skim", "loop"])
def test_what_is_in_the_place_is_seen_before_the_training(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = write_skim(tmp_path / "skim", {"q": "background"}, n=5)
    place = tmp_path / kind
    if kind == "file":
        place.touch()
    elif kind == "loop":
        place.symlink_to(place)
    monkeypatch.setattr(FoldedDetector, "fit", lambda *_, **__: pytest.fail("it trains"))
    with pytest.raises(DetectorError, match=r"left alone\. Save somewhere else"):
        train_detector(skim, OBSERVABLES, place)
    (tmp_path / f"new.{KEY_FILE}").mkdir()
    with pytest.raises(IsADirectoryError):
        train_detector(skim, OBSERVABLES, tmp_path / "new")


def test_in_a_run_a_stray_file_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = {"name": "kmeans", "hyper_parameters": {"k": 2, "starts": 1}}
    given = {"name": "a", "output": str(tmp_path), "detectors": [detector]}
    files = {"datasets": {"q": {"kind": "background", "files": ["/none.root"]}}}
    run = Run(make_config(given | {"fileset": files}, where="test"))
    run.__dict__["skim"] = write_skim(tmp_path / "skim", {"q": "background"})
    place = run.models["kmeans"]
    fitted = train_detectors(run, SilentReporter())["kmeans"]
    (place / ".DS_Store").touch()
    with monkeypatch.context() as patch:
        patch.setattr(FoldedDetector, "fit", lambda *_, **__: pytest.fail("it trains"))
        again = train_detectors(run, SilentReporter())["kmeans"]
    assert again.fingerprint == fitted.fingerprint
    (place / "folds.json").unlink()
    assert train_detectors(run, SilentReporter())["kmeans"].k == 3
    assert (place.with_name("kmeans.unusable-1") / ".DS_Store").is_file()
    assert (place.with_name("kmeans.unusable-2") / "fold0").is_dir()
    train_detectors(run, SilentReporter())
    assert len(list(place.parent.glob("*.unusable-*"))) == 2
