"""Whatever an annotation file holds, the answer is a DatasetError or a data set that everything downstream can use; and so after a repair.

DETKDS_FUZZ_CASES=10000 runs as many broken files as the project promises (S4); by default there are fewer.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import broken, real_looking
from PIL import Image
from pycocotools.coco import COCO

from detkds.data import split, write_coco
from detkds.data.checking import columns, parsing
from detkds.data.checking.annotations import check_annotations
from detkds.data.checking.document import read
from detkds.data.checking.faults import Findings
from detkds.data.checking.parsing import OddError, parse_exact, parse_fast
from detkds.data.checking.pictures import FORMATS, examined
from detkds.data.coco import Inspection, inspect, load
from detkds.data.repair import Repaired, repair
from detkds.data.sampling.strata import strata
from detkds.errors import DatasetError

Coco = dict[str, Any]

CASES = int(os.environ.get("DETKDS_FUZZ_CASES", "1250"))
BATCH = 250

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")  # pycocotools


def test_the_unbroken_file_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(real_looking()))
    inspection = inspect(path)
    assert inspection.findings.faults == []
    use(path, inspection, draw=True)


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_a_broken_file_is_refused_or_usable_and_so_is_its_repair(tmp_path: Path, first: int) -> None:
    path, out = tmp_path / "instances.json", tmp_path / "repaired.json"
    refused = mended = 0
    for seed in range(first, min(first + BATCH, CASES)):
        path.write_bytes(broken(seed))
        inspection = inspect(path)
        repaired = _repaired(inspection, seed)
        if repaired:
            mended += not inspection.findings.sound
            write_coco(out, repaired.document)
            again = inspect(out)
            assert again.findings.sound, (seed, again.findings.faults)
            assert again.document == repaired.document, seed
            assert bool(repaired.changes) != inspection.findings.sound, seed
            use(out, again, draw=seed % 40 == 0)
        if inspection.findings.sound:
            use(path, inspection)
        else:
            refused += 1
            with pytest.raises(DatasetError) as caught:
                load(path)
            assert str(caught.value).isprintable(), seed
    assert refused > 80  # the mutations bite,
    assert mended > 40  # and leave something to keep


@pytest.mark.parametrize("form", FORMATS)
def test_a_broken_image_file_breaks_rules_and_nothing_else(tmp_path: Path, form: str) -> None:
    chance = random.Random(form)
    whole = io.BytesIO()
    Image.effect_noise((30, 20), 50).convert("RGB").save(whole, form)
    path, rules = tmp_path / "image", set()
    for _ in range(CASES // 40):
        text = bytearray(whole.getvalue())
        for _ in range(chance.choice([1, 2, 8])):
            text[chance.randrange(len(text))] = chance.randrange(256)
        path.write_bytes(text[: chance.choice([len(text), chance.randrange(len(text))])])
        rules |= {rule for rule, _ in examined(path, (30, 20), "pixels").breaches}
    assert "image.unreadable" in rules
    assert rules <= {"image.unreadable", "image.size-differs", "image.too-large", "image.scans"}


def test_both_ways_to_parse_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast way is given pieces of a few bytes, so that its borders fall everywhere."""
    path = tmp_path / "instances.json"
    fast = 0
    for seed in range(600):
        text = broken(seed)
        path.write_bytes(text)
        monkeypatch.setattr(parsing, "PIECE", 1 + seed % 97 * 7)
        try:
            document = parse_fast(path)
        except OddError:
            continue
        exact, doubled = parse_exact(text.decode())
        assert doubled == []
        assert repr(document) == repr(_as_doubles(exact)), seed
        fast += 1
    assert fast > 150


def test_columns_suspect_every_entry_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faults are those found when every entry is judged singly."""
    path = tmp_path / "instances.json"
    monkeypatch.setattr(columns, "_FEW", 1)
    for seed in range(1, 900, 3):
        path.write_bytes(broken(seed))
        document = read(path, Findings("x"))
        if not (isinstance(document, dict) and isinstance(document.get("annotations"), list)):
            continue
        sizes = {10: (30, 20), 11: (30, 20), 12: (30, 20), 13: None}
        found, expected = Findings("x"), Findings("x")
        check_annotations(document["annotations"], sizes, {1, 2, 3}, found)
        with monkeypatch.context() as singly:
            singly.setattr("detkds.data.checking.annotations.suspects", lambda entries, sizes, categories: range(len(entries)))
            check_annotations(document["annotations"], sizes, {1, 2, 3}, expected)
        assert found.faults == expected.faults, seed


def _repaired(inspection: Inspection, seed: int) -> Repaired | None:
    """None where nothing can be kept, which is one clear line about a file at fault."""
    try:
        return repair(inspection)
    except DatasetError as refusal:
        said = str(refusal)
    assert said.isprintable(), seed
    assert not inspection.findings.sound, seed
    return None


def _as_doubles(value: Any) -> Any:
    """Whole numbers beyond 64 bits as orjson reads them; no rule lets such numbers through."""
    if isinstance(value, dict):
        return {key: _as_doubles(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_doubles(each) for each in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


def use(path: Path, inspection: Inspection, *, draw: bool = False) -> None:
    """What follows in a run: pycocotools' index and masks, arrays of boxes, counts, writing; and a split, which takes a while."""
    coco = inspection.document
    assert coco is not None
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
        if annotation.get("segmentation") and width * height < 10**6:
            assert api.annToMask(annotation).shape == (height, width)
    json.dumps(coco, allow_nan=False).encode()
    if strata(coco).occupied.sum() >= 2 and draw:
        parts = split(coco, fraction=0.5, val_fraction=0.25, seed=0)
        assert len(parts.search_train["images"]) + len(parts.search_val["images"]) <= len(coco["images"])
