"""A request → the rows it names, memory-mapped or as a stream; every way to fail becomes one error."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrtune.errors import OcrtuneError, SourceError
from ocrtune.sources.hub.options import HubRequest
from ocrtune.sources.uris import nearest

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

PARQUET = ".parquet"
DEFAULT_SPLIT = "train"

_ON_A_HUB = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_PLAIN_SPLIT = re.compile(r"[\w.-]+")
_SAVED_SPLIT = "state.json"
_SAVED_SPLITS = "dataset_dict.json"
_SCRIPT = "scripts are no longer supported"


def open_rows(request: HubRequest) -> tuple["Dataset | IterableDataset", str]:
    """The rows of a split, and its name; nothing of them is decoded.

    What is on a hub is downloaded once, by its library, which keeps it; `HF_HOME` tells where. Images of Parquet files are
    copied once into files of that library too, for these can be mapped into memory.

    Raises:
        SourceError: There is no such data set, split or table, it cannot be reached or read, or it is a program.
    """
    if not request.path.exists() and not _ON_A_HUB.fullmatch(request.name):
        raise SourceError(
            f"there is no folder {request.name!r}",
            hint="a data set of the hub is named as in hub:owner/name",
        )
    if request.path.is_file() and request.path.suffix.lower() != PARQUET:
        raise SourceError(
            f"{request.name!r} is a file, and hub: takes a folder, a {PARQUET} file or the name of a data set"
        )
    with naming_errors(request):
        return _open(request)


@contextmanager
def naming_errors(request: HubRequest) -> Iterator[None]:
    """Whatever the library raises, as a SourceError that names the data set.

    Raises:
        SourceError: Something was raised.
    """
    try:
        yield
    except OcrtuneError:
        raise
    except Exception as error:  # the library raises its own, pyarrow's, fsspec's and the net's
        raise _as_source_error(request, error) from error


def _open(request: HubRequest) -> tuple["Dataset | IterableDataset", str]:
    from datasets import load_from_disk  # noqa: PLC0415 - takes a second that only this source needs

    if (request.path / _SAVED_SPLIT).is_file():
        _refuse_options(request, "split", "config", "revision")
        return load_from_disk(request.name, keep_in_memory=False), request.path.name
    if (request.path / _SAVED_SPLITS).is_file():
        _refuse_options(request, "config", "revision")
        return _choose(load_from_disk(request.name, keep_in_memory=False), request)
    if request.split is not None and not _PLAIN_SPLIT.fullmatch(request.split):
        return _load(request, split=request.split), request.split
    return _choose(_load(request, split=None), request)


def _refuse_options(request: HubRequest, *options: str) -> None:
    """Refuse what cannot be chosen of a folder that the library has saved."""
    for option in options:
        if getattr(request, option) is not None:
            raise SourceError(
                f"{option}={getattr(request, option)} cannot be chosen: the folder holds what the library saved, and one {option}",
                where=request.name,
                hint=f"leave {option}= away",
            )


def _load(request: HubRequest, *, split: str | None) -> Any:
    from datasets import load_dataset  # noqa: PLC0415 - as above

    is_file = request.path.is_file()
    # A name that is a folder too is the folder; so is a folder named like one of the library's own formats.
    name = str(request.path.absolute()) if request.path.exists() else request.name
    return load_dataset(
        PARQUET.removeprefix(".") if is_file else name,
        request.config,
        data_files=name if is_file else None,
        split=split,
        revision=request.revision,
        streaming=request.streaming,
        keep_in_memory=False if not request.streaming else None,
    )


def _choose(splits: Mapping[str, Any], request: HubRequest) -> tuple["Dataset | IterableDataset", str]:
    """The split that is asked for, else the only one or `train`."""
    wanted = request.split or (next(iter(splits)) if len(splits) == 1 else DEFAULT_SPLIT)
    if wanted not in splits:
        raise SourceError(
            f"there is no split {wanted!r}{nearest(wanted, list(splits))}",
            where=request.name,
            hint=f"it has {', '.join(splits)}: split=NAME takes one",
        )
    return splits[wanted], wanted


def _as_source_error(request: HubRequest, error: Exception) -> SourceError:
    told = " ".join(str(error).split()) or type(error).__name__
    if error.__cause__ is not None:
        # The library's own words may be that an error occurred.
        told += f": {' '.join(str(error.__cause__).split()) or type(error.__cause__).__name__}"
    hints: list[tuple[Callable[[], bool], str, str]] = [
        (
            lambda: _SCRIPT in told,
            "the data set is a program that makes it, and no code that comes with data is run",
            "the hub keeps a converted copy of many: revision=refs/convert/parquet",
        ),
        (
            lambda: "Config name is missing" in told or "BuilderConfig" in told,
            f"the data set has several tables, or none of this name: {told}",
            "config=NAME takes one",
        ),
        (
            lambda: isinstance(error, ConnectionError) or type(error).__name__ == "DatasetNotFoundError",
            f"the data set {request.name!r} cannot be reached: {told}",
            "there is no folder of this name either; look at the name and the net, and one that is private or asks for consent needs `hf auth login`",
        ),
    ]
    for fits, message, hint in hints:
        if fits():
            return SourceError(message, where=request.name, hint=hint)
    return SourceError(f"the data set cannot be read: {told}", where=request.name)


def is_local(request: HubRequest) -> bool:
    """Whether the request names something on this machine."""
    return request.path.exists()


def image_roots(request: HubRequest) -> tuple[Path, ...]:
    """The folders that image files may be in: the data set's own, and those in which the library keeps what it fetched."""
    from datasets import config  # noqa: PLC0415 - as above
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415 - as above

    kept = (Path(config.HF_DATASETS_CACHE), Path(config.DOWNLOADED_DATASETS_PATH), Path(HF_HUB_CACHE))
    folder = request.path.parent if request.path.is_file() else request.path
    return (folder.absolute(), *kept) if is_local(request) else kept
