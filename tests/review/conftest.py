import pytest
from tiny_reviews import write_lines, write_predictions

from ocrtune.review import open_review


@pytest.fixture
def lines(tmp_path):
    """A folder of four lines with a manifest."""
    write_lines(tmp_path / "lines")
    return tmp_path / "lines"


@pytest.fixture
def predictions(tmp_path, lines):
    return write_predictions(tmp_path / "read")


@pytest.fixture
def review(predictions, lines):
    """Predictions beside their references, worst first: cut, odd, near, good."""
    opened = open_review(str(predictions), reference=str(lines))
    yield opened
    opened.store.close()
