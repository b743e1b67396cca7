"""A uri of shards → pages and findings."""

from ocrtune.records import Finding
from ocrtune.sources.shards.files import find_shards
from ocrtune.sources.shards.options import ShardRequest
from ocrtune.sources.shards.pages import ShardPages
from ocrtune.sources.shards.tar_pages import read_tars


def read_shards(request: ShardRequest) -> tuple[ShardPages, list[Finding]]:
    """The pages of shards, in the order of the shards and of the pages in them, and everything that was odd.

    Raises:
        SourceError: There are no shards, or columns are not those looked for.
    """
    shards = find_shards(request)
    if request.kind == "webdataset":
        return read_tars(shards)
    from ocrtune.sources.shards.parquet_pages import read_parquets  # noqa: PLC0415  # Arrow takes a while to import

    return read_parquets(shards, request)


def is_streamed(request: ShardRequest) -> bool:
    """Whether a run learns from the shards one after the other: of Parquet, where there are several files.

    Raises:
        SourceError: There are no shards.
    """
    if request.kind == "webdataset" or request.streamed is not None:
        return request.streamed is not False
    return len(find_shards(request)) > 1
