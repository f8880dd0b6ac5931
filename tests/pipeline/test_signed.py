"""Messages between the processes of a search job: only those of the job's own processes are unpickled."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from detkds.errors import ConfigError, Interrupted
from detkds.pipeline.signed import sign, verified
from detkds.storage.s3_settings import SECRET_KEY


class Harmful:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_KEY, "the job's own")


def test_a_value_comes_back() -> None:
    assert verified("1/call/0", sign("1/call/0", (abs, (-3,)))) == (abs, (-3,))


@pytest.mark.parametrize("signature", [b"", bytes(32)])
def test_what_nobody_signed_is_never_unpickled(tmp_path: Path, signature: bytes) -> None:
    with pytest.raises(Interrupted, match="1/call/0 in the job's store was not written by a process of this job"):
        verified("1/call/0", signature + pickle.dumps(Harmful(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


def test_another_key_signs_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(SECRET_KEY, "another job's")
        message = sign("1/call/0", Harmful(tmp_path / "made"))
    with pytest.raises(Interrupted):
        verified("1/call/0", message)
    assert not (tmp_path / "made").exists()


def test_a_message_belongs_to_its_place() -> None:
    with pytest.raises(Interrupted):
        verified("1/call/1", sign("1/call/0", 1))


def test_without_a_key_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_KEY)
    with pytest.raises(ConfigError, match=f"{SECRET_KEY}, which is not set"):
        sign("1/call/0", 1)
