"""Whether a file on disk is still the one that was read."""

from pathlib import Path


def file_version(path: Path) -> tuple[int, int, int]:
    """What is another one once a file was written to or replaced: its length, and the times it and its entry changed.

    The last of them sees through a file of the same length that was given the time of the old one, as `cp -p` does.

    Raises:
        OSError: It is not there.
    """
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
