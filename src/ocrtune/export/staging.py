"""A folder that appears under its name when it is whole, or not at all."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ocrtune.errors import ExportError


@contextmanager
def staged_folder(out: Path, *, overwrite: bool, keep: Sequence[Path]) -> Iterator[Path]:
    """A folder beside `out` to write into; it takes the name of `out` when the block ends without an error.

    After an error nothing of it is left, and what was at `out` before is as it was.

    Args:
        out: Where the folder is to be.
        overwrite: Replace a folder there that has files in it.
        keep: Folders that are read from; `out` must not be or hold one of them.

    Raises:
        ExportError: `out` may not be written.
    """
    check_free(out, overwrite=overwrite, keep=keep)
    out.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    staged = out.with_name(f".{out.name}.{token}.tmp")
    staged.mkdir()
    try:
        yield staged
        _put_in_place(staged, out, aside=out.with_name(f".{out.name}.{token}.old"))
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def check_free(out: Path, *, overwrite: bool, keep: Sequence[Path]) -> None:
    """Raise where `out` may not be written.

    Raises:
        ExportError: It is a file, holds a folder of `keep`, or has files in it that may not be replaced.
    """
    if out.exists() and not out.is_dir():
        raise ExportError("the export needs a folder, and this is a file", where=str(out))
    for folder in keep:
        if folder.resolve().is_relative_to(out.resolve()):
            raise ExportError(
                f"the export would replace {folder}, which it is made of",
                where=str(out),
                hint="name another folder",
            )
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ExportError(
            "the folder has files in it",
            where=str(out),
            hint="name another folder, or replace it with --overwrite",
        )


def _put_in_place(staged: Path, out: Path, *, aside: Path) -> None:
    if not out.exists():
        staged.rename(out)
        return
    out.rename(aside)
    try:
        staged.rename(out)
    except OSError:
        aside.rename(out)
        raise
    shutil.rmtree(aside)
