"""Journal: what survives a cut, what a flipped bit does, who holds it, what a full disk leaves."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, StudyHeldError
from detkds.search.journal import Journal, read

SETTINGS = {"seed": 1, "space": "paper", "weights": [0.1, 1.0]}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study" / "journal.jsonl"


def write(path: Path, records: int = 3) -> bytes:
    with Journal(path, SETTINGS) as journal:
        for number in range(len(journal.records) - 1, records):
            journal.append("end", {"number": number, "score": 0.1 + number / 3, "reason": "ü \u2028 none"})
    return path.read_bytes()


def test_a_record_is_a_line_of_json_with_a_checksum(path: Path) -> None:
    lines = write(path).decode().splitlines()
    header = json.loads(lines[0])
    assert header.pop("sha256")
    assert header == {"seq": 0, "kind": "study", "schema": "detkds.journal/1", "settings": SETTINGS}
    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2, 3]
    assert [(record.seq, record.kind) for record in read(path)] == [(0, "study"), (1, "end"), (2, "end"), (3, "end")]
    assert read(path)[2].fields == {"number": 1, "score": 0.1 + 1 / 3, "reason": "ü \u2028 none"}


def test_it_goes_on_where_it_ended(path: Path, tmp_path: Path) -> None:
    write(path, 1)
    write(path, 2)
    assert write(path, 3) == write(tmp_path / "other" / "journal.jsonl", 3)


def test_cut_at_every_byte_of_its_last_record(path: Path) -> None:
    whole = write(path)
    kept = whole[: whole[:-1].rindex(b"\n") + 1]
    for length in range(len(kept), len(whole)):
        path.write_bytes(whole[:length])
        assert [record.seq for record in read(path)] == [0, 1, 2]
        with Journal(path, SETTINGS) as journal:
            assert path.read_bytes() == kept
            assert [record.seq for record in journal.records] == [0, 1, 2]
        assert write(path) == whole


def test_cut_within_its_header(path: Path) -> None:
    whole = write(path, 0)
    for length in [*range(0, len(whole), 9), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert write(path, 0) == whole


def test_a_flipped_bit_is_refused_with_file_and_line(path: Path) -> None:
    whole = write(path)
    last = whole[:-1].rindex(b"\n") + 1
    for position in range(last):
        for bit in range(8) if whole[position] == ord("\n") else [position % 8]:
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            line = whole[:position].count(b"\n") + 1
            with pytest.raises(ArtifactError) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}, line {line}: the record was altered")
    path.write_bytes(damaged)
    with pytest.raises(ArtifactError, match="line 3: the record was altered"):
        Journal(path, SETTINGS)
    assert path.read_bytes() == damaged  # refused, not repaired


def test_a_flipped_bit_in_the_last_record_is_refused_or_is_a_torn_line(path: Path) -> None:
    whole = write(path)
    last = whole[:-1].rindex(b"\n") + 1
    for position in range(last, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        if position == len(whole) - 1:
            assert len(read(path)) == 3
        else:
            with pytest.raises(ArtifactError, match=f"{path}, line 4: the record was altered"):
                read(path)


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 1, 3], [1, 2, 3], [0, 1, 1, 2, 3], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3]])
def test_lines_moved_lost_or_doubled_are_refused(path: Path, order: list[int]) -> None:
    lines = write(path).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[index] for index in order))
    with pytest.raises(ArtifactError, match=f"{path}, line"):
        read(path)


def test_a_sound_line_of_another_journal_is_refused(path: Path, tmp_path: Path) -> None:
    lines = write(path).splitlines(keepends=True)
    with Journal(tmp_path / "other.jsonl", SETTINGS) as journal:
        journal.append("start", {"number": 7})
        journal.append("end", {"number": 7, "score": 0.9})
    foreign = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)[2]
    path.write_bytes(b"".join([*lines[:2], foreign, *lines[3:]]))
    with pytest.raises(ArtifactError, match=f"{path}, line 3: the record was altered"):
        read(path)


def test_other_settings_are_refused_by_key(path: Path) -> None:
    write(path)
    with pytest.raises(ArtifactError, match="belongs to another study: seed is 1 there and 2 now, space is 'paper' there and 'absent' now"):
        Journal(path, {"seed": 2, "weights": (0.1, 1.0)})
    with Journal(path, {**SETTINGS, "weights": (0.1, 1)}):
        pass  # a tuple is a list in JSON, and 1 is 1.0


def test_a_journal_without_a_header_or_file_cannot_be_read(path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        read(path)
    path.parent.mkdir()
    path.write_bytes(b'{"seq":0')
    with pytest.raises(ArtifactError, match="is empty: it has no header"):
        read(path)


@contextlib.contextmanager
def holder(path: Path, then: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the study open, and has done `then`."""
    program = (
        "import os, sys; from pathlib import Path; from detkds.search import Journal\n"
        f"journal = Journal(Path(sys.argv[1]), {SETTINGS!r})\n{then}\nprint('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def test_one_process_a_study(path: Path) -> None:
    with holder(path, "") as process:
        with pytest.raises(StudyHeldError, match=f"the study {path} is held by process {process.pid} on "):
            Journal(path, SETTINGS)
        process.kill()
        process.wait()
        write(path)  # the kernel let go


def test_a_child_that_outlives_its_parent_does_not_hold_the_study(path: Path) -> None:
    # the parent stays silent; the child, alive until its input ends, says that it is there
    with holder(path, "if os.fork(): sys.stdin.read()") as process:
        with pytest.raises(StudyHeldError, match=f"process {process.pid} on"):
            Journal(path, SETTINGS)
        process.kill()
        process.wait()
        write(path)


def test_a_study_is_held_within_a_process_too_and_let_go_after_a_failure(path: Path) -> None:
    with Journal(path, SETTINGS), pytest.raises(StudyHeldError, match=f"process {os.getpid()} on"):
        Journal(path, SETTINGS)
    for _ in range(2):
        with pytest.raises(ArtifactError, match="another study"):
            Journal(path, {})
    write(path)


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    journal = Journal(path, SETTINGS)
    journal.close()
    journal.close()
    with pytest.raises(ArtifactError, match="is closed"):
        journal.append("end", {})


def test_a_failing_disk_leaves_the_record_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(path)
    journal = Journal(path, SETTINGS)

    def half(fd: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2])

    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(ArtifactError, match=f"the journal {path} cannot be written: No space left on device; make room"):
            journal.append("end", {"number": 3})
    assert path.read_bytes() == before
    with pytest.raises(ArtifactError, match="is closed"):
        journal.append("end", {"number": 3})
    assert len(write(path, 4)) > len(before)


def test_a_file_size_limit_of_the_system_at_every_byte(path: Path) -> None:
    """The kernel itself refuses: the nearest to a full disk without a file system of one's own."""
    whole = write(path)
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom detkds.errors import ArtifactError\nfrom detkds.search import Journal\n"
        "path, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])\n"
        f"settings = {SETTINGS!r}\n"
        "for limit in range(first, last, 7):\n"
        "    journal = Journal(path, settings)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        journal.append('end', {'number': 3, 'text': 'x' * 100})\n"
        "    except ArtifactError as error:\n"
        "        assert 'File too large; make room' in str(error), error\n"
        "    else:\n"
        "        raise SystemExit(f'written within {limit} bytes')\n"
        "    assert path.stat().st_size == first\n"
    )
    command = [sys.executable, "-c", program, str(path), str(len(whole)), str(len(whole) + 200)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT)})
    assert path.read_bytes() == whole


def test_a_folder_in_the_way_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ArtifactError, match="cannot be written: Is a directory"):
        Journal(path, SETTINGS)


def test_times_go_beside_the_journal_and_never_stop_it(path: Path) -> None:
    with Journal(path, SETTINGS) as journal:
        before = path.read_bytes()
        journal.note_time(3, 1.23456)
        times = path.with_name("timings.jsonl")
        assert times.read_text() == '{"number": 3, "seconds": 1.235}\n'
        times.unlink()
        times.mkdir()
        journal.note_time(4, 1.0)
        assert path.read_bytes() == before
