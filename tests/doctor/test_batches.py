import pytest
import torch
from golden_batches import IMAGE_ID, copied, read_golden
from safetensors.torch import load_file, save_file

from ocrtune.doctor.batches import check_batch_file, read_batch, write_batch
from ocrtune.errors import SourceError
from ocrtune.families import FAMILIES

SUFFIXES = (".pt", ".safetensors")


def save(batch, path):
    if path.suffix == ".pt":
        torch.save(dict(batch), path)
    else:
        write_batch(batch, path)
    return path


def assert_same(found, wanted):
    assert torch.equal(torch.as_tensor(found), torch.as_tensor(wanted))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", FAMILIES)
class TestRoundTrip:
    def test_of_the_published_form(self, name, suffix, tmp_path):
        batch = read_golden(name).batch.published()
        found = read_batch(save(batch, tmp_path / f"batch{suffix}"))
        assert found.keys() == batch.keys()
        for pair, wanted in zip(found.pop("images"), batch.pop("images"), strict=True):
            assert all(torch.equal(*views) for views in zip(pair, wanted, strict=True))
        for key, value in batch.items():
            assert_same(found[key], value)

    def test_of_the_native_form(self, name, suffix, tmp_path):
        batch = read_golden(name).batch.native()
        found = read_batch(save(batch, tmp_path / f"batch{suffix}"))
        for key, value in batch.items():
            assert_same(found[key], value)

    def test_has_no_finding(self, name, suffix, tmp_path):
        golden = read_golden(name)
        for form in (golden.batch.native(), golden.batch.published()):
            path = save(form, tmp_path / f"batch{suffix}")
            assert check_batch_file(path, golden.family, image_id=IMAGE_ID) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_broken_batch_has_its_findings(suffix, tmp_path):
    golden = read_golden("deepseek_ocr")
    batch = copied(golden.batch.published())
    batch["images_spatial_crop"] = batch["images_spatial_crop"].flip(1)
    path = save(batch, tmp_path / f"batch{suffix}")
    assert [finding.code for finding in check_batch_file(path, golden.family, image_id=IMAGE_ID)] == [
        "grid-swapped"
    ]


def test_the_flat_names_are_these(tmp_path):
    write_batch(read_golden("unlimited_ocr").batch.published(), tmp_path / "batch.safetensors")
    assert set(load_file(tmp_path / "batch.safetensors")) == {
        "input_ids",
        "attention_mask",
        "labels",
        "images_seq_mask",
        "images_spatial_crop",
        "images.0.tiles",
        "images.0.global_view",
    }


def test_recorded_outputs_beside_prefixed_inputs_are_left_alone(golden):
    batch = read_batch(golden / "deepseek_ocr" / "io.safetensors")
    assert set(batch) == {"input_ids", "attention_mask", "labels", "images_seq_mask", "images_spatial_crop"}


class TestRefused:
    def test_a_pickle_that_would_run_code(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (pytest.fail, ("this ran",))

        torch.save({"input_ids": Evil()}, tmp_path / "batch.pt")
        with pytest.raises(SourceError, match="weights_only=True"):
            read_batch(tmp_path / "batch.pt")

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(SourceError, match="no file"):
            read_batch(tmp_path / "batch.pt")

    def test_a_file_of_another_kind(self, tmp_path):
        (tmp_path / "batch.npz").write_bytes(b"PK")
        with pytest.raises(SourceError, match="safetensors"):
            read_batch(tmp_path / "batch.npz")

    def test_a_list(self, tmp_path):
        torch.save([torch.zeros(1)], tmp_path / "batch.pt")
        with pytest.raises(SourceError, match="holds a list"):
            read_batch(tmp_path / "batch.pt")

    def test_what_is_no_batch(self, tmp_path):
        save_file({"weight": torch.zeros(1)}, tmp_path / "batch.safetensors")
        with pytest.raises(SourceError, match="no input_ids among the keys: weight"):
            read_batch(tmp_path / "batch.safetensors")

    def test_half_a_pair_of_views(self, tmp_path):
        tensors = {"input_ids": torch.zeros((2, 2)), "images.1.tiles": torch.zeros((1, 3, 64, 64))}
        save_file(tensors, tmp_path / "batch.safetensors")
        with pytest.raises(
            SourceError, match=r"images\.0\.global_view, images\.0\.tiles, images\.1\.global_view"
        ):
            read_batch(tmp_path / "batch.safetensors")
