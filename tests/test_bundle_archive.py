"""Bundles travel as one file: whole, the same bytes each time, and nothing else gets in."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranklet import Reranker
from ranklet.cli import main
from ranklet.runtime.bundle import check_all_files
from ranklet.runtime.bundle_archive import InstalledBundle, install_bundle, pack_bundle
from ranklet.runtime.errors import (
    ArchiveError,
    BundleError,
    ChecksumError,
    InvalidManifestError,
    OutputError,
    RankletError,
    SchemaVersionError,
    VariantError,
)
from ranklet.runtime.manifest import MANIFEST_NAME, read_manifest, write_manifest
from ranklet.runtime.processor import Processor

TINY = Path(__file__).parent / "tiny/bundle"
VNNI = Processor("x86_64", frozenset({"avx2", "avx512_vnni"}))
PI4 = Processor("aarch64", frozenset({"asimd"}))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "tiny.bundle.zip"
    pack_bundle(TINY, path)
    return path


def install(
    archive: Path, folder: Path, *, output: Path | None = None, processor: Processor = VNNI
) -> InstalledBundle:
    return install_bundle(archive, output, models_dir=folder, processor=processor, cuda=False)


Entries = list[tuple[zipfile.ZipInfo, bytes]]
Change = Callable[[Entries], None]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rewrite(archive: Path, target: Path, change: Change) -> Path:
    """Write the archive's entries anew, after ``change`` did something to their list."""
    with zipfile.ZipFile(archive) as source:
        entries = [(entry, source.read(entry)) for entry in source.infolist()]
    change(entries)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as output:
        for entry, content in entries:
            output.writestr(entry, content)
    return target


class TestPacking:
    def test_the_same_bundle_gives_the_same_bytes(self, archive: Path, tmp_path: Path) -> None:
        for path in TINY.iterdir():
            copy = tmp_path / "copy" / path.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())  # another time, another mode
            copy.chmod(0o600)
        pack_bundle(tmp_path / "copy", tmp_path / "again.zip")
        assert digest(tmp_path / "again.zip") == digest(archive)

    def test_only_what_a_device_needs(self, tmp_path: Path) -> None:
        pack_bundle(TINY, tmp_path / "small.zip", variants=["int8"])
        installed = install(tmp_path / "small.zip", tmp_path)
        names = {path.name for path in installed.folder.iterdir()}
        assert names == {MANIFEST_NAME, "tokenizer.json", "int8.onnx"}
        assert list(read_manifest(installed.folder).variants) == ["int8"]

    def test_an_unknown_variant_lists_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(VariantError, match="no variant 'int4', only fp32, int8, int8-avx2"):
            pack_bundle(TINY, tmp_path / "a.zip", variants=["int8", "int4"])
        assert list(tmp_path.iterdir()) == []

    def test_no_variant_at_all_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(VariantError, match="--variants names none; 'tiny' has fp32, int8, int"):
            pack_bundle(TINY, tmp_path / "a.zip", variants=[])
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_bundle_is_not_packed(self, tmp_path: Path) -> None:
        install_tiny = pack_and_install(tmp_path)
        (install_tiny / "int8.onnx").write_bytes(bytes((TINY / "int8.onnx").stat().st_size))
        with pytest.raises(ChecksumError, match=r"int8\.onnx is damaged"):
            pack_bundle(install_tiny, tmp_path / "b.zip")
        assert not (tmp_path / "b.zip").exists()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"cannot write the bundle to .*No such file"):
            pack_bundle(TINY, tmp_path / "missing/a.zip")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["modèle", "../up", ".hidden", ""])
    def test_a_name_that_could_not_be_installed_is_not_packed(
        self, name: str, tmp_path: Path
    ) -> None:
        bundle = Path(shutil.copytree(TINY, tmp_path / "bundle"))
        write_manifest(bundle, msgspec.structs.replace(read_manifest(bundle), name=name))
        with pytest.raises(InvalidManifestError, match=f"{name!r}, .* export it again with --name"):
            pack_bundle(bundle, tmp_path / "a.zip")
        assert list(tmp_path.iterdir()) == [bundle]

    def test_is_on_the_disk_before_it_takes_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = tmp_path / "a.zip"
        flushed: dict[int, bool] = {}
        fsync = os.fsync

        def listen(descriptor: int) -> None:
            flushed[os.fstat(descriptor).st_ino] = archive.exists()
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", listen)
        pack_bundle(TINY, archive)
        assert flushed == {archive.stat().st_ino: False, tmp_path.stat().st_ino: True}


def pack_and_install(folder: Path) -> Path:
    pack_bundle(TINY, folder / "a.zip")
    return install(folder / "a.zip", folder / "models").folder


class TestInstalling:
    def test_is_the_bundle_that_was_packed(self, archive: Path, tmp_path: Path) -> None:
        installed = install(archive, tmp_path / "models/built")
        assert installed.folder == tmp_path / "models/built/tiny"
        assert read_manifest(installed.folder) == read_manifest(TINY)
        check_all_files(installed.folder, read_manifest(TINY))
        with Reranker.open(TINY) as before, Reranker.open(installed.folder) as after:
            documents = ["the moon is old", "paris is the capital of france"]
            expected = before.score("capital of france", documents).tolist()
            assert after.score("capital of france", documents).tolist() == expected

    def test_says_what_will_run(self, archive: Path, tmp_path: Path) -> None:
        assert install(archive, tmp_path).choice.name == "int8"
        assert install(archive, tmp_path, processor=PI4).choice.name == "fp32"

    def test_replaces_a_bundle_and_nothing_else(self, archive: Path, tmp_path: Path) -> None:
        output = tmp_path / "here"
        install(archive, tmp_path, output=output)
        install(archive, tmp_path, output=output)
        (output / "letters.txt").write_text("dear")
        with pytest.raises(OutputError, match=r"letters\.txt in it does not belong"):
            install(archive, tmp_path, output=output)
        assert [path.name for path in tmp_path.iterdir()] == ["here"]

    def test_the_folder_that_one_is_in(
        self, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert install(archive, tmp_path, output=Path()).folder == tmp_path / "here"
        check_all_files(tmp_path / "here", read_manifest(TINY))
        assert [path.name for path in tmp_path.iterdir()] == ["here"]

    def test_a_place_that_cannot_be_is_not_the_archives_fault(
        self, archive: Path, tmp_path: Path
    ) -> None:
        for output in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "tiny"):
            with pytest.raises(OutputError, match=f"bundle to {output}: File name too long"):
                install(archive, tmp_path, output=output)

    def test_a_link_to_itself_is_no_place(self, archive: Path, tmp_path: Path) -> None:
        loop = tmp_path / "loop"
        loop.symlink_to("loop")
        with pytest.raises(OutputError, match="loop: a link that leads nowhere is there"):
            install(archive, tmp_path, output=loop)
        with pytest.raises(OutputError, match=r"a\.zip: Too many levels of"):
            pack_bundle(TINY, loop / "a.zip")

    def test_a_bundle_that_cannot_run_here_is_not_installed(self, tmp_path: Path) -> None:
        pack_bundle(TINY, tmp_path / "a.zip", variants=["int8"])
        with pytest.raises(VariantError, match="has no variant for aarch64 with neither") as caught:
            install(tmp_path / "a.zip", tmp_path / "models", processor=PI4)
        assert str(caught.value).endswith(
            "only int8; pack it anew with --variants fp32, or with all"
        )
        assert not (tmp_path / "models").exists()


def add(name: str, kind: int = stat.S_IFREG, content: bytes = b"x") -> Change:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o644) << 16

    def change(entries: Entries) -> None:
        entries.append((entry, content))

    return change


def remove(place: int) -> Change:
    def change(entries: Entries) -> None:
        del entries[place]

    return change


def many(entries: Entries) -> None:
    entries += [(zipfile.ZipInfo(f"{number}"), b"") for number in range(20_000)]


def edit_manifest(**fields: object) -> Change:
    def change(entries: Entries) -> None:
        entry, content = entries[0]
        entries[0] = (entry, json.dumps(json.loads(content) | fields).encode())

    return change


def link_to_the_tokenizer(entries: Entries) -> None:
    entry, content = entries[1]
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    entries[1] = (entry, content)


def other_weights(entries: Entries) -> None:
    entry, content = entries[-1]
    entries[-1] = (entry, bytes([content[0] ^ 1]) + content[1:])


def bomb(entries: Entries) -> None:
    zeros = bytes(50_000_000)
    file = {"path": "z.onnx", "sha256": hashlib.sha256(zeros).hexdigest(), "size_bytes": len(zeros)}
    variant = {"precision": "fp32", "processors": "any", "files": [file]}
    tokenizer = next(entry for entry in entries if entry[0].filename == "tokenizer.json")
    edit_manifest(variants={"fp32": variant})(entries)
    entries[1:] = [tokenizer, (zipfile.ZipInfo("z.onnx"), zeros)]
    entries[-1][0].compress_type = zipfile.ZIP_DEFLATED


HOSTILE: dict[str, tuple[Change, str]] = {
    "above": (add("../evil"), "'../evil', which is not a plain file name"),
    "absolute": (add("/etc/evil"), "'/etc/evil', which is not"),
    "folder": (add("a/b.onnx"), "'a/b.onnx', which is not"),
    "empty folder": (add("a/"), "'a/', which is not"),
    "backslash": (add("..\\evil"), "which is not a plain"),
    "hidden": (add(".bashrc"), "which is not a plain"),
    "dots": (add(".."), "which is not a plain"),
    "twice": (add("int8.onnx"), r"int8\.onnx is in it more than once"),
    "two manifests": (add(MANIFEST_NAME), r"manifest\.json is in it more than once"),
    "many": (many, "there are 20005 files in it, more than 1000"),
    "link": (link_to_the_tokenizer, r"tokenizer\.json in it is not an ordinary file"),
    "device": (add("null", stat.S_IFCHR), "null in it is not an ordinary file"),
    "pipe": (add("pipe", stat.S_IFIFO), "pipe in it is not an ordinary file"),
    "extra": (add("setup.py"), r"setup\.py in it does not belong to its bundle"),
    "missing": (remove(-1), r"is missing in it"),
    "no manifest": (remove(0), r"there is no manifest\.json in it"),
    "other bytes": (other_weights, "in it does not hold what its manifest promises"),
    "bomb": (bomb, "it would grow to 50 MB, as no bundle does"),
    "name": (edit_manifest(name="../evil"), "its model's name is called '../evil'.*--output"),
    "hidden name": (edit_manifest(name=".ssh"), "its model's name is called '.ssh'"),
    "large manifest": (edit_manifest(recipe="x" * 5_000_000), "larger than any manifest"),
}


class TestHostileArchives:
    @pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile, when it writes one
    @pytest.mark.parametrize("case", HOSTILE)
    def test_is_refused_and_leaves_nothing(self, case: str, archive: Path, tmp_path: Path) -> None:
        change, problem = HOSTILE[case]
        hostile = rewrite(archive, tmp_path / "hostile.zip", change)
        with pytest.raises(ArchiveError, match=problem):
            install(hostile, tmp_path / "inside/models")
        assert list(tmp_path.iterdir()) == [hostile]

    def test_a_newer_schema(self, archive: Path, tmp_path: Path) -> None:
        newer = rewrite(archive, tmp_path / "newer.zip", edit_manifest(schema_version=9))
        with pytest.raises(SchemaVersionError, match="version 9"):
            install(newer, tmp_path / "models")

    @pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 100])
    def test_what_is_no_archive(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(ArchiveError, match="it is damaged or no zip"):
            install(tmp_path / "a.zip", tmp_path / "models")
        with pytest.raises(ArchiveError, match="there is no such file"):
            install(tmp_path / "b.zip", tmp_path / "models")

    @settings(
        deadline=None,
        max_examples=150,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(data=st.data())
    def test_whatever_is_altered_or_cut(
        self, data: st.DataObject, archive: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Either the very same bundle is installed or nothing is."""
        folder = tmp_path_factory.mktemp("altered")
        content = bytearray(archive.read_bytes())
        # The directory at the end decides most; the rest is weights.
        place = data.draw(st.integers(1, 600) | st.integers(1, len(content)), label="from the end")
        if data.draw(st.booleans(), label="cut"):
            del content[-place:]
        else:
            content[-place] ^= data.draw(st.integers(1, 255), label="bits")
        (folder / "a.zip").write_bytes(content)
        try:
            installed = install(folder / "a.zip", folder / "models")
        except RankletError:
            assert [path.name for path in folder.iterdir()] == ["a.zip"]
        else:
            check_all_files(installed.folder, read_manifest(TINY))


def test_variants_to_pack_may_be_repeated(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    words = ["bundle", "pack", str(TINY), "-o", str(archive)]
    assert main([*words, "--variants", "fp32", "--variants", "int8,int8-avx2"]) == 0
    assert list(install(archive, tmp_path).manifest.variants) == ["fp32", "int8", "int8-avx2"]


# Waits between the files of the bundle, so that there is a moment to be killed in.
SLOW = """
import shutil, sys, time
copy = shutil.copyfileobj
def slowly(*words):
    copy(*words)
    time.sleep(0.5)
shutil.copyfileobj = slowly
from ranklet.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_install_leaves_no_model(
    number: signal.Signals, archive: Path, tmp_path: Path
) -> None:
    words = ["bundle", "install", str(archive), "--output", str(tmp_path / "built/tiny")]
    with subprocess.Popen([sys.executable, "-c", SLOW, *words]) as process:
        while process.poll() is None and not list(tmp_path.glob("built/.*/bundle/*")):
            time.sleep(0.01)
        process.send_signal(number)
    assert process.returncode != 0
    assert not (tmp_path / "built/tiny").exists()
    manifests = [names for _, _, names in os.walk(tmp_path) if MANIFEST_NAME in names]
    assert manifests == []
    if number != signal.SIGKILL:  # it could clean up
        assert list(tmp_path.iterdir()) == []
    install(archive, tmp_path / "built")
    assert [path.name for path in (tmp_path / "built").iterdir()] == ["tiny"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_pack_leaves_goes_with_the_next(
    number: signal.Signals, tmp_path: Path
) -> None:
    words = ["bundle", "pack", str(TINY), "--output", str(tmp_path / "a.zip")]
    with subprocess.Popen([sys.executable, "-c", SLOW, *words]) as process:
        while process.poll() is None and not list(tmp_path.glob(".a.zip.*/a.zip")):
            time.sleep(0.01)
        process.send_signal(number)
    assert process.returncode != 0
    assert not (tmp_path / "a.zip").exists()
    if number != signal.SIGKILL:  # it could clean up
        assert list(tmp_path.iterdir()) == []
    pack_bundle(TINY, tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_full_disk_is_told(archive: Path, tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    words = ["bundle", "install", str(archive), "--output", str(tmp_path / "tiny")]
    result = subprocess.run(
        [sys.executable, "-c", limited + SLOW, *words],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert result.returncode == 2
    assert f"cannot write the bundle to {tmp_path}/tiny: File too large" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path: Path) -> None:
    def ranklet(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ranklet.cli", "bundle", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    packed = ranklet("pack", str(TINY), "--variants", "fp32,int8")
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.startswith("Packed fp32, int8 of tiny into tiny.bundle.zip, 0.1 MB.")
    installed = ranklet("install", "tiny.bundle.zip")
    assert installed.returncode == 0, installed.stderr
    assert "Runs here: " in installed.stdout
    check_all_files(tmp_path / "models/built/tiny", read_manifest(tmp_path / "models/built/tiny"))
    missing = ranklet("install", "other.zip")
    assert (missing.returncode, missing.stdout) == (2, "")
    expected = "ranklet: error: cannot install other.zip: there is no such file\n"
    assert missing.stderr == expected
    assert issubclass(ArchiveError, BundleError)
