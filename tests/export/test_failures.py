"""What the system refuses becomes one line that names the place."""

import errno
import shutil
from pathlib import Path

import pytest

from ranklet.export.errors import DownloadError, ExportError
from ranklet.export.failures import named_failures
from ranklet.runtime.errors import OutputError


def fail(error: Exception, output: Path, work: Path | None = None) -> None:
    with named_failures(output, work):
        raise error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk quota is used up"),
        (RuntimeError("write: No space left on device (os error 28)"), "the disk is full"),
    ],
)
def test_full_disk(error: Exception, problem: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"cannot write the bundle to .*: {problem}"):
        fail(error, tmp_path)


def test_full_disk_as_the_cause_of_another_error(tmp_path: Path) -> None:
    error = ExportError("cannot convert")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match="the disk is full"):
        fail(error, tmp_path)


def test_tool_that_does_not_notice_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half").write_bytes(b"half" * 1000)
    full = type(shutil.disk_usage(tmp_path))(9000, 9000, 0)

    def disk_usage(_: Path) -> object:
        return full

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    with pytest.raises(OutputError, match="only 0 MB are left, or: Wire format was corr"):
        fail(ValueError("Wire format was corrupt"), tmp_path, tmp_path)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Permission denied \(/there\)"):
        fail(PermissionError(errno.EACCES, "Permission denied", "/there"), tmp_path)


def test_what_is_told_already_stays_as_it_is(tmp_path: Path) -> None:
    for error in (DownloadError("someone/model", "No space left on device"), ValueError("a bug")):
        with pytest.raises(type(error)) as caught:
            fail(error, tmp_path)
        assert caught.value is error
