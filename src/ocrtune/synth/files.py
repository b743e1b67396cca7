"""Synthetic pages as files: a folder that every command takes, made by many processes and gone on with when cut off."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ocrtune import __version__
from ocrtune.errors import SynthError
from ocrtune.progress import say, track
from ocrtune.sources import write_jsonl, write_text_atomically
from ocrtune.synth.config import SynthConfig
from ocrtune.synth.making import Maker, Sample
from ocrtune.synth.reading import read_synth_config, synth_config_text

CONFIG = "synth.yaml"
SETTINGS = "settings.json"
MANIFEST = "manifest.jsonl"
FINDINGS = "findings.json"
PARTS = "parts"

PAGES_PER_PART = 32
"""Pages a process makes before they count as made; a process that is killed loses no more."""

PAGES_PER_FOLDER = 1000
JPEG_QUALITY = 88

ImageFormat = Literal["auto", "png", "jpeg"]
"""`auto` is PNG for lines and JPEG for pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `write_pages` left in a folder, and how it went.

    Attributes:
        manifest: The manifest, a source of pages like any other.
        findings: What was passed over, counted.
        num_pages: Pages of the manifest.
        num_resumed: Those that an earlier run had made.
        num_skipped: Texts passed over because no font has their letters, in all runs together.
        elapsed_s: Seconds in this run.
    """

    manifest: Path
    findings: Path
    num_pages: int
    num_resumed: int
    num_skipped: int
    elapsed_s: float

    def as_dict(self) -> dict[str, object]:
        """The run for `--json`."""
        return {
            "manifest": str(self.manifest),
            "findings": str(self.findings),
            "pages": self.num_pages,
            "resumed": self.num_resumed,
            "skipped_texts": self.num_skipped,
            "elapsed_s": round(self.elapsed_s, 1),
        }


def write_pages(
    config: SynthConfig,
    folder: Path,
    *,
    processes: int | None = None,
    resume: bool = True,
    images: ImageFormat = "auto",
) -> Written:
    """Make the first `config.count` pages of a recipe as files.

    The folder then holds `manifest.jsonl` with a line for each page, the images, the whole recipe in `synth.yaml`, and
    in `findings.json` what was passed over. How many processes make them, and how often a run is cut off and started
    again, changes no byte.

    Args:
        config: The recipe.
        folder: Where they go; made if it is missing.
        processes: How many make pages; one for each processor without it.
        resume: Go on with what a run that was cut off left in the folder; without it a folder in use is refused.
        images: The format of images.

    Raises:
        SynthError: The folder holds something else than pages of this recipe, or some pages cannot be made.
    """
    start = time.monotonic()
    parts = _Parts(folder, config, images)
    _open(parts, resume=resume)
    complete = (folder / MANIFEST).exists()
    missing = [] if complete else [part for part in parts.all if not parts.path(part).exists()]
    num_resumed = config.count - sum(map(len, missing))
    if num_resumed:
        say(f"going on after {num_resumed} of {config.count} pages")
    for _ in track(_make(parts, missing, processes), "making pages", total=config.count - num_resumed):
        pass
    if not complete:
        parts.publish()
    findings = _read_json(folder / FINDINGS)
    return Written(
        manifest=folder / MANIFEST,
        findings=folder / FINDINGS,
        num_pages=config.count,
        num_resumed=num_resumed,
        num_skipped=sum(findings["texts_without_font"].values()),
        elapsed_s=time.monotonic() - start,
    )


def _open(parts: "_Parts", *, resume: bool) -> None:
    """Start the folder, or find it again.

    Raises:
        SynthError: Something else lies there.
    """
    folder = parts.folder
    if folder.exists() and not folder.is_dir():
        raise SynthError("pages go into a folder, and this is a file", where=str(folder), hint="name another")
    # Another version may draw the same recipe in another way.
    settings: dict[str, object] = {"ocrtune": __version__, "images": parts.images}
    if not (folder / MANIFEST).exists():
        settings |= parts.maker.materials()
    if (folder / SETTINGS).exists():
        _require_same(folder, {**settings, **parts.config.model_dump(mode="json")}, resume=resume)
        return
    text = synth_config_text(parts.config)
    recipe = folder / CONFIG
    is_foreign = recipe.exists() and recipe.read_text(encoding="utf-8") != text
    if is_foreign or (folder / MANIFEST).exists():
        raise SynthError(
            f"a {CONFIG if is_foreign else MANIFEST} lies there that this command did not write",
            where=str(folder),
            hint="write to another folder",
        )
    write_text_atomically(recipe, text)
    # Last: a folder with settings has everything that tells whose pages it holds.
    write_text_atomically(folder / SETTINGS, _json_text(settings))


def _require_same(folder: Path, wanted: Mapping[str, object], *, resume: bool) -> None:
    found = _read_json(folder / SETTINGS)
    found |= read_synth_config(folder / CONFIG).model_dump(mode="json")
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing or not resume:
        said = f" that differ in {', '.join(differing)}" if differing else ""
        raise SynthError(
            f"synthetic pages lie there{said}",
            where=str(folder),
            hint="write to another folder, or delete this one",
        )


@dataclass(frozen=True)
class _Parts:
    """The pages of a folder in stretches: a process makes one at a time, and each leaves a file of rows when it is done.

    Attributes:
        folder: Where pages go.
        config: Their recipe.
        images: The format of their images.
    """

    folder: Path
    config: SynthConfig
    images: ImageFormat

    @cached_property
    def all(self) -> list[range]:
        """The pages of each part."""
        count = self.config.count
        return [range(first, min(first + PAGES_PER_PART, count)) for first in range(0, count, PAGES_PER_PART)]

    @cached_property
    def maker(self) -> Maker:
        """The one of this process."""
        return Maker(self.config)

    def path(self, part: range) -> Path:
        """The file of a part: a line of counts, then a line for each page."""
        return self.folder / PARTS / f"{part.start:07d}.jsonl"

    def make(self, part: range) -> int:
        """Make a part; its number of pages."""
        lacking = Counter(self.maker.fonts.lacking)
        misses: Counter[str] = Counter()
        rows = []
        for number in part:
            sample = self.maker.sample(number)
            misses += sample.misses
            rows.append({"image": self._save(sample), **_row(sample)})
        counts = {"misses": misses, "lacking": self.maker.fonts.lacking - lacking}
        write_jsonl(self.path(part), [counts, *rows])
        return len(part)

    def publish(self) -> None:
        """Manifest and findings from all parts, which are removed."""
        misses: Counter[str] = Counter()
        lacking: Counter[str] = Counter()
        temporary = self.folder / f".{MANIFEST}.tmp"
        with temporary.open("wb") as manifest:
            for part in self.all:
                told, rows = _read_part(self.path(part))
                manifest.writelines(rows)
                misses.update(told["misses"])
                lacking.update(told["lacking"])
        findings = {"texts_without_font": misses, "fonts_lacking_letters": lacking}
        write_text_atomically(self.folder / FINDINGS, _json_text(findings))
        # Last: a folder with a manifest is complete.
        temporary.replace(self.folder / MANIFEST)
        shutil.rmtree(self.folder / PARTS)

    def _save(self, sample: Sample) -> str:
        """Write the image; its path in the folder."""
        is_png = self.images == "png" or (self.images == "auto" and sample.facts["layout"] == "line")
        suffix, options = (".png", {}) if is_png else (".jpg", {"quality": JPEG_QUALITY})
        name = f"images/{sample.number // PAGES_PER_FOLDER:04d}/{sample.number:07d}{suffix}"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The same name each time: a run that was killed leaves nothing that the next one does not overwrite.
        temporary = path.with_name(f".{path.name}.tmp")
        sample.scan.image.save(temporary, "PNG" if is_png else "JPEG", **options)
        temporary.replace(path)
        return name


def _row(sample: Sample) -> dict[str, object]:
    return {"text": sample.text, "document": sample.document, "synth": sample.facts}


def _read_json(path: Path) -> dict[str, Any]:
    """What an earlier run wrote."""
    with _naming(path):
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def _read_part(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """The counts of a part, and its rows as they are written."""
    with _naming(path):
        counts, *rows = path.read_bytes().splitlines(keepends=True)
        return json.loads(counts), rows


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A file of the folder that is gone or broken, as an error that names it."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise SynthError(
            "a file that this command wrote is missing or broken",
            where=str(path),
            hint="delete the folder, or write to another one",
        ) from error


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _make(parts: _Parts, missing: Sequence[range], processes: int | None) -> Iterator[int]:
    """Make parts, in this process or in several; something for each page that is made."""
    wanted = min(processes or os.cpu_count() or 1, len(missing))
    if wanted <= 1:
        for part in missing:
            yield from range(parts.make(part))
        return
    # Spawned: a fork of a process that has used torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(
        wanted, context, initializer=_keep, initargs=(parts.folder, parts.config, parts.images)
    )
    try:
        for future in as_completed([executor.submit(_make_kept, part) for part in missing]):
            yield from range(future.result())
    finally:
        executor.shutdown(cancel_futures=True)


_kept: list[_Parts] = []
"""What a process of the pool makes."""


def _keep(folder: Path, config: SynthConfig, images: ImageFormat) -> None:
    _kept.append(_Parts(folder, config, images))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Otherwise this process would wait for orders for ever after a run that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _make_kept(part: range) -> int:
    return _kept[0].make(part)
