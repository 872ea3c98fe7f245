"""Detector folders somebody changed, hashes and all: nothing in them is executed."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import DetectorError
from oddjet.ml.detectors.kmeans import KMeansDetector
from oddjet.ml.folder import read_info, write_info


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


@pytest.fixture
def saved(skim_folder: Path, tmp_path: Path) -> Path:
    jets = open_skim(skim_folder).jets(kinds="background")
    detector = KMeansDetector(k=2, starts=1)
    detector.fit(jets, seed=1)
    detector.save(tmp_path / "kmeans")
    return tmp_path / "kmeans"


def rehash(folder: Path, info: dict[str, object]) -> None:
    """Write hashes that fit the changed content, as an attacker would."""
    content = {k: v for k, v in info.items() if k not in {"files", "fingerprint", "schema_version"}}
    (folder / "detector.json").unlink()
    write_info(folder, "detector.json", content)


def test_a_changed_file_is_refused(saved: Path) -> None:
    for path in sorted(saved.glob("*.npz")):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(DetectorError, match="is not the file that was saved"):
            KMeansDetector.load(saved)
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    KMeansDetector.load(saved)


@pytest.mark.parametrize("how", ["array of objects", "bare pickle"])
def test_a_pickle_inside_is_not_opened(saved: Path, tmp_path: Path, how: str) -> None:
    mark = tmp_path / "mark"
    info = read_info(saved, "detector.json")
    for path in saved.glob("*.npz"):
        if how == "bare pickle":
            path.write_bytes(pickle.dumps(Bomb(mark)))
        else:
            with np.load(path) as arrays:
                names = list(arrays)
            np.savez(path, **{name: np.array([Bomb(mark)], dtype=object) for name in names})
    rehash(saved, info)
    with pytest.raises(DetectorError, match=r"cannot be loaded .*pickle"):
        KMeansDetector.load(saved)
    assert not mark.exists()
    # the test's own bomb works
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()


def test_a_folder_may_not_name_files_outside(saved: Path, tmp_path: Path) -> None:
    info = read_info(saved, "detector.json")
    path = next(saved.glob("*.npz"))
    shutil.move(path, tmp_path / "outside.npz")
    path.symlink_to(tmp_path / "outside.npz")
    rehash(saved, info)
    with pytest.raises(DetectorError, match="outside itself"):
        KMeansDetector.load(saved)


EVIL = (
    "from pathlib import Path\nPath('mark').touch()\n"
    "from oddjet.ml.detectors.kmeans import KMeansDetector\nclass Theirs(KMeansDetector): pass\n"
)


@pytest.mark.parametrize("named", ["detector", "representation", "an entry point beside it"])
def test_a_module_beside_a_detector_is_not_imported(
    saved: Path, tmp_path: Path, named: str
) -> None:
    """`python -c` has its working folder on the path, where the detector came with a module."""
    info = read_info(saved, "detector.json")
    if named == "representation":
        info["representation"] = {"class": "lies_about:Theirs", "version": 1, "fields": {}}
    else:
        info["detector"] = "lies_about:Theirs"
    rehash(saved, info)
    (tmp_path / "lies_about.py").write_text(EVIL)
    if named == "an entry point beside it":
        metadata = tmp_path / "lies-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lies\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[oddjet.detectors]\nx = lies_about:Theirs\n")
    code = (
        "import oddjet.ml\nfrom oddjet.errors import DetectorError\n"
        "try: oddjet.ml.load('kmeans')\nexcept DetectorError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "it is not imported" in said.stdout
    assert not (tmp_path / "mark").exists()
