"""Whatever an annotation file holds, the answer is a DatasetError or a data set that everything downstream can use."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from detkds.data import check, load, split
from detkds.data.strata import strata
from detkds.errors import DatasetError

Coco = dict[str, Any]

numbers = st.one_of(
    st.integers(-3, 25), st.integers(), st.just(10**400), st.floats(allow_nan=True), st.sampled_from([0.0, -0.0, 1e-320, 19.99, 1e308])
)
words = st.one_of(st.text(max_size=8), st.sampled_from(["f4b1", "../x", "/x", "a.png", "\x00", "\ud800"]))
leaves = st.one_of(st.none(), st.booleans(), numbers, words)
values = st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(words, inner, max_size=3)), max_leaves=8)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, each in inner for deeper in places(each, (*path, key)))]


def mutate(document: Any, data: st.DataObject) -> Any:
    """One place replaced by any value, taken out, or doubled."""
    path = data.draw(st.sampled_from(places(document)))
    if not path:
        return data.draw(values)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    change = data.draw(st.sampled_from(["replace", "replace", "remove", "double"]))
    if change == "replace":
        holder[path[-1]] = data.draw(values)
    elif change == "remove":
        del holder[path[-1]]
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[path[-1]]))
    return document


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")  # pycocotools, numpy 2
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mutations=st.integers(1, 3))
def test_a_mutated_data_set_is_refused_or_usable(sound: Coco, data: st.DataObject, mutations: int) -> None:
    document: Any = copy.deepcopy(sound)
    for _ in range(mutations):
        document = mutate(document, data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "instances.json")
        path.write_text(json.dumps(document))
        if all(fault.tolerated for fault in check(path)):
            use(path, load(path))
        else:
            with pytest.raises(DatasetError) as caught:
                load(path)
            assert str(caught.value).isprintable()


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(st.binary(max_size=40), values.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_refused(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "instances.json")
        path.write_bytes(text)
        with pytest.raises(DatasetError) as caught:  # so little cannot be a data set
            load(path)
        assert str(caught.value).isprintable()


def use(path: Path, coco: Coco) -> None:
    """What follows in a run: pycocotools' index and masks, arrays of boxes, a split, writing."""
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(path))
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    assert len(sizes) == len(coco["images"])
    assert len(api.anns) == len(coco["annotations"])
    for annotation in coco["annotations"]:
        box = np.array(annotation["bbox"], dtype=np.float64)
        width, height = sizes[annotation["image_id"]]
        assert np.isfinite(box).all()
        assert (box[2:] >= 0).all()
        assert (box[:2] >= -1).all()
        assert (box[:2] + box[2:] <= (width + 1, height + 1)).all()
        assert annotation["category_id"] in api.cats
        if annotation.get("segmentation"):
            assert api.annToMask(annotation).shape == (height, width)
    json.dumps(coco)
    if strata(coco).occupied.sum() < 2:
        with pytest.raises(DatasetError, match="two images with objects"):
            split(coco, fraction=0.5, val_fraction=0.5, seed=0)
    else:
        parts = split(coco, fraction=0.5, val_fraction=0.5, seed=0)
        assert len(parts.search_train["images"]) + len(parts.search_val["images"]) == len(coco["images"])
