"""Names from outside lead nowhere but below the image folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.data import safe_join
from detkds.data.checking.names import likeness
from detkds.errors import DatasetError

PLAIN = ["a.jpg", "train/a.jpg", "./a.jpg", "..a.jpg", "a..b/c", "a b.jpg", "Ünï/写真.jpg", "e\u0301.jpg", "می\u200cخواهم.jpg", "a…b.jpg"]
PLAIN += ["½.jpg", "👩\u200d💻.jpg", "-rf", "~", "x" * 255]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_stay_below_the_root(tmp_path: Path, name: str) -> None:
    assert safe_join(tmp_path, name) == tmp_path.resolve() / name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "names no file"),
        (".", "names no file"),
        ("./", "names no file"),
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("C:/x.jpg", "absolute"),
        ("http://host/a.jpg", "address"),
        ("ab:http://host/a.jpg", "address"),
        ("a.jpg/", "names no file"),
        ("a/.", "names no file"),
        ("x∕a.jpg", "look like"),  # U+2215 DIVISION SLASH
        ("x⁄a.jpg", "look like"),  # U+2044 FRACTION SLASH
        ("x／a.jpg", "look like"),  # U+FF0F, which becomes / in the compatibility form
        ("x＼a.jpg", "look like"),  # U+FF3C
        ("x⧵a.jpg", "look like"),  # U+29F5
        ("․․/a.jpg", "look like"),  # twice U+2024 ONE DOT LEADER
        ("‥/a.jpg", "look like"),  # U+2025 TWO DOT LEADER
        ("Ｃ：x.jpg", "look like"),
        ("a\u200b.jpg", "invisible"),
        ("a\ufeff.jpg", "invisible"),
        ("a\u00ad.jpg", "invisible"),
        ("a\u2028.jpg", "invisible"),
        ("a\u3164.jpg", "invisible"),
        ("a\U000e0041.jpg", "invisible"),
        ("c:x.jpg", "absolute"),
        ("..", "climbs"),
        ("../x.jpg", "climbs"),
        ("a/../../x.jpg", "climbs"),
        ("a/..", "climbs"),
        ("a\\..\\x.jpg", "backslash"),
        ("a\x00.jpg", "control"),
        ("a\n.jpg", "control"),
        ("\x7f", "control"),
        ("\ud800.jpg", "control"),
        ("gpj.\u202eexe", "control"),
        ("x" * 256, "longer than 255 bytes"),
        ("写" * 86, "longer than 255 bytes"),  # 86 x 3 = 258
        ("x/" * 600, "1200 characters"),
        (None, "not text"),
        (b"a.jpg", "not text"),
        (["a.jpg"], "not text"),
    ],
)
def test_other_names_are_refused_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason) as caught:
        safe_join(tmp_path, name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_links_may_lead_within_the_root_only(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (outside / "x.jpg").touch()
    (root / "inner").symlink_to(root / "real")
    (root / "folder").symlink_to(outside)
    (root / "file.jpg").symlink_to("../outside/x.jpg")
    (root / "chain").symlink_to("folder")
    (root / "dangling").symlink_to(outside / "not-there")
    assert safe_join(root, "inner/a.jpg") == root.resolve() / "inner/a.jpg"
    for name in ("folder/x.jpg", "file.jpg", "chain/x.jpg", "dangling", "inner/../../outside/x.jpg"):
        with pytest.raises(DatasetError, match=r"link|climbs"):
            safe_join(root, name)


def test_a_root_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert safe_join(tmp_path / "link", "a.jpg") == (tmp_path / "real").resolve() / "a.jpg"


def test_a_link_that_turns_in_a_circle_names_no_file_outside(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert safe_join(tmp_path, "circle") == tmp_path.resolve() / "circle"


def test_names_that_look_the_same_have_one_likeness() -> None:
    assert likeness("Ünï.JPG") == likeness("u\u0308ni\u0308.jpg ") == likeness("Ｕ\u0308nï.jpg")
    assert likeness("a\u200d.jpg") == likeness("a\ufe0f.jpg") == likeness("a.jpg")
    assert likeness("a.jpg") != likeness("b.jpg")
