"""Trainings that go on where they were interrupted: their state is kept on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.digest import content_key
from oddjet.errors import BadFileError

__all__ = ["Resume", "TrainingState"]

log = logging.getLogger(__name__)


@dataclasses.dataclass
class TrainingState:
    """All that the epochs still to come depend on.

    Attributes:
        history: Name of a loss → its value after each epoch.
        best_epoch: The epoch with the best model so far; 0 for none.
        best: That epoch's value of what is watched.
        variables: Of models, optimizers, random generators: their present values.
        best_weights: Of the models, after the best epoch.
        checkpoints: Epoch → content of the file kept of it.
    """

    epoch: int
    history: dict[str, list[float]]
    best_epoch: int
    best: float
    variables: list[npt.NDArray[Any]]
    best_weights: list[npt.NDArray[Any]]
    checkpoints: dict[int, bytes]


@dataclasses.dataclass
class Resume:
    """Where a training keeps its state, and what the training is.

    Attributes:
        path: The `.npz` file.
        key: What else the state depends on: the detector, its settings, the seed.
        every_seconds: The state is written at the end of an epoch if that long has passed; the last
            one always.
    """

    path: Path
    key: str
    every_seconds: float = 30.0
    _written: float = dataclasses.field(default_factory=time.monotonic, repr=False)

    def bound_to(self, *arrays: npt.NDArray[Any]) -> Resume:
        """Make the state depend on the rows of training and validation too, of any shape."""
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        key = content_key([self.key, digest.hexdigest()])
        return dataclasses.replace(self, key=key)

    def load(self) -> TrainingState | None:
        """Read the state; None if there is none, or if it is of another training or unreadable."""
        if not self.path.is_file():
            return None
        try:
            data = read_arrays(self.path)
            info = json.loads(str(data["info"]))
            if info.pop("key") != self.key:
                log.info("%s is of another training: starting from scratch", self.path)
                return None
            sizes = (info.pop("n_variables"), info.pop("n_weights"))
            epochs = info.pop("checkpoints")
            return TrainingState(
                **info,
                variables=[data[f"variable_{i}"] for i in range(sizes[0])],
                best_weights=[data[f"weight_{i}"] for i in range(sizes[1])],
                checkpoints={e: data[f"checkpoint_{e}"].tobytes() for e in epochs},
            )
        except (BadFileError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning(
                "%s cannot be read, so the training starts from scratch: %s", self.path, error
            )
            return None

    def save(self, state: TrainingState, *, last: bool) -> None:
        """Write the state, atomically, if it is time to or `last`."""
        if not last and time.monotonic() - self._written < self.every_seconds:
            return
        info = {
            "key": self.key,
            "epoch": state.epoch,
            "history": state.history,
            "best_epoch": state.best_epoch,
            "best": state.best,
            "n_variables": len(state.variables),
            "n_weights": len(state.best_weights),
            "checkpoints": sorted(state.checkpoints),
        }
        arrays: dict[str, Any] = {"info": np.array(json.dumps(info))}
        arrays |= {f"variable_{i}": value for i, value in enumerate(state.variables)}
        arrays |= {f"weight_{i}": value for i, value in enumerate(state.best_weights)}
        arrays |= {
            f"checkpoint_{epoch}": np.frombuffer(content, dtype=np.uint8)
            for epoch, content in state.checkpoints.items()
        }
        with atomic_write(self.path) as temporary:
            np.savez(temporary, **arrays)
        self._written = time.monotonic()
