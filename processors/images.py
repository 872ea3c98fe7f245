"""Images of jets on disk, drawn and written batch by batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.jets import Jets
from oddjet.errors import NonFiniteError
from oddjet.ml.representations import Representation

__all__ = ["write_images"]

# 16 MB of images: allocations beyond 32 MB come fresh from the system each time, and touching
# their pages for the first time took nine tenths of the time of drawing 100,000 images at once.
_BATCH = 4096


def write_images(path: Path, jets: Jets, representation: Representation) -> None:
    """Write the images of jets as one `.npy` file, (n, *representation.shape) float32, atomically.

    Raises:
        NonFiniteError: If pixels are NaN or infinite.
    """
    shape = (len(jets), *representation.shape)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = 0
        for images in representation.blocks(jets, _BATCH):
            if n_bad := int(np.count_nonzero(~np.isfinite(images))):
                first = start + int(
                    np.argmin(np.isfinite(images).reshape(len(images), -1).all(axis=1))
                )
                msg = (
                    f"{type(representation).__name__}: {n_bad} pixels are NaN or infinite, first in jet {first} of"
                    f" this chunk ({path.stem}): the representation has to give finite numbers"
                )
                raise NonFiniteError(msg)
            file.write(np.ascontiguousarray(images, "<f4").data)
            start += len(images)
