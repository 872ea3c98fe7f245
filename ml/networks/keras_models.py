"""Keras models with the TensorFlow backend: importing, keeping as bytes, applying in batches.

TensorFlow takes seconds to import and memory to hold, so nothing imports it before a model is
built, loaded or applied: everything goes through `import_keras`.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from oddjet.errors import DetectorError
from oddjet.ml.networks.keras_files import LARGEST_LAYER, check_keras_file
from oddjet.typing import Singles

__all__ = [
    "BatchedModel",
    "compile_function",
    "import_keras",
    "layer_seeds",
    "model_from_bytes",
    "model_to_bytes",
]


@cache
def import_keras() -> tuple[Any, Any]:
    """Import TensorFlow and Keras, quietly, once.

    `TF_CPP_MIN_LOG_LEVEL` and `KERAS_BACKEND` are respected when set.

    Returns:
        The modules `tensorflow` and `keras`.

    Raises:
        DetectorError: If Keras was set to, or already runs on, another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with _without_start_messages():
            import keras  # noqa: PLC0415
            import tensorflow as tf  # noqa: PLC0415
    except ImportError as error:
        msg = (
            f"Keras cannot be imported: {error}. It must run on TensorFlow here: set the environment"
            " variable KERAS_BACKEND=tensorflow, and install oddjet's dependencies."
        )
        raise DetectorError(msg) from error
    if keras.backend.backend() != "tensorflow":
        msg = (
            f"Keras must run on TensorFlow here. Received the backend {keras.backend.backend()!r}: "
            f"set the environment variable KERAS_BACKEND=tensorflow."
        )
        raise DetectorError(msg)
    return tf, keras


@contextlib.contextmanager
def _without_start_messages() -> Iterator[None]:
    """Hold back what TensorFlow's C++ prints on stderr before its log level can be set.

    Everything else that arrives on stderr meanwhile is passed on afterwards.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not line.startswith((b"I0000 ", b"WARNING: All log messages before absl::")):
                    os.write(2, line)


def layer_seeds(seed: int) -> Iterator[int]:
    """Give an endless row of seeds, one a layer, so that no global random state is touched."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31 - 1))


def model_to_bytes(model: Any) -> bytes:
    """Give the content of the `.keras` file of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def model_from_bytes(content: bytes, *, where: str = "model.keras") -> Any:
    """Build the model that a `.keras` file holds, in safe mode and without its optimizer.

    It is first built without numbers, so that no memory is taken for more than the file has.

    Raises:
        DetectorError: If Keras cannot read it, or it holds something else than layers that compute,
            such as code (a lambda), or larger ones than the file has numbers for.
    """
    _, keras = import_keras()
    registered = keras.saving.get_custom_objects()
    n_numbers = check_keras_file(content, registered=registered, where=where)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            _check_sizes(content, n_numbers)
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            msg = f"{where} cannot be read as a Keras model by keras {keras.__version__}: {text}"
            raise DetectorError(msg) from error


def _check_sizes(content: bytes, n_numbers: int) -> None:
    """Refuse a network whose layers keep more numbers than its file has, or give absurdly many.

    Raises:
        ValueError: If it has such a layer.
    """
    _, keras = import_keras()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        config = json.loads(file.read("config.json"))
    config["compile_config"] = None
    with _without_numbers(keras):
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        # The states of random generators are variables too, and not in the file.
        kept = sum(math.prod(variable.shape) for variable in model.weights)
        if kept > n_numbers:
            msg = f"its layers keep {kept} numbers, and the file has {n_numbers}"
            raise ValueError(msg)
        # A layer that is used several times has as many nodes.
        nodes = [node for step in model.operations for node in step._inbound_nodes]
        for output in (tensor for node in nodes for tensor in node.output_tensors):
            if math.prod(size or 1 for size in output.shape) > LARGEST_LAYER:
                msg = f"a layer gives {output.shape} numbers a jet, more than {LARGEST_LAYER}"
                raise ValueError(msg)


@contextlib.contextmanager
def _without_numbers(keras: Any) -> Iterator[None]:
    """Let Keras make layers whose variables have a shape, and never get numbers."""
    state, waiting = sys.modules["keras.src.backend.common.global_state"], "uninitialized_variables"
    before = list(state.get_global_attribute(waiting, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:  # else the next scope that ends would make up for it
        state.set_global_attribute(waiting, before)


def compile_function(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any:
    """Trace a function of one float32 array, once, for one shape, None for an axis of any length.

    Without XLA, which was measured to be half as fast on CPUs for networks this small.
    """
    tf, _ = import_keras()
    traced = tf.function(
        function, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False
    ).get_concrete_function()
    return lambda rows: traced(tf.convert_to_tensor(rows, tf.float32))


STEP = 256
"""Rows that `BatchedModel` passes at once: as many a second as 1,024 at once, and the same results."""


class BatchedModel:
    """A model traced once for one batch shape; the last step of a batch is padded.

    One shape means one trace and bounded memory, whatever the number of rows; small steps mean that
    little is padded where a chunk has few jets of a fold.
    """

    def __init__(self, model: Any, *, batch_size: int) -> None:
        self._step = min(batch_size, STEP)
        self._row_shape = tuple(int(size) for size in model.input_shape[1:])
        self._apply = compile_function(
            lambda rows: model(rows, training=False), (self._step, *self._row_shape)
        )

    def __call__(self, rows: Singles) -> Singles:
        """Apply the model to rows of shape (n, *row shape), n >= 0."""
        starts = range(0, max(len(rows), 1), self._step)
        outputs = [self._stepped(rows[start : start + self._step]) for start in starts]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _stepped(self, rows: Singles) -> Singles:
        n = len(rows)
        if n < self._step:
            padded = np.zeros((self._step, *self._row_shape), dtype=np.float32)
            padded[:n] = rows
            rows = padded
        return np.asarray(self._apply(rows).numpy()[:n])
