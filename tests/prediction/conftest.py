import pytest
from tiny_models import TinyModel, make_tiny_model, random_page

from ocrtune.families import FAMILIES


@pytest.fixture(scope="session", params=list(FAMILIES))
def tiny(request, golden, tmp_path_factory) -> TinyModel:
    return make_tiny_model(golden, tmp_path_factory.mktemp(request.param) / "model", request.param)


@pytest.fixture(scope="session")
def tiny_v1(golden, tmp_path_factory) -> TinyModel:
    return make_tiny_model(golden, tmp_path_factory.mktemp("v1") / "model", "deepseek_ocr")


@pytest.fixture(scope="session")
def page():
    """Makes a page of noise."""
    return random_page
