"""A model as a pyhf workspace in JSON.

References:
    L. Heinrich et al., "pyhf: pure-Python implementation of HistFactory", JOSS 6 (2021) 2823.
    K. Cranmer et al., "HistFactory", CERN-OPEN-2012-016.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyhf

from oddjet.analysis.statistics.exchange.model import Channel, Sample
from oddjet.datasets.disk.atomic import write_text
from oddjet.errors import InputError

__all__ = ["INTERPOLATION", "POI", "pyhf_model", "pyhf_workspace", "write_workspace"]

POI = "mu"
"""Name of the signal strength."""
MOST = 1e4
"""Upper end of the free factors of bins, in units of what is expected of them."""
INTERPOLATION = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code4p"}}
"""How pyhf is to interpolate: yields exponentially, shapes as is its default."""


def pyhf_workspace(channel: Channel, *, mu_max: float = 20.0) -> dict[str, Any]:
    """Express a model in pyhf's schema, and validate it; needs no network.

    While data are blinded, the observation is the expected background, and the measurement is
    named ``blinded``. A background with log-modes is one sample a bin; exp(θ · change) is ``normsys`` with
    pyhf's ``code1``, which `pyhf_model` sets. pyhf's default, ``code4``, replaces the exponential by a
    polynomial between −1σ and 1σ: the same to 1 % for changes up to 1, not for larger ones. Bins that are channels of
    their own are written so, and their free factors as ``normfactor``.

    Args:
        channel: The model.
        mu_max: Upper end of the signal strength in fits, which start from a twentieth of it.

    Raises:
        InputError: pyhf's schema does not accept it.
    """
    parameters = [{"name": POI, "bounds": [[0.0, mu_max]], "inits": [mu_max / 20.0]}]
    parameters += [
        {"name": name, "bounds": [[0.0, MOST]], "inits": [1.0]}
        for name in (*sorted(channel.unconstrained), *channel.factors)
    ]
    if channel.cells:
        channels = [
            {"name": name, "samples": [_in_cell(sample, i) for sample in channel.parts(i)]}
            for i, name in enumerate(channel.cells)
        ]
        data = [[float(n)] for n in channel.data]
    else:
        parts = [part for sample in channel.samples for part in sample.of_bins()]
        samples = [_sample(channel, part) for part in parts]
        channels, data = [{"name": channel.name, "samples": samples}], [channel.data.tolist()]
    workspace = {
        "version": "1.0.0",
        "channels": channels,
        "observations": [
            {"name": at["name"], "data": seen} for at, seen in zip(channels, data, strict=True)
        ],
        "measurements": [
            {
                "name": "blinded" if channel.observed is None else "limit",
                "config": {"poi": POI, "parameters": parameters},
            }
        ],
    }
    try:
        with _old_references():
            pyhf.schema.validate(workspace, "workspace.json")
    except pyhf.exceptions.InvalidSpecification as error:
        msg = f"pyhf refuses the model of channel {channel.name}: {error}"
        raise InputError(msg) from error
    return workspace


def write_workspace(path: str | Path, channel: Channel, *, mu_max: float = 20.0) -> None:
    """Write a model as a pyhf workspace, atomically; see `pyhf_workspace`."""
    write_text(path, json.dumps(pyhf_workspace(channel, mu_max=mu_max), indent=1) + "\n")


def pyhf_model(channel: Channel, *, mu_max: float = 20.0) -> tuple[pyhf.Model, list[float]]:
    """Make pyhf's model, and the data with the auxiliary measurements; see `pyhf_workspace`."""
    workspace = pyhf.Workspace(pyhf_workspace(channel, mu_max=mu_max), validate=False)
    with _old_references():
        model = workspace.model(modifier_settings=INTERPOLATION)
    return model, list(workspace.data(model))


@contextmanager
def _old_references() -> Iterator[None]:
    """Let pyhf 0.7 resolve references inside its schema by what jsonschema has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)
        yield


def _sample(channel: Channel, sample: Sample) -> dict[str, Any]:
    modifiers: list[dict[str, Any]] = []
    if sample.is_signal:
        modifiers.append({"name": POI, "type": "normfactor", "data": None})
    for name, size in sample.norms.items():
        data = {"hi": 1.0 + size, "lo": 1.0 / (1.0 + size)}
        modifiers.append({"name": name, "type": "normsys", "data": data})
    for name, (down, up) in sample.shapes.items():
        shapes = {"hi_data": up.tolist(), "lo_data": down.tolist()}
        modifiers.append({"name": name, "type": "histosys", "data": shapes})
    nominal = sample.expected
    if sample.scaled_by:
        shapes = {"hi_data": nominal.tolist(), "lo_data": (-nominal).tolist()}
        modifiers.append({"name": sample.scaled_by, "type": "histosys", "data": shapes})
        nominal = np.zeros_like(nominal)
    if sample.stat_errors is not None:
        name = f"stat_{channel.name}"
        modifiers.append({"name": name, "type": "staterror", "data": sample.stat_errors.tolist()})
    return {"name": sample.name, "data": nominal.tolist(), "modifiers": modifiers}


def _in_cell(sample: Sample, cell: int) -> dict[str, Any]:
    """Give what a sample expects in a bin that is a channel of its own."""
    nominal, names = float(sample.expected[cell]), sample.multipliers(cell)
    names += [POI] if sample.is_signal else []
    modifiers: list[dict[str, Any]] = [
        {"name": name, "type": "normfactor", "data": None} for name in names
    ]
    for name, log in sample.logs(cell).items():
        data = {"hi": float(np.exp(log)), "lo": float(np.exp(-log))}
        modifiers.append({"name": name, "type": "normsys", "data": data})
    for name, (down, up) in sample.varied(cell).items():
        shapes = {"hi_data": [nominal + up], "lo_data": [nominal + down]}
        modifiers.append({"name": name, "type": "histosys", "data": shapes})
    if sample.scaled_by:
        shapes = {"hi_data": [nominal], "lo_data": [-nominal]}
        modifiers.append({"name": sample.scaled_by, "type": "histosys", "data": shapes})
        nominal = 0.0
    return {"name": sample.name, "data": [nominal], "modifiers": modifiers}
