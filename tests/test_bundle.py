"""A bundle is used only when it is whole, and with the variant that fits the processor."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnxruntime as ort
import pytest

from ranklet import Reranker
from ranklet.runtime.bundle import check_all_files, choose_variant
from ranklet.runtime.errors import (
    BundleError,
    BundleFileMissingError,
    BundleFileUnreadableError,
    ChecksumError,
    InvalidManifestError,
    ProviderError,
    SchemaVersionError,
    VariantError,
)
from ranklet.runtime.manifest import SCHEMA_VERSION, Manifest, read_manifest, write_manifest
from ranklet.runtime.processor import Processor

TINY = Path(__file__).parent / "tiny/bundle"
VNNI = Processor("x86_64", frozenset({"avx2", "avx512_vnni"}))
AVX2 = Processor("x86_64", frozenset({"avx2"}))
OLD = Processor("x86_64", frozenset({"sse2"}))
DOT = Processor("aarch64", frozenset({"asimddp"}))
PI4 = Processor("aarch64", frozenset({"asimd"}))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "copy"))


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


class TestManifest:
    def test_is_written_as_it_is_read(self, tmp_path: Path) -> None:
        manifest = read_manifest(TINY)
        write_manifest(tmp_path, manifest)
        assert read_manifest(tmp_path) == manifest
        assert (tmp_path / "manifest.json").read_text().count("\n") > 20  # people read it too

    def test_a_folder_without_one_says_how_to_build_it(self, tmp_path: Path) -> None:
        with pytest.raises(BundleFileMissingError, match="ranklet export SOURCE") as caught:
            read_manifest(tmp_path)
        assert isinstance(caught.value, FileNotFoundError)
        assert str(caught.value).startswith(f"{tmp_path}/manifest.json does not exist")

    def test_a_checkpoint_is_to_be_exported_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        expected = f"this is a checkpoint .*ranklet export {tmp_path} --output ANOTHER_FOLDER, and"
        with pytest.raises(BundleFileMissingError, match=expected):
            read_manifest(tmp_path)

    def test_a_newer_schema_is_refused_by_its_number(self, copy: Path) -> None:
        # A newer manifest need not look like today's in any other way.
        (copy / "manifest.json").write_text('{"schema_version": 7}')
        with pytest.raises(SchemaVersionError, match=f"version 7, .* up to {SCHEMA_VERSION}"):
            read_manifest(copy)

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b"{}", b'{"schema_version": 1}', b"\xff"]
    )
    def test_what_is_no_manifest_is_refused(self, copy: Path, content: bytes) -> None:
        (copy / "manifest.json").write_bytes(content)
        with pytest.raises(InvalidManifestError, match="is not a manifest"):
            read_manifest(copy)

    @pytest.mark.parametrize("opening", [b'{"schema_version": 2, "name": ', b'{"more": '])
    def test_one_that_is_nested_too_deeply_is_refused(self, copy: Path, opening: bytes) -> None:
        nested = opening + b"[" * 50_000 + b"]" * 50_000 + b"}"
        (copy / "manifest.json").write_bytes(nested)
        with pytest.raises(InvalidManifestError, match=r"is not a manifest: .*recursion"):
            read_manifest(copy)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"graph_inputs": []}, "graph_inputs must name input_ids, not none"),
            (
                {"tokenizer": {"path": "fp32.onnx", "sha256": "0" * 64, "size_bytes": 1}},
                "promises a file with two contents",
            ),
            ({"graph_inputs": ["attention_mask"]}, "must name input_ids, not attention_mask"),
            ({"window_tokens": 0}, r"int` >= 1 - at `\$\.window_tokens`"),
            ({"graph_inputs": ["input_ids", "position_ids"]}, r"at `\$\.graph_inputs\[1\]`"),
            ({"variants": {}}, r"length >= 1 - at `\$\.variants`"),
        ],
    )
    def test_what_nothing_can_run_is_refused(
        self, copy: Path, change: dict[str, object], problem: str
    ) -> None:
        edit(copy, lambda manifest: manifest.update(change))
        with pytest.raises(InvalidManifestError, match=problem):
            read_manifest(copy)

    def test_a_variant_without_files_is_refused(self, copy: Path) -> None:
        edit(copy, lambda manifest: manifest["variants"]["int8"].update(files=[]))  # type: ignore[index]
        with pytest.raises(InvalidManifestError, match=r"length >= 1 - at `\$\.variants"):
            read_manifest(copy)

    def test_one_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").mkdir()
        with pytest.raises(BundleFileUnreadableError, match=r"manifest\.json cannot be read: Is a"):
            read_manifest(tmp_path)
        with pytest.raises(BundleFileUnreadableError, match="cannot be read: File name too long"):
            read_manifest(tmp_path / ("x" * 300))


class TestFiles:
    @pytest.mark.parametrize("name", ["tokenizer.json", "fp32.onnx", "int8.onnx"])
    def test_a_missing_file_is_named(self, copy: Path, name: str) -> None:
        (copy / name).unlink()
        with pytest.raises(BundleFileMissingError, match=name):
            check_all_files(copy, read_manifest(copy))

    def test_one_flipped_bit_is_found(self, copy: Path) -> None:
        content = bytearray((copy / "fp32.onnx").read_bytes())
        content[1000] ^= 1
        (copy / "fp32.onnx").write_bytes(content)
        with pytest.raises(ChecksumError, match=r"fp32\.onnx is damaged: .* sha256"):
            Reranker.open(copy, variant="fp32")

    def test_a_truncated_file_is_found(self, copy: Path) -> None:
        content = (copy / "tokenizer.json").read_bytes()
        (copy / "tokenizer.json").write_bytes(content[:-1])
        with pytest.raises(ChecksumError, match=f"{len(content)} bytes, .* {len(content) - 1}"):
            Reranker.open(copy)

    def test_one_that_cannot_be_read_is_named(self, copy: Path) -> None:
        (copy / "fp32.onnx").unlink()
        (copy / "fp32.onnx").symlink_to("fp32.onnx")
        with pytest.raises(BundleFileUnreadableError, match=r"fp32\.onnx cannot be read: Too many"):
            check_all_files(copy, read_manifest(copy))

    def test_a_folder_in_place_of_a_file_is_named(self, copy: Path) -> None:
        (copy / "tokenizer.json").unlink()
        (copy / "tokenizer.json").mkdir()
        size = (copy / "tokenizer.json").stat().st_size
        edit(copy, lambda manifest: manifest["tokenizer"].update(size_bytes=size))  # type: ignore[attr-defined]
        with pytest.raises(
            BundleFileUnreadableError, match=r"tokenizer\.json cannot be read: Is a"
        ):
            Reranker.open(copy)

    def test_only_the_files_of_the_variant_are_needed(self, copy: Path) -> None:
        (copy / "int8.onnx").unlink()
        with Reranker.open(copy, variant="fp32") as reranker:
            assert reranker.score("moon", ["moon"]).shape == (1,)

    @pytest.mark.parametrize("place", ["../fp32.onnx", "/etc/hostname", "a/b.onnx", "a\0b"])
    def test_a_manifest_that_points_outside_is_refused(self, copy: Path, place: str) -> None:
        edit(copy, lambda manifest: manifest["tokenizer"].update(path=place))  # type: ignore[attr-defined]
        with pytest.raises(InvalidManifestError, match="not a plain file name"):
            Reranker.open(copy)

    def test_a_graph_that_onnxruntime_cannot_read_is_named(self, copy: Path) -> None:
        manifest = read_manifest(copy)
        # The checksum is right, the bytes are no graph.
        files = manifest.variants["fp32"].files
        variant = msgspec.structs.replace(
            manifest.variants["fp32"],
            files=(msgspec.structs.replace(manifest.tokenizer), *files[1:]),
        )
        write_manifest(copy, msgspec.structs.replace(manifest, variants={"fp32": variant}))
        with pytest.raises(BundleError, match=r"onnxruntime .* cannot load .*tokenizer\.json"):
            Reranker.open(copy)


class TestChoice:
    @pytest.mark.parametrize(
        ("processor", "expected"),
        [(VNNI, "int8"), (DOT, "int8"), (AVX2, "int8-avx2"), (OLD, "fp32"), (PI4, "fp32")],
    )
    def test_follows_the_processor(self, processor: Processor, expected: str) -> None:
        choice = choose_variant(read_manifest(TINY), processor)
        assert choice.name == expected
        assert processor.machine in choice.reason

    def test_takes_what_a_small_bundle_has(self) -> None:
        assert choose_variant(_only("fp32"), VNNI).name == "fp32"
        with pytest.raises(VariantError, match="has no variant for aarch64"):
            choose_variant(_only("int8-avx2"), DOT)

    def test_a_name_overrides(self) -> None:
        assert choose_variant(read_manifest(TINY), VNNI, name="fp32").reason == "asked for by name"

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(VariantError, match=r"no variant 'int4', only fp32, int8, int8-avx2"):
            Reranker.open(TINY, variant="int4")

    def test_cuda_comes_first_where_there_is_a_variant_for_it(self, for_cuda: Path) -> None:
        assert choose_variant(read_manifest(for_cuda), VNNI, cuda=True).name == "fp16"
        assert choose_variant(read_manifest(TINY), VNNI, cuda=True).name == "int8"


@pytest.fixture
def for_cuda(copy: Path) -> Path:
    manifest = read_manifest(copy)
    fp16 = msgspec.structs.replace(manifest.variants["fp32"], precision="fp16", processors="cuda")
    variants = {**manifest.variants, "fp16": fp16}
    write_manifest(copy, msgspec.structs.replace(manifest, variants=variants))
    return copy


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA is available here"
)
class TestWithoutCuda:
    def test_a_cuda_variant_asked_for_by_name_is_refused(self, for_cuda: Path) -> None:
        with pytest.raises(ProviderError, match="cannot run on CUDA here: install onnxruntime-gpu"):
            Reranker.open(for_cuda, variant="fp16")

    def test_a_provider_that_does_not_load_falls_back_to_the_processor(
        self, for_cuda: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("ranklet.runtime.opening.cuda_is_available", lambda: True)
        with Reranker.open(for_cuda) as reranker:
            assert reranker.variant != "fp16"
            assert reranker.score("moon", ["moon"]).shape == (1,)
        assert "scoring on the CPU instead" in caplog.text


def _only(name: str) -> Manifest:
    manifest = read_manifest(TINY)
    return msgspec.structs.replace(manifest, variants={name: manifest.variants[name]})
