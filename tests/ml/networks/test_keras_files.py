"""Networks of others: layers that compute are loaded, everything else is refused before Keras sees it."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from changed_detectors import OBJECTS

from oddjet.errors import DetectorError
from oddjet.ml.networks.keras_files import check_keras_file
from oddjet.ml.networks.keras_models import import_keras, model_from_bytes, model_to_bytes


@pytest.fixture(scope="module")
def network() -> bytes:
    """A network with a shared layer, an operation and an initialiser."""
    _, keras = import_keras()
    layers = keras.layers
    shared = layers.Dense(4, activation="relu", kernel_initializer=keras.initializers.HeNormal(1))
    x, y = layers.Input((4,)), layers.Input((4,))
    joined = layers.Concatenate()([shared(x), shared(y), keras.ops.exp(x)])
    model = keras.Model([x, y], layers.Dense(2)(layers.Dropout(0.1, seed=1)(joined)))
    return model_to_bytes(model)


def changed(content: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return buffer.getvalue()


def with_config(content: bytes, change: Callable[[Any], None]) -> bytes:
    def edit(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()

    return changed(content, edit)


def with_weights(content: bytes, change: Callable[[Any], None]) -> bytes:
    def edit(members: dict[str, bytes]) -> None:
        buffer = io.BytesIO(members["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file["layers/dense/vars"])
        members["model.weights.h5"] = buffer.getvalue()

    return changed(content, edit)


def test_a_network_comes_back(network: bytes) -> None:
    model = model_from_bytes(network)
    assert check_keras_file(network, registered={}, where="x") == 4 * 4 + 4 + 12 * 2 + 2
    rows = np.ones((3, 4), np.float32)
    assert np.asarray(model([rows, rows])).shape == (3, 2)


@pytest.mark.parametrize("described", OBJECTS, ids=lambda described: str(described["class_name"]))
def test_other_layers_are_refused_without_being_made(
    network: bytes, described: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, keras = import_keras()
    assert described["class_name"] in ("UpSampling2D", "Dense") or not monkeypatch.setattr(
        keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was asked")
    )
    for place in ("layers", "config"):
        content = with_config(network, lambda config: config["config"]["layers"].append(described))
        if place == "config":
            content = with_config(
                network, lambda c: c["config"]["layers"][2]["config"].update(extra=described)
            )
        with pytest.raises(DetectorError, match=r"here\.keras"):
            model_from_bytes(content, where="here.keras")


def test_a_class_that_was_registered_is_loaded() -> None:
    _, keras = import_keras()

    @keras.saving.register_keras_serializable(package="test_keras_files")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, rows: Any) -> Any:
            return 2 * rows

    rows = keras.layers.Input((3,))
    content = model_to_bytes(keras.Model(rows, Doubled()(rows)))
    made = np.asarray(model_from_bytes(content)(np.ones((1, 3))))
    np.testing.assert_array_equal(made, [[2.0, 2.0, 2.0]])
    del keras.saving.get_custom_objects()["test_keras_files>Doubled"]
    with pytest.raises(DetectorError, match="import the package that registers it"):
        model_from_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda group: replace(group, h5py.SoftLink("/")), "'0' is a link"),
        (lambda group: replace(group, h5py.ExternalLink("/etc/hosts", "/")), "'0' is a link"),
        (lambda group: replace(group, "text"), "holds no numbers"),
        (lambda group: stored(group, (4, 4), external=[("/etc/passwd", 0, 64)]), "not in the file"),
        (lambda group: stored(group, (10**6, 10**6), chunks=(10, 10)), "not in the file"),
        (lambda group: stored(group, (4, 4), compression="gzip"), "or packed"),
        (lambda group: stored(group, (3, 4), data=np.ones((3, 4), "f4")), "cannot be read|numbers"),
        (lambda group: group.__delitem__("0"), "cannot be read|numbers"),
    ],
)
def test_weights_are_numbers_in_the_file(
    network: bytes, change: Callable[[Any], None], message: str
) -> None:
    with pytest.raises(DetectorError, match=message):
        model_from_bytes(with_weights(network, change))


def replace(group: Any, value: Any) -> None:
    del group["0"]
    group["0"] = value


def stored(group: Any, shape: tuple[int, ...], **options: Any) -> None:
    del group["0"]
    group.create_dataset("0", shape, "f4", **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda members: members.pop("config.json"), "expected config.json"),
        (lambda members: members.update({"assets/../../x": b"x"}), "expected config.json"),
        (lambda members: members.update({"config.json": b"[" * 10**5}), "64 deep"),
        (lambda members: members.update({"config.json": b"[]"}), "no object"),
        (lambda members: members.update({"config.json": b" " * 5 * 2**20}), "longer than 4 MiB"),
        (lambda members: members.update({"config.json": b"\xff"}), "cannot be read"),
        (lambda members: members.update({"model.weights.h5": b"no HDF5"}), "cannot be read"),
    ],
)
def test_other_contents_are_refused(
    network: bytes, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    with pytest.raises(DetectorError, match=message):
        model_from_bytes(changed(network, change))


def test_a_layer_takes_no_memory_that_the_file_does_not_have(network: bytes) -> None:
    """A dense layer of 12 · 10⁹ numbers in a file of some kilobytes."""

    def grow(config: Any) -> None:
        *_, dense = (x for x in config["config"]["layers"] if x["class_name"] == "Dense")
        dense["config"]["units"] = 10**9

    content = with_config(network, grow)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        DetectorError, match="its layers keep 13000000020 numbers, and the file has 46"
    ):
        model_from_bytes(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB
    model_from_bytes(network)  # and nothing is left behind that would be made up for


def test_another_backend_is_a_clear_error() -> None:
    code = (
        "from oddjet.ml.networks.keras_models import import_keras; from oddjet.errors import DetectorError\n"
        "try: import_keras()\n"
        "except DetectorError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path), "KERAS_BACKEND": "torch"},
    )
    assert "set the environment variable KERAS_BACKEND=tensorflow" in said.stdout
