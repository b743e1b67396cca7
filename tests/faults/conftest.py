import pytest
from tiny_models import TinyModel, make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(golden, tmp_path_factory) -> TinyModel:
    """A golden model as a base to fine-tune."""
    return make_tiny_model(golden, tmp_path_factory.mktemp("tiny") / "base", "deepseek_ocr")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The folder of the cases, each made once when it is first asked for."""
    return tmp_path_factory.mktemp("corpus")
