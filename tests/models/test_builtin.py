import shutil

import pytest
from huggingface_hub import constants

from ocrtune.models import builtin, load_checkpoint
from ocrtune.models.builtin import find_builtin


@pytest.fixture
def assets(tmp_path, monkeypatch):
    from huggingface_hub.utils import _cache_assets

    monkeypatch.setattr(_cache_assets, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path / "assets"


def test_the_small_model_is_made_once_and_loads(assets, monkeypatch):
    folder = find_builtin("builtin")
    assert folder.is_relative_to(assets.resolve())
    assert load_checkpoint(folder, device="cpu").recipe.mode.name == "lines"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing else is left"
    monkeypatch.setattr(builtin, "build_tiny_checkpoint", None)
    assert find_builtin("builtin") == folder


def test_random_weights_are_another_folder(assets):
    assert find_builtin("builtin-random").name.startswith("builtin-random-")
    assert find_builtin("builtin-random") != find_builtin("builtin")


def test_a_folder_of_the_name_goes_first_and_other_names_stay(assets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "builtin").mkdir()
    assert find_builtin("builtin") == "builtin"
    assert find_builtin("owner/name") == "owner/name"
    assert not assets.exists()


def test_where_no_assets_can_be_kept_it_is_made_in_a_temporary_folder(assets):
    assets.write_text("in the way")
    folder = find_builtin("builtin")
    assert (folder / "model.safetensors").is_file()
    shutil.rmtree(folder.parent)
