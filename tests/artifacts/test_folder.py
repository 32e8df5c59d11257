"""The output folder: a file is there whole or not at all, under a name that is ours, and no link is followed."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from treadle.artifacts.folder import ArtifactFolder
from treadle.ids import JobId
from treadle.outcome import Artifact

ID = JobId("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
STALE_NAME = ".x.csv.0123456789abcdef.tmp"


@pytest.fixture
def folder(tmp_path: Path) -> ArtifactFolder:
    folder = ArtifactFolder(tmp_path / "output")
    folder.prepare()
    return folder


def write(
    folder: ArtifactFolder,
    data: bytes = b"content",
    *,
    name: str = "report.csv",
    attempt: int = 1,
    media_type: str = "text/csv",
    deterministic: bool = False,
) -> Artifact:
    told: list[Artifact] = []
    with folder.write(ID, attempt, name, media_type, deterministic=deterministic, published=told.append) as file:
        file.write(data)
        assert told == []
    [artifact] = told
    return artifact


def names(folder: ArtifactFolder) -> list[str]:
    return sorted(path.name for path in folder.root.iterdir())


def read(folder: ArtifactFolder, path: str) -> bytes:
    with os.fdopen(folder.open(path), "rb") as file:
        return file.read()


# ----------------------------------------------------------------------------------- publishing


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_000])
def test_a_published_file_is_what_was_written_and_is_told_with_size_and_hash(folder: ArtifactFolder, size: int) -> None:
    data = os.urandom(size)

    artifact = write(folder, data)

    digest = hashlib.sha256(data).hexdigest()
    assert artifact == Artifact("report.csv", f"{ID}.1.report.csv", size, digest, "text/csv")
    assert read(folder, artifact.path) == data
    assert names(folder) == [artifact.path]


def test_many_small_writes_are_counted_and_hashed_whole(folder: ArtifactFolder) -> None:
    told: list[Artifact] = []
    with folder.write(ID, 1, "a.txt", "text/plain", deterministic=False, published=told.append) as file:
        for number in range(10_000):
            file.write(b"%d\n" % number)

    data = b"".join(b"%d\n" % number for number in range(10_000))
    assert (told[0].size_bytes, told[0].sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_each_attempt_writes_a_file_of_its_own(folder: ArtifactFolder) -> None:
    for attempt in (1, 2):
        write(folder, b"attempt %d" % attempt, attempt=attempt)

    assert names(folder) == [f"{ID}.1.report.csv", f"{ID}.2.report.csv"]


@pytest.mark.parametrize(
    ("name", "path"),
    [("export.csv", f"{ID}.csv"), ("archive.tar.gz", f"{ID}.gz"), ("plain", str(ID)), ("x.CSV", f"{ID}.CSV")],
)
def test_attempts_that_write_the_same_bytes_share_one_file_named_after_the_job(
    folder: ArtifactFolder, name: str, path: str
) -> None:
    for attempt in (1, 2):
        assert write(folder, name=name, attempt=attempt, deterministic=True).path == path

    assert names(folder) == [path]


def test_until_the_block_ends_there_is_nothing_new_under_the_final_name(folder: ArtifactFolder) -> None:
    write(folder, b"the old one", deterministic=True)
    with folder.write(ID, 2, "report.csv", "text/csv", deterministic=True, published=lambda _: None) as file:
        file.write(b"the new one")
        file.flush()
        assert read(folder, f"{ID}.csv") == b"the old one"

    assert read(folder, f"{ID}.csv") == b"the new one"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_in_the_block_leaves_nothing_behind(folder: ArtifactFolder, error: type[BaseException]) -> None:
    told: list[Artifact] = []
    with (
        pytest.raises(error),
        folder.write(ID, 1, "report.csv", "text/csv", deterministic=False, published=told.append) as file,
    ):
        file.write(b"x" * 1_000_000)
        raise error

    assert (names(folder), told) == ([], [])


def test_an_exception_leaves_what_was_published_before(folder: ArtifactFolder) -> None:
    write(folder, b"whole", deterministic=True)
    with (
        pytest.raises(ValueError, match="half-way"),
        folder.write(ID, 2, "report.csv", "text/csv", deterministic=True, published=lambda _: None) as file,
    ):
        file.write(b"half")
        raise ValueError("half-way")

    assert read(folder, f"{ID}.csv") == b"whole"


def test_a_file_that_the_handler_closes_itself_is_refused_and_leaves_nothing(folder: ArtifactFolder) -> None:
    with (
        pytest.raises(ValueError, match="closed file"),
        folder.write(ID, 1, "report.csv", "text/csv", deterministic=False, published=lambda _: None) as file,
    ):
        file.write(b"x")
        file.close()

    assert names(folder) == []


def test_no_file_descriptor_is_left_open(folder: ArtifactFolder) -> None:
    before = len(os.listdir("/dev/fd"))
    for attempt in range(20):
        artifact = write(folder, attempt=attempt)
        os.close(folder.open(artifact.path))
        with (
            pytest.raises(KeyError),
            folder.write(ID, attempt, "b.txt", "text/plain", deterministic=False, published=lambda _: None),
        ):
            raise KeyError
        with pytest.raises(FileNotFoundError):
            folder.open("nothing")

    assert len(os.listdir("/dev/fd")) == before


def test_everything_is_flushed_before_and_after_the_rename(
    folder: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    story: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(handle: int) -> None:
        found = os.fstat(handle)
        story.append("flush folder" if stat.S_ISDIR(found.st_mode) else f"flush file of {found.st_size}")
        real_fsync(handle)

    def rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        story.append("rename")
        real_rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)

    write(folder, b"x" * 1000)

    assert story == ["flush file of 1000", "rename", "flush folder"]


def test_writers_of_the_same_bytes_at_once_leave_one_whole_file(folder: ArtifactFolder) -> None:
    data = os.urandom(1_000_000)
    start = threading.Barrier(8)

    def one(attempt: int) -> Artifact:
        start.wait()
        return write(folder, data, attempt=attempt, deterministic=True)

    with ThreadPoolExecutor(8) as pool:
        artifacts = set(pool.map(one, range(8)))

    assert len(artifacts) == 1
    assert names(folder) == [f"{ID}.csv"]
    assert read(folder, f"{ID}.csv") == data


# ---------------------------------------------------------------------------------------- names

BAD_NAMES = ["", ".", "..", ".hidden", "a/b", "../../etc/passwd", "/etc/passwd", "a\\b", "a b", "a\0b", "a\n", "ä.csv"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "-rf", "x" * 101, "a:b", "a*"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_bad_name_is_refused_before_anything_is_written(
    folder: ArtifactFolder, name: str, deterministic: bool
) -> None:
    with pytest.raises(ValueError, match="name must match"):
        write(folder, name=name, deterministic=deterministic)

    assert names(folder) == []


@pytest.mark.parametrize("name", ["a", "A-1_b.tar.gz", "x" * 100, "1", "a..b"])
def test_a_good_name_is_taken(folder: ArtifactFolder, name: str) -> None:
    assert write(folder, name=name).path == f"{ID}.1.{name}"


BAD_MEDIA_TYPES = ["", "text", "text/", "/csv", "text/csv\r\nX-Evil: 1", "text/\ud800", "text/csv;\0", "te xt/csv"]


@pytest.mark.parametrize(
    "media_type", [*BAD_MEDIA_TYPES, "a/" + "b" * 300, "text/csv; charset", "text/csv,text/html", "ä/b", "text/csv\n"]
)
def test_a_bad_media_type_is_refused_before_anything_is_written(folder: ArtifactFolder, media_type: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        write(folder, media_type=media_type)

    assert names(folder) == []


@pytest.mark.parametrize(
    "media_type", ["text/csv", "text/plain; charset=utf-8", "image/svg+xml", "application/vnd.ms-excel"]
)
def test_a_good_media_type_is_taken(folder: ArtifactFolder, media_type: str) -> None:
    assert write(folder, media_type=media_type).media_type == media_type


# ---------------------------------------------------------------------------------- links, pipes


def test_a_link_in_the_files_place_is_replaced_and_never_followed(folder: ArtifactFolder, tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_bytes(b"untouched")
    (folder.root / f"{ID}.csv").symlink_to(target)

    write(folder, b"content", deterministic=True)

    assert target.read_bytes() == b"untouched"
    assert not (folder.root / f"{ID}.csv").is_symlink()
    assert read(folder, f"{ID}.csv") == b"content"


def test_a_fifo_in_the_files_place_is_replaced_and_holds_nobody(folder: ArtifactFolder) -> None:
    os.mkfifo(folder.root / f"{ID}.csv")

    write(folder, b"content", deterministic=True)

    assert read(folder, f"{ID}.csv") == b"content"


def test_a_folder_in_the_files_place_is_an_error_and_leaves_nothing(folder: ArtifactFolder) -> None:
    (folder.root / f"{ID}.csv").mkdir()

    with pytest.raises(OSError, match="directory"):
        write(folder, deterministic=True)

    assert names(folder) == [f"{ID}.csv"]


def test_a_temporary_name_that_is_taken_by_a_link_is_not_written_through(
    folder: ArtifactFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.artifacts.folder.secrets.token_hex", lambda _: "0" * 16)
    target = tmp_path / "secret"
    (folder.root / f".{ID}.1.report.csv.{'0' * 16}.tmp").symlink_to(target)

    with pytest.raises(FileExistsError):
        write(folder)

    assert not target.exists()


def test_only_plain_files_of_the_folder_itself_are_opened(folder: ArtifactFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (folder.root / "link").symlink_to(tmp_path / "secret")
    (folder.root / "folder").mkdir()
    os.mkfifo(folder.root / "pipe")
    (folder.root / STALE_NAME).write_bytes(b"half")

    for path in ("link", "folder", "pipe", STALE_NAME, "../secret", "/etc/passwd", "", ".", "..", "a\0b", "absent"):
        with pytest.raises(FileNotFoundError):
            folder.open(path)


def test_files_are_for_their_owner_and_group_alone(folder: ArtifactFolder) -> None:
    path = folder.root / write(folder).path

    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE(folder.root.stat().st_mode) & 0o007 == 0


# -------------------------------------------------------------------------------------- the rest


def test_preparing_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path / "a" / "b")

    folder.prepare()
    folder.prepare()

    assert names(folder) == []


def test_preparing_says_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(FileExistsError):
        ArtifactFolder(tmp_path / "file").prepare()


def test_a_folder_that_vanished_is_an_error_and_told_to_nobody(folder: ArtifactFolder) -> None:
    folder.root.rmdir()

    with pytest.raises(FileNotFoundError):
        write(folder)


def test_stale_temporary_files_go_fresh_and_foreign_ones_stay(folder: ArtifactFolder) -> None:
    kept = [".x.csv.0123456789abcdee.tmp", ".hidden", "published.csv", "x.tmp", ".x.csv.0123.tmp"]
    for name in [STALE_NAME, *kept]:
        (folder.root / name).write_bytes(b"x")
        os.utime(folder.root / name, (1000, 1000))
    os.utime(folder.root / kept[0], (3000, 3000))

    assert folder.remove_stale(2000) == 1

    assert names(folder) == sorted(kept)


def test_a_file_that_is_still_being_written_stays_however_old_it_is(folder: ArtifactFolder) -> None:
    told: list[Artifact] = []
    with folder.write(ID, 1, "report.csv", "text/csv", deterministic=False, published=told.append) as file:
        file.write(b"content")
        [temporary] = folder.root.iterdir()
        os.utime(temporary, (1000, 1000))

        assert folder.remove_stale(2000) == 0

    assert read(folder, told[0].path) == b"content"


def test_a_file_whose_writer_was_killed_goes(folder: ArtifactFolder) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from treadle.artifacts.folder import ArtifactFolder as F\n"
        "with F(Path(sys.argv[1])).write(sys.argv[2], 1, 'a.csv', 'text/csv', deterministic=True, published=print):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(folder.root), ID], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(names(folder)) == 1

    assert folder.remove_stale(1e12) == 1

    assert names(folder) == []


def test_what_cannot_be_removed_keeps_nobody_from_the_rest(folder: ArtifactFolder) -> None:
    for number in range(4):
        (folder.root / f".a{number}.0123456789abcdef.tmp").mkdir()
        (folder.root / f".b{number}.0123456789abcdef.tmp").write_bytes(b"x")

    assert folder.remove_stale(1e12) == 4

    assert all(path.is_dir() for path in folder.root.iterdir())


def test_a_file_that_somebody_else_has_just_removed_is_no_error(
    folder: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (folder.root / f".a{number}.0123456789abcdef.tmp").write_bytes(b"x")
    entries = list(os.scandir(folder.root))
    monkeypatch.setattr("treadle.artifacts.folder.os.scandir", lambda root: iter(entries))
    for entry in entries[:2]:
        os.unlink(entry.path)

    assert folder.remove_stale(1e12) == 1


def test_a_link_named_like_a_temporary_file_is_removed_and_its_target_stays(
    folder: ArtifactFolder, tmp_path: Path
) -> None:
    target = tmp_path / "kept"
    target.write_bytes(b"x")
    (folder.root / STALE_NAME).symlink_to(target)

    assert folder.remove_stale(1e12) == 1

    assert target.exists()
