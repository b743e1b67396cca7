"""Vision features on disk: found again bit for bit, by their key alone, within a limit, and never when they are damaged."""

import importlib
import json
import os
import resource
import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import make_tiny_model, random_page

from ocrtune.data import build_example
from ocrtune.inputs import encode
from ocrtune.inputs.collate import collate
from ocrtune.inputs.kept import as_kept
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.feature_cache import HEADER_BYTES, FeatureCache, MemoryFeatures
from ocrtune.models.feature_folders import IN_USE_S, LAST_USED, total_bytes
from ocrtune.models.feature_key import FeatureKey, feature_key
from ocrtune.models.feature_shards import BAD_SUFFIX, SUFFIX, TEMPORARY_SUFFIX
from ocrtune.models.known_features import FeatureSource
from ocrtune.models.tuning import part_of
from ocrtune.records import Cut, Page, PdfPage, TiffPage
from ocrtune.sources import open_image
from ocrtune.sources.content import content_key

FAMILIES = ("deepseek_ocr", "deepseek_ocr2", "unlimited_ocr")
KEY = FeatureKey({"family": "a test"})
ROOM = 10**9


def image(number, tokens=4, dtype=torch.bfloat16):
    values = torch.randn(tokens, 8, generator=torch.Generator().manual_seed(number)).to(dtype)
    return as_kept(values, key=f"{number:032x}", size=(10 + number, 20))


def same(found, expected):
    return (
        found is not None
        and np.array_equal(found.values, expected.values)
        and (found.dtype, found.size) == (expected.dtype, expected.size)
    )


def filled(root, numbers=range(6), **arguments):
    cache = FeatureCache(root, KEY, limit_bytes=ROOM, **arguments)
    for number in numbers:
        cache.add(image(number))
    cache.flush()
    return cache


@pytest.fixture(scope="module")
def tiny(golden, tmp_path_factory):
    made = {}

    def of(name):
        if name not in made:
            made[name] = make_tiny_model(golden, tmp_path_factory.mktemp(name) / "base", name)
        return made[name]

    return of


def decoder_learns(tiny):
    model = load_model(tiny.folder)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = part_of(name) == "decoder"
    return model


def examples_of(tiny):
    """A page with tiles, one without, one of text alone, and of Unlimited one of two images."""
    pages = [random_page(f"p{number}", size, number, text="abc" * (number + 1)) for number, size in SIZES]
    if not tiny.family.several_images:
        return [example_of(tiny, page) for page in pages]
    several = replace(pages[1], images=(pages[1].images[0], random_page("x", (80, 60), 9).images[0]))
    prompt = tiny.family.vocabulary.image * 2 + "document parsing."
    return [*(example_of(tiny, page) for page in pages), example_of(tiny, replace(several, prompt=prompt))]


SIZES = ((0, (300, 200)), (1, (100, 90)))


def example_of(tiny, page):
    return build_example(
        page, tiny.family, prompt=tiny.recipe.prompt, normalization=tiny.recipe.normalization
    )


def loss_and_gradients(model, tiny, examples, source):
    model.zero_grad()
    features = None if source is None else source.features
    inputs = [encode(example, tiny.recipe, tiny.tokenizer, features) for example in examples]
    arguments = collate(inputs, tiny.family, pad_id=tiny.tokenizer.pad_id).native()
    if source is not None:
        arguments = source.complete(model, arguments)
    loss = supervised_loss(model, arguments).loss
    loss.backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return loss.item(), gradients


@pytest.mark.parametrize("name", FAMILIES)
def test_cached_equals_computed_in_loss_and_gradients(tiny, name, tmp_path):
    tiny = tiny(name)
    model, examples = decoder_learns(tiny), examples_of(tiny)
    key = feature_key(model, tiny.recipe.mode, autocast_dtype=None)
    text = replace(examples[0], images=(), prompt="read")
    rows = [[example] for example in examples] + [[text]]
    for number, batch in enumerate([*rows, [*examples[:2], text]]):
        plain, gradients = loss_and_gradients(model, tiny, batch, None)
        # A cache of its own: an image that another batch computed by itself may round otherwise.
        folder = tmp_path / str(number)
        writer = FeatureSource(FeatureCache(folder, key, limit_bytes=ROOM), nullcontext)
        first, first_gradients = loss_and_gradients(model, tiny, batch, writer)
        writer.features.flush()
        reader = FeatureSource(FeatureCache(folder, key, limit_bytes=ROOM), nullcontext)
        second, second_gradients = loss_and_gradients(model, tiny, batch, reader)
        assert reader.counts["computed"] == 0
        assert reader.counts["read"] == sum(len(example.images) for example in batch)
        assert plain - first == plain - second == 0.0
        assert gradients.keys() == first_gradients.keys() == second_gradients.keys()
        assert all(torch.equal(gradients[part], first_gradients[part]) for part in gradients)
        assert all(torch.equal(gradients[part], second_gradients[part]) for part in gradients)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_of_known_and_unknown_images_keeps_their_order(tiny, name, tmp_path):
    tiny = tiny(name)
    model, examples = decoder_learns(tiny), examples_of(tiny)
    source = FeatureSource(FeatureCache(tmp_path, KEY, limit_bytes=ROOM), nullcontext)
    loss_and_gradients(model, tiny, examples[1:2], source)
    assert source.counts == {"computed": 1, "read": 0}
    for batch in (examples, examples[::-1]):
        plain, _ = loss_and_gradients(model, tiny, batch, None)
        mixed, _ = loss_and_gradients(model, tiny, batch, source)
        # What is computed beside other images may round otherwise.
        assert mixed == pytest.approx(plain, abs=2e-6)
    different = {content_key(image) for example in examples for image in example.images}
    assert source.counts["computed"] == len(different)


def test_an_image_that_stands_in_a_batch_twice_is_computed_once(tiny, tmp_path, monkeypatch):
    tiny = tiny("unlimited_ocr")
    model, examples = decoder_learns(tiny), examples_of(tiny)
    batch = [examples[0], examples[1], examples[0]]
    plain, gradients = loss_and_gradients(model, tiny, batch, None)
    seen, encode_images = [], model.encode_images
    monkeypatch.setattr(
        model, "encode_images", lambda images: seen.append(len(images)) or encode_images(images)
    )
    source = FeatureSource(FeatureCache(tmp_path, KEY, limit_bytes=ROOM), nullcontext)
    loss, found = loss_and_gradients(model, tiny, batch, source)
    assert seen == [2]
    assert source.counts == {"computed": 2, "read": 1}
    assert loss == pytest.approx(plain, abs=2e-6)
    assert all(torch.allclose(found[part], gradients[part], atol=1e-5) for part in gradients)


def test_features_keep_every_bit_in_every_dtype(tmp_path):
    images = [image(number, dtype=dtype) for number, dtype in enumerate((torch.float32, torch.bfloat16))]
    cache = FeatureCache(tmp_path, KEY, limit_bytes=ROOM)
    for kept in images:
        cache.add(kept)
        assert same(cache.find(kept.key), kept)
    cache.flush()
    assert all(same(FeatureCache(tmp_path, KEY, limit_bytes=ROOM).find(kept.key), kept) for kept in images)
    assert cache.find("f" * 32) is None


def test_a_shard_is_written_as_soon_as_it_is_full_and_another_process_finds_it(tmp_path):
    writer = FeatureCache(
        tmp_path, KEY, limit_bytes=ROOM, shard_bytes=3 * (image(0).values.nbytes + HEADER_BYTES)
    )
    reader = FeatureCache(tmp_path, KEY, limit_bytes=ROOM)
    for number in range(7):
        writer.add(image(number))
    assert [reader.find(image(number).key) is not None for number in range(7)] == [True] * 6 + [False]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "header"])
def test_a_damaged_shard_is_told_and_set_aside_and_its_images_are_computed_again(tmp_path, damage, capsys):
    cache = filled(tmp_path, shard_bytes=1)
    shards = sorted(cache.folder.glob(f"*{SUFFIX}"))
    assert len(shards) == 6
    content = bytearray(shards[2].read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
    kept = {"cut": content[:-3], "flipped": content, "emptied": b"", "header": b"\xff" * len(content)}[damage]
    shards[2].write_bytes(kept)
    again = FeatureCache(tmp_path, KEY, limit_bytes=ROOM)
    found = [again.find(image(number).key) for number in range(6)]
    missing = [number for number in range(6) if found[number] is None]
    assert len(missing) == 1
    assert "is set aside" in capsys.readouterr().err
    assert shards[2].with_name(shards[2].name + BAD_SUFFIX).exists()
    assert again.use().num_bad_shards == 1
    again.add(image(missing[0]))
    again.flush()
    assert same(FeatureCache(tmp_path, KEY, limit_bytes=ROOM).find(image(missing[0]).key), image(missing[0]))


def test_what_was_kept_twice_is_still_found_when_one_of_both_shards_is_damaged(tmp_path):
    first, second = (FeatureCache(tmp_path, KEY, limit_bytes=ROOM) for _ in range(2))
    for cache in (first, second):
        cache.add(image(1))
        cache.flush()
    for number, path in enumerate(sorted(first.folder.glob(f"*{SUFFIX}"))):
        content = bytearray(path.read_bytes())
        content[-1] ^= number == 0
        path.write_bytes(content)
    assert same(FeatureCache(tmp_path, KEY, limit_bytes=ROOM).find(image(1).key), image(1))


def test_a_full_cache_keeps_what_it_has_and_counts_the_rest(tmp_path, capsys):
    one = FeatureCache(tmp_path, KEY, limit_bytes=ROOM, shard_bytes=1)
    one.add(image(0))
    limit = total_bytes(tmp_path) * 3
    cache = FeatureCache(tmp_path, KEY, limit_bytes=limit, shard_bytes=1)
    for number in range(20):
        cache.add(image(number))
    assert 1 < len(cache) < 20
    assert total_bytes(tmp_path) <= limit
    assert cache.use().num_not_kept == 20 - len(cache)
    assert same(cache.find(image(0).key), image(0))
    assert capsys.readouterr().err.count("no more vision features are kept") == 1


def test_unused_caches_of_other_keys_make_room_the_oldest_first(tmp_path):
    caches = {}
    for age_s, name in ((3 * IN_USE_S, "oldest"), (2 * IN_USE_S, "old"), (0.0, "in use")):
        caches[name] = FeatureCache(tmp_path, FeatureKey({"name": name}), limit_bytes=ROOM)
        for number in range(4):
            caches[name].add(image(number, tokens=100))
        caches[name].flush()
        then = time.time() - age_s
        os.utime(caches[name].folder / LAST_USED, (then, then))
    (tmp_path / "not ours").mkdir()
    cache = FeatureCache(tmp_path, KEY, limit_bytes=total_bytes(tmp_path) + 500)
    cache.add(image(9, tokens=100))
    cache.flush()
    left = {name for name, other in caches.items() if other.folder.exists()}
    assert left == {"old", "in use"}
    assert (tmp_path / "not ours").exists()
    assert len(FeatureCache(tmp_path, KEY, limit_bytes=ROOM)) == 1


def test_a_disk_that_cannot_be_written_stops_the_keeping_not_the_run(tmp_path, monkeypatch, capsys):
    cache = FeatureCache(tmp_path, KEY, limit_bytes=ROOM)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ocrtune.models.feature_cache.write_shard", full)
    cache.add(image(1))
    cache.flush()
    cache.add(image(2))
    assert cache.use().num_not_kept == 2
    assert "No space left on device" in capsys.readouterr().err
    assert cache.find(image(1).key) is None


def test_a_write_that_the_system_breaks_off_leaves_nothing_and_is_told_once(tmp_path, capfd):
    """A limit on the size of files breaks the writing off in its midst, as a full disk does."""
    cache = filled(tmp_path, numbers=range(2))

    def write_too_much():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        for number in range(2, 8):
            cache.add(image(number, tokens=400))
            cache.flush()
        assert cache.use().num_not_kept == 6
        assert same(cache.find(image(1).key), image(1))

    in_a_fork(write_too_much)
    assert capfd.readouterr().err.count("no more vision features are kept") == 1
    assert not list(cache.folder.glob(f".*{TEMPORARY_SUFFIX}"))
    assert len(FeatureCache(tmp_path, KEY, limit_bytes=ROOM)) == 2


def test_a_folder_that_may_only_be_read_is_read_and_what_is_missing_in_it_told_once(tmp_path, capfd):
    folder = filled(tmp_path).folder
    shard = next(folder.glob(f"*{SUFFIX}"))
    (folder / f"shard-bad{SUFFIX}").write_bytes(shard.read_bytes()[:-3])
    for path, mode in ((tmp_path, 0o555), (folder, 0o555)):
        path.chmod(mode)

    def use_it():
        os.chdir(tmp_path)  # the folders above are private to who runs the tests
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write everywhere
        cache = FeatureCache(Path(), KEY, limit_bytes=ROOM)
        assert same(cache.find(image(1).key), image(1))
        for number in (6, 7):
            assert cache.find(image(number).key) is None
            cache.add(image(number))
            cache.flush()
            cache.refresh()
        assert (cache.use().num_not_kept, cache.use().num_bad_shards) == (2, 1)

    in_a_fork(use_it)
    told = capfd.readouterr().err
    assert told.count("no more vision features are kept") == told.count("is left out") == 1
    assert "Permission denied" in told


def in_a_fork(work):
    process = get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_what_is_interrupted_while_it_is_written_is_written_in_the_end(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, KEY, limit_bytes=ROOM)
    cache.add(image(1))

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ocrtune.models.feature_cache.write_shard", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cache.flush()
    cache.flush()
    assert same(FeatureCache(tmp_path, KEY, limit_bytes=ROOM).find(image(1).key), image(1))


def test_a_folder_that_is_removed_meanwhile_stops_the_keeping_not_the_run(tmp_path, capsys):
    cache = filled(tmp_path / "root")
    shutil.rmtree(tmp_path / "root")
    assert same(cache.find(image(1).key), image(1))
    assert cache.find(image(7).key) is None
    cache.add(image(7))
    cache.flush()
    cache.refresh()
    assert cache.use().num_not_kept == 1
    assert "no more vision features are kept" in capsys.readouterr().err


def test_leftovers_that_belong_to_others_do_not_keep_a_cache_from_being_used(tmp_path, monkeypatch):
    filled(tmp_path)
    leftover = next(tmp_path.iterdir()) / f".shard-0{TEMPORARY_SUFFIX}"
    leftover.touch()
    os.utime(leftover, (0, 0))

    def refuse(path, missing_ok=False):
        raise PermissionError(path)

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    assert same(FeatureCache(tmp_path, KEY, limit_bytes=ROOM).find(image(1).key), image(1))
    assert leftover.exists()


def test_leftovers_of_a_killed_process_are_removed_when_they_are_old(tmp_path):
    cache = filled(tmp_path)
    old, new = (cache.folder / f".shard-{name}.tmp" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half a shard")
    os.utime(old, (0, 0))
    FeatureCache(tmp_path, KEY, limit_bytes=ROOM)
    assert (old.exists(), new.exists()) == (False, True)


def fill_from(root, start):
    cache = FeatureCache(root, KEY, limit_bytes=ROOM, shard_bytes=5000)
    for number in range(start, 200):
        if cache.find(image(number).key) is None:
            cache.add(image(number))
    cache.flush()
    assert all(same(cache.find(image(number).key), image(number)) for number in range(start, 200))


def test_processes_that_fill_a_cache_at_once_leave_it_whole(tmp_path):
    fork = get_context("fork")
    running = [fork.Process(target=fill_from, args=(tmp_path, start)) for start in (0, 0, 60)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
        assert process.exitcode == 0
    cache = FeatureCache(tmp_path, KEY, limit_bytes=ROOM)
    assert len(cache) == 200
    assert all(same(cache.find(image(number).key), image(number)) for number in range(200))
    assert not list(cache.folder.glob("*.tmp")) + list(cache.folder.glob(f"*{BAD_SUFFIX}"))


def test_whatever_changes_features_is_another_key_and_what_does_not_is_the_same(tiny):
    tiny = tiny("deepseek_ocr")
    model = load_model(tiny.folder)

    def digest(mode=tiny.recipe.mode, autocast_dtype=None, of=model):
        return feature_key(of, mode, autocast_dtype=autocast_dtype).digest

    first = digest()
    assert digest(of=load_model(tiny.folder)) == first
    assert digest(mode=replace(tiny.recipe.mode, name="renamed")) == first
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    assert digest() == first
    others = [
        digest(autocast_dtype="bfloat16"),
        digest(mode=replace(tiny.recipe.mode, max_tiles=5)),
        digest(mode=replace(tiny.recipe.mode, tile_px=64)),
        digest(mode=replace(tiny.recipe.mode, fit="stretch")),
        digest(of=load_model(tiny.folder, dtype="bfloat16")),
    ]
    for tensor in (
        model.model.image_newline,
        model.model.view_separator,
        next(model.model.multi_modal_projector.parameters()),
        next(model.model.vision_tower.parameters()),
    ):
        with torch.no_grad():
            tensor.view(-1)[0].add_(1e-3)
        others.append(digest())
    assert len({first, *others}) == 1 + len(others)


def test_an_image_has_the_key_of_its_content_not_of_its_name(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    path, copy = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(pixels).save(path)
    copy.write_bytes(path.read_bytes())
    first = content_key(path)
    assert len(first) == 32
    assert content_key(copy) == first
    Image.fromarray(pixels[::-1].copy()).save(path)
    assert content_key(path) != first
    assert content_key(tmp_path / "missing.png") == ""
    assert content_key(Image.fromarray(pixels)) == content_key(Image.fromarray(pixels))
    corners = ((0.0, 0.0), (20.0, 0.0), (20.0, 20.0))
    sources = [
        path,
        copy,
        Image.fromarray(pixels),
        Image.fromarray(pixels[:, :-1].copy()),
        Image.fromarray(pixels).convert("L"),
        *(TiffPage(path=path, number=number) for number in (1, 2)),
        *(PdfPage(path=path, number=number, dpi=dpi) for number in (1, 2) for dpi in (100, 200)),
        Cut(path=path, polygon=corners),
        Cut(path=path, polygon=corners, margin_px=1),
        Cut(path=path, polygon=corners, quarter_turns=1),
        Cut(path=path, polygon=corners, baseline=corners[:2]),
        Cut(path=path, polygon=corners[::-1]),
        Cut(path=copy, polygon=corners),
    ]
    keys = [content_key(source) for source in sources]
    assert len(set(keys)) == len(sources)


def test_a_file_replaced_by_one_of_its_length_and_time_is_another_image(tmp_path):
    path = tmp_path / "a.bmp"
    cut = Cut(path=path, polygon=((0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0)))
    seen = []
    for colour in ("red", "blue"):
        Image.new("RGB", (30, 40), colour).save(tmp_path / "new.bmp")
        os.utime(tmp_path / "new.bmp", (10**9, 10**9))
        (tmp_path / "new.bmp").replace(path)
        seen.append((content_key(path), content_key(cut), open_image(cut).getpixel((5, 5))))
    assert all(one != other for one, other in zip(*seen, strict=True))


def test_features_of_a_file_that_changes_while_it_is_opened_are_not_kept(tiny, tmp_path, monkeypatch):
    tiny = tiny("deepseek_ocr")
    encoding = importlib.import_module("ocrtune.inputs.encode")
    path = tmp_path / "a.png"
    Image.new("RGB", (100, 90), "red").save(path)

    def open_and_change(source):
        Image.new("RGB", (100, 90), "blue").save(path)
        return open_image(source)

    example = example_of(tiny, Page(name="a", images=(path,), text="abc"))
    usual = encode(example, tiny.recipe, tiny.tokenizer, MemoryFeatures())
    assert usual.views[0].key == content_key(path)
    monkeypatch.setattr(encoding, "open_image", open_and_change)
    assert encode(example, tiny.recipe, tiny.tokenizer, MemoryFeatures()).views[0].key == ""


def test_the_manifest_says_what_a_cache_is_made_of(tiny, tmp_path):
    tiny = tiny("deepseek_ocr")
    key = feature_key(load_model(tiny.folder), tiny.recipe.mode, autocast_dtype=None)
    cache = FeatureCache(tmp_path, key, limit_bytes=ROOM)
    told = json.loads((cache.folder / "manifest.json").read_text())
    assert told == key.made_of
    assert told["family"] == "deepseek_ocr"
    assert told["mode"]["global_px"] == 256
