"""Archives, and shards of tar and Parquet, that are broken or made to do harm."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fault_corpus.case import BAD_TEXT, TEXTS, Case, bad, bad_bytes, good, good_bytes, refused

_TARS, _PARQUETS = "webdataset", "parquet"
Members = Sequence[tuple[str, bytes]]


def cases() -> list[Case]:
    """All of shards."""
    return [*_tars(), *_parquets()]


def archives() -> dict[str, tuple[Callable[[Path], Path], str]]:
    """Archives by name: what makes each, and the code of the error or finding that `ocrtune import` gives."""
    rows = [(f"page{n}.png", good_bytes(n - 1)) for n in range(1, 7)]
    rows += [(f"page{n}.txt", text.encode()) for n, text in enumerate(TEXTS, start=1)]
    unsafe = "archive-unsafe"
    return {
        "zip-path-out": (partial(_zip, members=[*rows, ("../bad.txt", b"bad")]), unsafe),
        "zip-absolute": (partial(_zip, members=[*rows, ("/bad.txt", b"bad")]), unsafe),
        "zip-link": (partial(_zip, members=rows, link=True), unsafe),
        "zip-bomb": (partial(_zip, members=[*rows, ("bad.txt", bytes(2**27))]), unsafe),
        "zip-encrypted": (partial(_zip, members=rows, encrypted=True), unsafe),
        "zip-cut-off": (partial(_zip, members=rows, share=0.5), "archive"),
        "tar-path-out": (partial(_tar_file, members=[*rows, ("../bad.txt", b"bad")]), unsafe),
        "tar-absolute": (partial(_tar_file, members=[*rows, ("/bad.txt", b"bad")]), unsafe),
        "tar-link": (partial(_tar_file, members=rows, link=True), unsafe),
        "tar-bomb": (partial(_tar_file, members=[*rows, ("bad.txt", bytes(2**27))], packed=True), unsafe),
        "tar-cut-off": (partial(_tar_file, members=rows, share=0.5), "archive"),
    }


def _tars() -> list[Case]:
    page = [("bad.png", bad_bytes()), ("bad.txt", BAD_TEXT.encode())]
    latin = [("bad.png", bad_bytes()), ("bad.txt", "café".encode("latin-1"))]
    return [
        good(_TARS, "tar-right", _with_tar(_tar(page))),
        bad(_TARS, "tar-cut-off", _with_tar(_tar(page)[:700]), "shard-cut-off"),
        bad(_TARS, "tar-zero-bytes", _with_tar(b""), "shard-broken"),
        bad(_TARS, "tar-of-noise", _with_tar(b"no tar at all " * 100), "shard-broken"),
        bad(_TARS, "tar-compressed", _with_tar(gzip.compress(_tar(page))), "shard-compressed"),
        bad(_TARS, "tar-path-out", _with_tar(_tar([("../bad.png", bad_bytes())])), "shard-member-refused"),
        bad(_TARS, "tar-link", _with_tar(_tar([], link="bad.png")), "shard-member-refused"),
        bad(_TARS, "tar-text-not-utf8", _with_tar(_tar(latin)), "shard-text"),
        bad(_TARS, "tar-broken-image", _with_tar(_tar([("bad.png", bad_bytes()[:200]), page[1]])), "image", code="image"),
        bad(_TARS, "tar-without-image", _with_tar(_tar(page[1:])), "shard-without-image"),
    ]  # fmt: skip


def _parquets() -> list[Case]:
    return [
        good(_PARQUETS, "parquet-right", _with_parquet([bad_bytes()])),
        bad(_PARQUETS, "parquet-null-image", _with_parquet([None]), "image"),
        bad(_PARQUETS, "parquet-broken-image", _with_parquet([bad_bytes()[:200]]), "image"),
        bad(_PARQUETS, "parquet-zero-bytes", _with_parquet([], content=b""), "shard-broken"),
        bad(_PARQUETS, "parquet-cut-off", _with_parquet([bad_bytes()], share=0.6), "shard-broken"),
        bad(_PARQUETS, "parquet-other-columns", _with_parquet([bad_bytes()], column="scan"), "shard-columns"),
        refused(_PARQUETS, "parquet-no-image-column", _with_parquet([bad_bytes()], wanted="scan"), "source"),
    ]  # fmt: skip


def _with_tar(content: bytes) -> Callable[[Path], str]:
    """A folder of a good tar and another."""

    def make(folder: Path) -> str:
        members = [
            member
            for number, text in enumerate(TEXTS)
            for member in [(f"page{number}.png", good_bytes(number)), (f"page{number}.txt", text.encode())]
        ]
        (folder / "000.tar").write_bytes(_tar(members))
        (folder / "001.tar").write_bytes(content)
        return f"webdataset:{folder}"

    return make


def _with_parquet(
    images: Sequence[bytes | None],
    *,
    content: bytes | None = None,
    share: float = 1,
    column: str = "image",
    wanted: str = "image",
) -> Callable[[Path], str]:
    """A folder of a good Parquet file and another, read as one table and not as a stream."""

    def make(folder: Path) -> str:
        good_images = [good_bytes(number) for number in range(len(TEXTS))]
        (folder / "0.parquet").write_bytes(_parquet("image", good_images, TEXTS))
        written = _parquet(column, images, [BAD_TEXT] * len(images)) if content is None else content
        (folder / "1.parquet").write_bytes(written[: round(len(written) * share)])
        return f"parquet:{folder}?image={wanted}&text=text&stream=false"

    return make


def _parquet(column: str, images: Sequence[bytes | None], texts: Sequence[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(
        pa.table({column: pa.array(images, pa.binary()), "text": pa.array(texts, pa.string())}), file
    )
    return file.getvalue()


def _tar(members: Members, *, link: str = "", packed: bool = False) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz" if packed else "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
            archive.addfile(info)
    return file.getvalue()


def _tar_file(
    folder: Path, *, members: Members, link: bool = False, packed: bool = False, share: float = 1
) -> Path:
    path = folder / ("bad.tar.gz" if packed else "bad.tar")
    content = _tar(members, link="link.txt" if link else "", packed=packed)
    path.write_bytes(content[: round(len(content) * share)])
    return path


def _zip(
    folder: Path, *, members: Members, link: bool = False, encrypted: bool = False, share: float = 1
) -> Path:
    path = folder / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo("link.txt")
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, "/etc/hostname")
    content = bytearray(path.read_bytes())
    if encrypted:
        for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(mark) + place] |= 1
    path.write_bytes(content[: round(len(content) * share)])
    return path
