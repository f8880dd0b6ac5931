"""Images that are kept are those that the pipeline makes, within the bound, for all processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import make_config, make_source

from detkds.detectors.training import stored_images as module
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.stored_images import ImageStore, storing

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train", upright=True)


def test_a_store_keeps_what_fits_and_gives_copies() -> None:
    store = ImageStore({"a": (2, 3), "b": (2, 3), "c": (2, 3)}, limit=2 * 18)
    assert store.get("a") is None
    for path in "abcd":
        store.put(path, PIXELS)
    store.put("b", PIXELS[:1])  # of another size than was said: not kept
    assert [store.get(path) is not None for path in "abcd"] == [True, True, False, False]
    kept = store.get("a")
    assert kept is not None
    kept[...] = 0
    assert np.array_equal(store.get("a"), PIXELS)


def test_processes_share_a_store() -> None:
    store = ImageStore({"a": (2, 3)})
    if (child := os.fork()) == 0:
        store.put("a", PIXELS)
        os._exit(0)
    os.waitpid(child, 0)
    assert np.array_equal(store.get("a"), PIXELS)


def test_without_room_on_the_disk_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    store = ImageStore({"a": (2, 3)})
    store.put("a", PIXELS)
    assert store.get("a") is None


@pytest.mark.parametrize("keep_ratio", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_second_visit_gives_what_the_first_gave(source: Source, keep_ratio: bool, training: bool) -> None:
    config = make_config(flip=1.0)
    for loader in (config.train_dataloader, config.test_dataloader):
        for step in loader.dataset.pipeline:
            if step.type == "Resize":
                step.update(scale=(40, 56), keep_ratio=keep_ratio)
    samples = Samples(config, source, training=training)
    for index in range(len(samples)):
        first, second = samples[0, index], samples[0, index]
        assert torch.equal(first["inputs"], second["inputs"])
        one, other = first["data_samples"], second["data_samples"]
        assert one.metainfo == other.metainfo
        if training:
            assert torch.equal(one.gt_instances.bboxes.tensor, other.gt_instances.bboxes.tensor)
    load = samples.dataset.pipeline.transforms[0]
    assert load._store.get(samples.dataset.get_data_info(0)["img_path"]).shape[:2] != (48, 64)  # kept as resized


def test_images_are_kept_as_decoded_where_chance_comes_first(source: Source) -> None:
    random = [{"type": "LoadImageFromFile"}, {"type": "RandomFlip", "prob": 0.5}, {"type": "Resize", "scale": (8, 8)}]
    steps = storing(random, {"a": (2, 3)})
    assert [step["type"] for step in steps] == ["StoredImage", "RandomFlip", "Resize"]
    assert not steps[0]["resized"]


def test_an_image_of_another_size_than_its_file_says_is_never_taken_resized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(tmp_path / "data")
    samples = Samples(make_config(), source, training=True)
    info = samples.dataset.get_data_info(0)
    load, _, resize = samples.dataset.pipeline.transforms[:3]
    info.update(height=24, width=32)
    assert isinstance(load, module.StoredImage)
    for _ in range(2):
        results = resize.transform(load.transform(dict(info)))
        assert results["scale_factor"] == (1.0, 1.0)  # 64 x 48, as the file holds it, into 64 x 64
