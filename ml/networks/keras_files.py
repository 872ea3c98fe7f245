"""What may be in a `.keras` file: layers that compute, and numbers; looked at before Keras reads it.

Keras' safe mode bars lambdas, and leaves the rest of Keras to a file: layers that read other files, run other
backends' code or take any amount of memory.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from oddjet.datasets.disk.arrays import ARRAY_ERRORS, open_zip
from oddjet.errors import ConfigError, DetectorError
from oddjet.parsing import parse_json

__all__ = ["LARGEST_LAYER", "check_keras_file"]

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
FILES = {"metadata.json", CONFIG, WEIGHTS}
LARGEST_CONFIG = 4 * 2**20
"""Length of a network's description [bytes]; oddjet's largest has 40,000."""
LARGEST_LAYER = 2**24
"""Numbers that a layer gives for one jet, at most."""

_LAYERS = """
Activation Add AdditiveAttention Attention Average AveragePooling1D AveragePooling2D AveragePooling3D
BatchNormalization Bidirectional Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose
Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten
GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity InputLayer LSTM LSTMCell
LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention
Multiply Normalization PReLU Permute RNN ReLU RepeatVector Rescaling Reshape SeparableConv1D SeparableConv2D
SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract TimeDistributed
UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OPERATIONS = """
Absolute Add Amax Amin BroadcastTo Ceil Clip Concatenate Cos Divide Einsum Elu Equal Exp ExpandDims Expm1 Floor Gelu
GetItem Greater GreaterEqual LeakyRelu Less LessEqual Log Log10 Log1p LogSigmoid LogSoftmax Logsumexp Matmul Max
Maximum Mean Min Minimum Moveaxis Multiply Negative Norm Power Prod Reciprocal Relu Reshape Rsqrt Sigmoid Sign Silu Sin
Softmax Softplus Softsign Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Tan Tanh Tensordot Transpose
TrueDivide Var Where
"""
LAYERS, OPERATIONS = frozenset(_LAYERS.split()), frozenset(_OPERATIONS.split())
WHOLE = {
    "keras": frozenset({"Functional", "Model", "Sequential", "DTypePolicy"}),
    "keras.dtype_policies": frozenset({"DTypePolicy"}),
    "keras.layers": LAYERS,
    "keras.models": frozenset({"Functional", "Model", "Sequential"}),
    "keras.random": frozenset({"SeedGenerator"}),
    "keras.src.models.functional": frozenset({"Functional"}),
}
"""Module → classes of it that may be in a network."""
NUMERIC = ("keras.initializers", "keras.regularizers", "keras.constraints")
"""Modules of which every class may be."""
PLAIN = frozenset(
    {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__bytes__"}
)
"""What Keras writes of values that are no objects of its own."""


def check_keras_file(content: bytes, *, registered: Mapping[str, Any], where: str) -> int:
    """Refuse a `.keras` file that holds anything but known layers and their numbers.

    Args:
        content: The file.
        registered: Classes that code which is imported already registered with Keras, by name.
        where: What messages call it.

    Returns:
        How many numbers its layers keep.

    Raises:
        DetectorError: If it cannot be read, or holds other files, layers or links.
    """
    with open_zip(io.BytesIO(content), where=where, error=DetectorError) as file:
        if set(file.namelist()) != FILES:
            msg = (
                f"{where} cannot be read as a Keras model: expected {', '.join(sorted(FILES))} in it. Received:"
                f" {', '.join(sorted(file.namelist()))[:200]}. Copy it again."
            )
            raise DetectorError(msg)
        if file.getinfo(CONFIG).file_size > LARGEST_CONFIG:
            msg = f"{where}: {CONFIG} is longer than {LARGEST_CONFIG // 2**20} MiB: it is refused."
            raise DetectorError(msg)
        try:
            config = parse_json(file.read(CONFIG).decode())
            weights = file.read(WEIGHTS)
        except (*ARRAY_ERRORS, ConfigError) as error:
            msg = f"{where} cannot be read as a Keras model: {str(error)[:200]}. Copy it again."
            raise DetectorError(msg) from error
    if not isinstance(config, dict):
        msg = f"{where} cannot be read as a Keras model: {CONFIG} is no object. Copy it again."
        raise DetectorError(msg)
    # How it was trained is not read.
    for described in _objects({**config, "compile_config": None}):
        _check_object(described, registered, where)
    return _count_numbers(weights, where)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Give what is described as an object of a class, in it too."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _check_object(described: Mapping[str, Any], registered: Mapping[str, Any], where: str) -> None:
    name, module = described["class_name"], described.get("module")
    own = described.get("registered_name")
    if isinstance(own, str) and own in registered:
        return
    if not isinstance(name, str) or not isinstance(module, str | None):
        known = False
    elif name in PLAIN:
        known = module in (None, "builtins")
    elif name == "function":
        # The name of an activation; Keras looks for it among its own alone.
        known = module == "builtins" and str(described.get("config")).isidentifier()
    elif module is None or module.startswith("keras.src.ops."):
        known = name in OPERATIONS or name in LAYERS
    else:
        known = module in NUMERIC or name in WHOLE.get(module, ())
    if not known:
        msg = (
            f"{where}: the network has a {str(name)[:60]!r} of {str(module)[:60]!r}, which is none of the layers that"
            " run on TensorFlow and do nothing but compute; what runs on another backend, or code, is not loaded."
            " If you trust it, import the package that registers it with Keras first."
        )
        raise DetectorError(msg)


def _count_numbers(content: bytes, where: str) -> int:
    """Count the numbers in a file of weights, and refuse what is not in the file itself."""
    total = 0
    problems: list[str] = []

    def look(group: Any, depth: int) -> None:
        nonlocal total
        if depth > 32:
            problems.append("groups inside groups, more than 32 deep")
            return
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                problems.append(f"{name[:60]!r} is a link")
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                look(item, depth + 1)
            elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
                problems.append(f"{name[:60]!r} holds no numbers")
            elif item.external or item.is_virtual or not _is_stored(item):
                problems.append(f"the numbers of {name[:60]!r} are not in the file, or packed")
            else:
                total += math.prod(item.shape)

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            look(file, 0)
    except Exception as error:
        msg = f"{where} cannot be read as a Keras model: {WEIGHTS}: {str(error)[:200]}. Copy it again."
        raise DetectorError(msg) from error
    if problems:
        msg = f"{where}: {WEIGHTS}: {problems[0]}: oddjet writes no such file, and it is refused."
        raise DetectorError(msg)
    return total


def _is_stored(dataset: Any) -> bool:
    """Whether all numbers of a dataset stand in the file, as they are."""
    size = math.prod(dataset.shape) * np.dtype(dataset.dtype).itemsize
    return dataset.compression is None and dataset.id.get_storage_size() == size
