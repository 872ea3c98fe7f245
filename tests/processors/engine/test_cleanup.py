from __future__ import annotations

from pathlib import Path

from oddjet.processors.engine.cleanup import remove_stale_parts, remove_temporary_files

KEY, OTHER = "0123456789abcdef0123", "fedcba9876543210fedc"


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def left(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_only_our_own_temporary_files_go(tmp_path: Path) -> None:
    kept = {".gitignore", f"a/{KEY}.parquet", "a/.notes.json", "manifest.json"}
    make(tmp_path, *kept, f"a/.{KEY}.x1_y.parquet", f"a/.{KEY}.tmp.npy", ".manifest.ab.json")
    remove_temporary_files(tmp_path)
    assert left(tmp_path) == kept


def test_only_parts_that_are_not_named_go(tmp_path: Path) -> None:
    kept = {f"a/{KEY}.json", f"a/{KEY}.parquet", "a/notes.json", "b/keep.parquet", "manifest.json"}
    make(tmp_path, *kept, f"a/{OTHER}.json", f"a/{OTHER}.npy", f"c/{OTHER}.parquet")
    remove_stale_parts(tmp_path, {KEY})
    assert left(tmp_path) == kept
    assert not (tmp_path / "c").exists()
