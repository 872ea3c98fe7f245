"""What detectors that train a network in epochs share: training, batches, checkpoints, saving."""

from __future__ import annotations

import dataclasses
import json
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.documents import read_json
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.detectors.base import Detector
from oddjet.ml.networks.keras_models import (
    BatchedModel,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)
from oddjet.ml.networks.objectives import Objective
from oddjet.ml.networks.training import (
    Progress,
    Training,
    TrainingSettings,
    optimise,
    split_rows,
)

__all__ = ["KerasDetector", "TrainingTask"]

AnyFloats = npt.NDArray[np.floating[Any]]

HISTORY_FILE = "training.json"
SETTINGS = tuple(field.name for field in dataclasses.fields(TrainingSettings))


@dataclasses.dataclass(frozen=True)
class TrainingTask:
    """What a network is trained on, and how.

    Attributes:
        rows: What the network takes of the training jets, shape (n, …).
        validation: The same of the validation jets.
        seed: Of the order of the rows.
        seeds: Further ones, those that building the network has left.
        progress: Called after each epoch.
    """

    rows: AnyFloats
    validation: AnyFloats
    seed: int
    seeds: Iterator[int]
    progress: Progress | None


class KerasDetector(Detector):
    """Base of detectors whose network is trained in epochs.

    A subclass implements `_build`, `_train` and `_scores_by`, and defines by `_represent`, `_learn` and
    `_inputs` what the network takes of jets. Hyper-parameters of the names of `TrainingSettings`'
    fields set the training: `epochs`, the most there are, `batch_size`, `learning_rate` of Adam,
    `patience`, epochs without a better validation loss before it stops, and `checkpoint_every`,
    epochs between the models kept for `scores_by_epoch`, 0 for none.

    Attributes:
        history_: Name of a loss → one number an epoch.
        best_epoch_: The epoch, from 1, whose weights are used.
    """

    scoring_batch: ClassVar[int] = 1024

    validation_fraction: ClassVar[float] = 0.2
    """Part of the jets that is set aside if no validation jets are given."""

    model_file: ClassVar[str] = "model.keras"
    checkpoint_file: ClassVar[str] = "epoch_{:03d}.keras"

    kept_state: ClassVar[tuple[str, ...]] = ("best_epoch", "history")
    """Names in `training.json` of what is kept under the same names with an underscore."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.history_: dict[str, list[float]] = {}
        self.best_epoch_ = 0
        self._model: Any = None
        self._ready_model: Any = None
        self._checkpoints: dict[int, bytes] = {}

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers in the fitted network."""
        self._require_fitted("n_parameters")
        return int(self._model.count_params())

    # --- what a detector implements -------------------------------------------------------------

    @abstractmethod
    def _build(self, seeds: Iterator[int]) -> Any:
        """Build the untrained network; every random initialiser and dropout layer takes a seed."""

    @abstractmethod
    def _train(self, task: TrainingTask) -> Training:
        """Train the network, `_model`, by `_optimise`."""

    @abstractmethod
    def _scores_by(self, model: Any, jets: Jets) -> Mapping[str, npt.ArrayLike]:
        """Score a batch of jets by a network that `_ready` made ready."""

    def _represent(self, jets: Jets) -> AnyFloats:
        """Represent jets: (n, …)."""
        return self.representation(jets)

    def _note_left_out(self, n_jets: int) -> None:
        """Take note of training jets that `_represent` left out."""

    def _learn(self, rows: AnyFloats) -> None:
        """Learn from the training rows, as `_represent` gives them, how to scale rows."""

    def _inputs(self, rows: AnyFloats) -> AnyFloats:
        """Give what the network takes of rows: (n, …)."""
        return rows

    def _judge(self, task: TrainingTask) -> None:
        """Look at the trained network, for a warning, or for what the scores need."""

    # --- training -------------------------------------------------------------------------------

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        rows = self._represent(jets)
        self._note_left_out(len(jets) - len(rows))
        if validation is None:
            kept, set_aside = split_rows(len(rows), fraction=self.validation_fraction, seed=seed)
            rows, others = rows[kept], rows[set_aside]
        else:
            others = self._represent(validation)
        self._learn(rows)
        seeds = layer_seeds(seed)
        self._model, self._ready_model = self._build(seeds), None
        task = TrainingTask(self._inputs(rows), self._inputs(others), seed, seeds, progress)
        training = self._train(task)
        self.history_, self.best_epoch_ = training.history, training.best_epoch
        self._checkpoints = training.checkpoints
        self._judge(task)

    def _settings(self, **others: Any) -> TrainingSettings:
        """Take the settings of a training from the hyper-parameters of their names, or from `others`."""
        own = {name: getattr(self, name) for name in SETTINGS if hasattr(self, name)}
        return TrainingSettings(**{**own, **others})

    def _optimise(
        self,
        objective: Objective,
        task: TrainingTask,
        settings: TrainingSettings,
        *,
        stage: str = "training",
    ) -> Training:
        return optimise(
            objective,
            task.rows,
            task.validation,
            settings=settings,
            seed=task.seed,
            progress=task.progress,
            resume=self._resuming(stage),
        )

    # --- scoring --------------------------------------------------------------------------------

    def _scores(self, jets: Jets) -> Mapping[str, npt.ArrayLike]:
        return self._scores_by(self._trained_model(), jets)

    def _scores_by_epoch(self, jets: Jets) -> Iterator[tuple[int, Mapping[str, npt.ArrayLike]]]:
        for epoch, model in self._models_by_epoch():
            yield epoch, self._in_batches(partial(self._scores_by, model), jets)

    def _models_by_epoch(self) -> Iterator[tuple[int, Any]]:
        """Give the networks kept during the training, ready for use."""
        for epoch, content in sorted(self._checkpoints.items()):
            model = self._from_bytes(content, where=self.checkpoint_file.format(epoch))
            yield epoch, self._ready(model)

    def _trained_model(self) -> Any:
        if self._ready_model is None:
            self._ready_model = self._ready(self._model)
        return self._ready_model

    def _ready(self, model: Any) -> Any:
        """Make a network ready for batches of at most `scoring_batch` rows."""
        return BatchedModel(model, batch_size=self.scoring_batch)

    # --- keeping --------------------------------------------------------------------------------

    def _to_bytes(self, model: Any) -> bytes:
        return model_to_bytes(model)

    def _from_bytes(self, content: bytes, *, where: str) -> Any:
        return model_from_bytes(content, where=where)

    def _save(self, folder: Path) -> None:
        (folder / self.model_file).write_bytes(self._to_bytes(self._model))
        self._save_state(folder)

    def _state(self) -> dict[str, Any]:
        """Give what is kept as JSON: NaN as null."""
        state = {name: _json_value(getattr(self, f"{name}_")) for name in self.kept_state}
        return {**state, "checkpoints": sorted(self._checkpoints)}

    def _save_state(self, folder: Path) -> None:
        """Write the checkpoints, and `_state`."""
        for epoch, content in self._checkpoints.items():
            (folder / self.checkpoint_file.format(epoch)).write_bytes(content)
        text = json.dumps(self._state(), indent=2) + "\n"
        (folder / HISTORY_FILE).write_text(text, encoding="utf-8")

    def _load(self, folder: Path) -> None:
        self._load_state(folder)
        where = folder / self.model_file
        self._model = self._from_bytes(where.read_bytes(), where=str(where))
        self._check_model(str(where))

    def _load_state(self, folder: Path) -> dict[str, Any]:
        state: dict[str, Any] = read_json(folder / HISTORY_FILE, error=DetectorError)
        state.setdefault("best_epoch", len(state["history"]["loss"]))  # those that took the last
        for name in self.kept_state:
            value = math.nan if state[name] is None else state[name]
            setattr(self, f"{name}_", value)
        self._checkpoints = {
            epoch: (folder / self.checkpoint_file.format(epoch)).read_bytes()
            for epoch in state.get("checkpoints", ())
        }
        return state

    def _check_model(self, where: str) -> None:
        """Refuse a network that was read and takes other rows than the representation gives."""
        takes = tuple(self._model.input_shape[1:])
        if takes != self.representation.shape:
            msg = (
                f"{where}: the model takes {takes}, the representation gives "
                f"{self.representation.shape}."
            )
            raise DetectorError(msg)


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
