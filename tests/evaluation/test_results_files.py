"""Results files that cannot be used are refused with one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_worlds import A, detection, truth

from detkds.errors import ArtifactError
from detkds.evaluation import evaluate
from detkds.evaluation.found import load_results


def test_a_file_of_detections(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps([detection(1, 1, A, 0.5)]))
    assert evaluate(truth([(1, 1, A)]), load_results(file)).figures["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b'[{"image_id": 1', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'{"images": [], "annotations": []}', "must hold a list of detections, but holds dict; give the results"),
        (b"7", "holds int"),
    ],
)
def test_what_is_no_list_of_detections(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as caught:
        load_results(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_results(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": NaN}]', "finite score, but has nan"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, Infinity, 1], "score": 1}]', "finite numbers"),
        ('[{"image_id": 77, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]', "names image 77"),
        ("[null]", "detection 0 must be an object"),
    ],
)
def test_bad_detections_in_a_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ArtifactError, match=message):
        evaluate(truth([(1, 1, A)]), load_results(file))
