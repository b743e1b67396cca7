"""Write the corpus to a folder for looking, or the page of the docs about it."""

import sys
import tempfile
from pathlib import Path

from fault_corpus import CASES, archives
from fault_corpus.judging import make
from fault_corpus.page import PAGE, write_page


def main() -> None:
    """`FOLDER` gets a folder for each case; `--docs` writes the page."""
    (argument,) = sys.argv[1:] or ["--docs"]
    if argument == "--docs":
        with tempfile.TemporaryDirectory() as folder:
            PAGE.write_text(write_page(Path(folder)), encoding="utf-8")
        sys.stderr.write(f"wrote {PAGE}\n")
        return
    folder = Path(argument)
    folder.mkdir(parents=True)
    for case in CASES:
        make(case, folder)
    for name, (make_archive, _) in archives().items():
        own = folder / f"archives-{name}"
        own.mkdir()
        make_archive(own)
    sys.stderr.write(f"wrote {len(CASES) + len(archives())} cases to {folder}\n")


if __name__ == "__main__":
    main()
