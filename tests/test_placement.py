"""A bundle takes its place at once, and nothing but a bundle is ever replaced."""

import fcntl
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ranklet.runtime import placement
from ranklet.runtime.bundle import check_all_files
from ranklet.runtime.errors import OutputError
from ranklet.runtime.manifest import MANIFEST_NAME, Manifest, read_manifest
from ranklet.runtime.placement import WorkFolder, place, real_path, require_replaceable, work_folder


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:
    return read_manifest(tiny_bundle)


@pytest.fixture(params=["swapped", "renamed"])
def each_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that can swap two folders, and those that cannot."""
    if request.param == "renamed":
        monkeypatch.setattr(placement, "_SWAP_CALLS", {})


def fill(work: WorkFolder, bundle: Path) -> None:
    """Put all files of ``bundle`` but its manifest into the work folder."""
    for path in bundle.iterdir():
        if path.name != MANIFEST_NAME:
            shutil.copy(path, work.bundle)


@pytest.mark.usefixtures("each_system")
@pytest.mark.parametrize("there", ["nothing", "an empty folder", "an old bundle"])
def test_bundle_takes_its_place(
    there: str, tiny_bundle: Path, manifest: Manifest, tmp_path: Path
) -> None:
    output = tmp_path / "models/built/tiny"
    if there != "nothing":
        output.mkdir(parents=True)
    if there == "an old bundle":
        shutil.copytree(tiny_bundle, output, dirs_exist_ok=True)
        (output / "int8.onnx").write_bytes(b"old")
    require_replaceable(output)
    with work_folder(output) as work:
        fill(work, tiny_bundle)
        (work.bundle / "fp32.onnx").chmod(0o600)
        work.bundle.chmod(0o700)
        place(work, output, manifest)
    assert list(output.parent.iterdir()) == [output]
    check_all_files(output, read_manifest(output))
    assert (output / "fp32.onnx").stat().st_mode & 0o777 == 0o644
    assert output.stat().st_mode & 0o777 == 0o755


def test_failure_leaves_nothing_not_even_folders(tmp_path: Path) -> None:
    def fail() -> None:
        with work_folder(tmp_path / "models/built/tiny") as work:
            (work.bundle / "fp32.onnx").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_work_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    output = tmp_path / "tiny"
    (tmp_path / ".tiny.building-dead/bundle").mkdir(parents=True)
    (tmp_path / ".other.building-dead").mkdir()
    with work_folder(output) as first, work_folder(output) as second:
        assert first.bundle.exists()
        assert second.bundle.exists()
        assert not (tmp_path / ".tiny.building-dead").exists()
    assert [path.name for path in tmp_path.iterdir()] == [".other.building-dead"]


def test_bundle_that_was_on_its_way_out_comes_back(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / ".tiny.building-dead/replaced")
    with work_folder(tmp_path / "tiny"):
        assert read_manifest(tmp_path / "tiny").name == "tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_an_old_bundle_comes_back_where_the_new_one_cannot_be_moved(
    tiny_bundle: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a swap there are two renames: after the first one no bundle is there."""
    output = tmp_path / "tiny"
    shutil.copytree(tiny_bundle, output)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "bundle":
            raise PermissionError
        return rename(path, target)

    monkeypatch.setattr(placement, "_SWAP_CALLS", {})
    monkeypatch.setattr(Path, "rename", fail)

    def build() -> None:
        with work_folder(output) as work:
            fill(work, tiny_bundle)
            place(work, output, manifest)

    with pytest.raises(PermissionError):
        build()
    assert list(tmp_path.iterdir()) == [output]
    check_all_files(output, read_manifest(output))


def test_a_work_folder_is_no_bundle_at_any_moment(
    tiny_bundle: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Path] = []
    flush = placement._flush  # noqa: SLF001 - called all along

    def look(path: Path) -> None:
        found.extend(tmp_path.glob("*/manifest.json"))
        flush(path)

    monkeypatch.setattr(placement, "_flush", look)
    with work_folder(tmp_path / "tiny") as work:
        fill(work, tiny_bundle)
        place(work, tmp_path / "tiny", manifest)
    assert set(found) == {tmp_path / "tiny/manifest.json"}


def test_a_bundle_of_a_newer_format_is_told_apart(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "tiny")
    path = tmp_path / "tiny" / MANIFEST_NAME
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"schema_version": 99}))
    with pytest.raises(OutputError, match=r"has schema version 99.*; or choose another folder"):
        require_replaceable(tmp_path / "tiny")


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(OutputError, match="something that is not a bundle is there"):
        require_replaceable(tmp_path)
    with pytest.raises(OutputError, match="something that is not a bundle is there"):
        require_replaceable(tmp_path / "letters.txt")


def test_a_bundle_with_other_things_is_not_replaced(tiny_bundle: Path, tmp_path: Path) -> None:
    output = shutil.copytree(tiny_bundle, tmp_path / "tiny")
    (output / "letters.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"letters\.txt in it does not belong to the bundle"):
        require_replaceable(output)


def test_a_link_that_leads_nowhere_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert real_path(tmp_path / "loop") == tmp_path / "loop"
    with pytest.raises(OutputError, match="loop: a link that leads nowhere is there; remove it"):
        require_replaceable(tmp_path / "loop")


def test_the_home_of_nobody_is_a_folder_like_any_other() -> None:
    assert real_path("~nobodyx/tiny") == Path.cwd() / "~nobodyx/tiny"
    assert real_path("~") == Path.home().resolve()


def test_output_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot write the bundle to"),
        work_folder(tmp_path / "file/tiny"),
    ):
        pass


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody here may enter."""
    folder = tmp_path / "locked"
    (folder / "tiny").mkdir(parents=True)
    folder.chmod(0)
    user = os.geteuid()
    if user == 0:  # may do everything
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


def test_a_folder_that_may_not_be_entered_is_named(locked: Path) -> None:
    expected = f"cannot write the bundle to {locked}/tiny: Permission denied"
    with pytest.raises(OutputError, match=expected):
        require_replaceable(locked / "tiny")
    with pytest.raises(OutputError, match=expected), work_folder(locked / "tiny"):
        pass


def remove_at_once(folder: Path) -> None:
    """Do what another process does that finds ``folder`` before it is locked."""
    shutil.rmtree(folder)


def remove_in_a_moment(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def remove() -> None:
        shutil.rmtree(folder)
        os.close(lock)

    threading.Timer(0.2, remove).start()


@pytest.mark.parametrize("remove", [remove_at_once, remove_in_a_moment])
def test_a_work_folder_that_is_taken_for_a_stale_one_is_made_anew(
    remove: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, list[Path]()

    def race(*, prefix: str, dir: Path) -> str:  # noqa: A002 - as tempfile calls it
        made.append(Path(make(prefix=prefix, dir=dir)))
        if len(made) == 1:
            remove(made[0])
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", race)
    with work_folder(tmp_path / "tiny") as work:
        assert (work.path, len(made)) == (made[1], 2)
        assert work.bundle.is_dir()
    assert list(tmp_path.iterdir()) == []
