from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets, sum_constituents
from oddjet.errors import InputError
from oddjet.ml.representations.image_mass import image_mass
from oddjet.ml.representations.jet_image import JetImage

HALF_WIDTH = 0.8
CENTRES = (np.arange(40) + 0.5) * 0.04 - HALF_WIDTH


def two_pixels(
    first: tuple[int, int], second: tuple[int, int], share: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    image = np.zeros((1, 40, 40, 1))
    image[(0, *first)], image[(0, *second)] = share, 1 - share
    return image


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [((0, 0), (39, 39), 0.5), ((3, 30), (25, 30), 0.9), ((20, 1), (20, 2), 0.01)],
)
def test_two_pixels(first: tuple[int, int], second: tuple[int, int], share: float) -> None:
    delta_eta, delta_phi = (CENTRES[list(a)] @ [1, -1] for a in zip(first, second, strict=True))
    pt = 400.0
    expected = pt * np.sqrt(2 * share * (1 - share) * (np.cosh(delta_eta) - np.cos(delta_phi)))
    image = two_pixels(first, second, share)
    for images in (image, 7 * image, image[..., 0], image.astype(np.float32)):
        masses = image_mass(images, [pt], half_width=HALF_WIDTH)
        np.testing.assert_allclose(masses, [expected], rtol=1e-5)


def test_one_pixel_and_no_pixel_have_no_mass() -> None:
    images = np.zeros((3, 40, 40))
    images[0, 39, 0] = 0.3
    images[1, 20, 20] = 1.0
    np.testing.assert_allclose(image_mass(images, [1000.0] * 3, half_width=0.8), 0, atol=1e-4)
    assert image_mass(images[:0], [], half_width=0.8).shape == (0,)


def test_is_the_mass_of_massless_particles_but_for_the_width_of_a_pixel(signal: Jets) -> None:
    massless = signal.constituents[["pt", "eta", "phi"]]
    fine = JetImage(pixels=400, half_width=2.0)
    scalar_pt = ak.to_numpy(ak.sum(massless.pt, axis=1))
    masses = image_mass(fine(signal), scalar_pt, half_width=2.0)
    np.testing.assert_allclose(masses, sum_constituents(massless).mass, rtol=0.01)


def test_turned_images_change_little(signal: Jets) -> None:
    upright, as_is = (JetImage(rotate=turn, centre="centroid") for turn in (True, False))
    pt = np.full(len(signal), 300.0)
    masses = [image_mass(draw(signal), pt, half_width=0.8) for draw in (upright, as_is)]
    np.testing.assert_allclose(masses[0], masses[1], rtol=0.1)


@pytest.mark.parametrize(
    ("images", "pt", "message"),
    [
        (np.full((1, 2, 2), -1e-9), [1.0], "negative"),
        (np.full((1, 2, 2), np.nan), [1.0], "NaN"),
        (np.zeros((1, 2, 3)), [1.0], "shape"),
        (np.zeros((1, 2, 2, 2)), [1.0], "shape"),
        (np.zeros((2, 2, 2)), [1.0], "one an image"),
    ],
)
def test_what_is_no_image_is_refused(
    images: np.ndarray[tuple[int, ...], np.dtype[np.float64]], pt: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        image_mass(images, pt, half_width=0.8)
