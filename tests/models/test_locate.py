import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from ocrtune.errors import CheckpointError
from ocrtune.models import locate, locate_model


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert locate_model(str(tmp_path)) == tmp_path


def test_a_folder_goes_before_a_hub_id_of_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locate, "snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    assert locate_model("owner/name").is_dir()


def test_a_hub_id_is_fetched_without_code_and_pickles(monkeypatch, tmp_path):
    asked = {}

    def download(hub_id, *, allow_patterns):
        asked[hub_id] = allow_patterns
        return str(tmp_path)

    monkeypatch.setattr(locate, "snapshot_download", download)
    assert locate_model("owner/name") == tmp_path
    assert not [pattern for pattern in asked["owner/name"] if pattern.endswith((".py", ".bin", "*"))]


def test_a_hub_id_that_is_not_on_disk_is_an_error_where_the_hub_is_off(monkeypatch):
    def offline(*_, **__):
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(locate, "snapshot_download", offline)
    with pytest.raises(CheckpointError, match="owner/name") as raised:
        locate_model("owner/name")
    assert "HF_HUB_OFFLINE" in raised.value.hint


def test_no_request_leaves_where_the_hub_is_off():
    # `HF_HUB_OFFLINE` is set for all tests.
    with pytest.raises(CheckpointError, match="not on this disk"):
        locate_model("owner/a-model-that-is-not-there")


@pytest.mark.parametrize("name", ["no such folder", "a/b/c", "/nowhere/at/all", "./here"])
def test_what_is_neither_folder_nor_hub_id_is_an_error(name):
    with pytest.raises(CheckpointError, match="no folder"):
        locate_model(name)


def test_a_file_is_no_model_folder(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        locate_model(str(tmp_path / "model.safetensors"))
