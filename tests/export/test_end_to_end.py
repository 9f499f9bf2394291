"""A random checkpoint, exported: the bundle ranks as torch does, and says how it was made."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from onnx import numpy_helper
from rich.console import Console

from ranklet.export import build, graph_file, verification
from ranklet.export.errors import ExportError, ParityError, UnsupportedCheckpointError
from ranklet.export.head import ClassifierHead
from ranklet.export.pipeline import ExportedBundle, export_bundle
from ranklet.export.progress import Stages
from ranklet.export.quantization import VARIANTS
from ranklet.export.quiet import quiet_libraries
from ranklet.export.request import VARIANT_NAMES, ExportRequest
from ranklet.export.torch_model import export_graph, load_model, torch_logits
from ranklet.export.torch_tokenizer import load_tokenizer, require_same_ids
from ranklet.runtime.bundle import check_all_files
from ranklet.runtime.manifest import Manifest, read_manifest
from ranklet.runtime.processor import Processor
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.tokenization import PairEncoder

pytestmark = pytest.mark.torch

Run = Callable[..., subprocess.CompletedProcess[str]]

QUERIES = (
    "how tall is the eiffel tower",
    "",
    "🗼 ¿Qué tan alta? 埃菲尔铁塔有多高 كم",
    "a\x00b\u200d",
)
DOCUMENTS = (
    "The Eiffel Tower is 330 metres tall.",
    "",
    "שלום עולם, the tower is tall",
    "🇫🇷🗼 emoji \U0001f468\u200d\U0001f469\u200d\U0001f467 and [SEP] [CLS] [MASK] spelled out",
    "\t\r\n control\x07 characters\x00 in\ufeff between \ufffd",
    "ǅ ﬁ Å Å ß İ ligatures, accents and case",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "ein sehr langer Satz " * 12,
)
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]


def export(request: ExportRequest) -> ExportedBundle:
    def ignore(*_: object) -> None:
        """Print nothing."""

    return export_bundle(request, Stages(Console(quiet=True)), on_report=ignore, on_quality=ignore)


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportedBundle:
    output = tmp_path_factory.mktemp("built") / "tiny"
    return export(ExportRequest(str(tiny_checkpoint), output, verify_pairs=48, allow_degraded=True))


@pytest.fixture(scope="module")
def torch_scores(tiny_checkpoint: Path) -> NDArray[np.float32]:
    """Logits of ``PAIRS`` by transformers alone: its tokenizer, its cutting, its model."""
    with quiet_libraries():
        import torch

        tokenizer = load_tokenizer("tiny", tiny_checkpoint)
        model = load_model("tiny", tiny_checkpoint, ClassifierHead(), tokenizer)
        scores: list[float] = []
        for query, document in PAIRS:
            # Lists, as sentence-transformers passes them: alone, an empty document is none at all.
            inputs: Any = tokenizer(
                [query], [document], truncation="only_second", return_tensors="pt"
            )
            with torch.inference_mode():
                scores.append(model(**inputs).logits.item())
    return np.array(scores, np.float32)


def score(bundle: Path, variant: str) -> NDArray[np.float32]:
    with Reranker.open(bundle, variant=variant) as reranker:
        scores = [reranker.score(query, DOCUMENTS, raw_scores=True) for query in QUERIES]
    return np.concatenate(scores)


def test_fp32_scores_hostile_text_as_torch_does(
    exported: ExportedBundle, torch_scores: NDArray[np.float32]
) -> None:
    difference = np.abs(score(exported.folder, "fp32") - torch_scores).max()
    assert difference <= 1e-4 * torch_scores.std()


@pytest.mark.parametrize("variant", ["int8", "int8-avx2"])
def test_int8_scores_hostile_text_much_as_torch_does(
    variant: str, exported: ExportedBundle, torch_scores: NDArray[np.float32]
) -> None:
    assert np.corrcoef(score(exported.folder, variant), torch_scores)[0, 1] > 0.9


def test_manifest(exported: ExportedBundle) -> None:
    manifest = read_manifest(exported.folder)
    assert manifest == exported.manifest
    check_all_files(exported.folder, manifest)
    assert manifest.name == "tiny"
    assert manifest.source.checkpoint == "tiny-reranker"
    assert manifest.source.licence == "cc-by-4.0"
    assert manifest.architecture == "BertForSequenceClassification"
    assert manifest.window_tokens == 96
    assert manifest.graph_inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert manifest.first_token_pruned
    assert list(manifest.variants) == ["fp32", "int8", "int8-avx2"]
    assert {"ranklet", "torch", "transformers", "optimum", "onnx", "onnxruntime"} <= set(
        manifest.tool_versions
    )


def test_manifest_reports_the_verification(exported: ExportedBundle) -> None:
    verified = exported.manifest.verification
    assert verified is not None
    assert verified.pairs == 48
    assert verified.logit_std > 0.1
    report = exported.manifest.variants["fp32"].report
    assert report is not None
    assert report.passed
    assert report.mean_difference <= report.max_difference <= verified.max_difference_fp32
    avx2 = exported.manifest.variants["int8-avx2"].report
    assert avx2 is not None
    assert avx2.session_options == {"session.x64quantprecision": "1"}


def test_eight_bits_are_verified_exactly_whatever_processor_builds(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = Processor("x86_64", frozenset({"avx2"}))
    monkeypatch.setattr(build, "detect_processor", lambda: processor)
    request = ExportRequest(
        str(tiny_checkpoint),
        tmp_path / "tiny",
        variants=("fp32", "int8"),
        verify_pairs=32,
        allow_degraded=True,
    )
    report = export(request).manifest.variants["int8"].report
    assert report is not None
    assert report.session_options == {"session.x64quantprecision": "1"}


def test_bundle_says_nothing_of_this_machine(
    exported: ExportedBundle, tiny_checkpoint: Path
) -> None:
    for path in exported.folder.iterdir():
        content = path.read_bytes()
        for folder in (tiny_checkpoint.parent, exported.folder.parent, Path.home(), Path.cwd()):
            assert bytes(folder) not in content, path.name


def test_tokens_are_those_of_transformers(tiny_checkpoint: Path, exported: ExportedBundle) -> None:
    encoder = PairEncoder.from_file(exported.folder / "tokenizer.json", window_tokens=4096)
    with quiet_libraries():
        tokenizer = load_tokenizer("tiny", tiny_checkpoint)
        for query, document in PAIRS:
            expected: Any = tokenizer([query], [document])
            pair = encoder.encode_pair(encoder.encode_query(query), document)
            assert pair.ids.tolist() == expected["input_ids"][0]
            assert pair.type_ids.tolist() == expected["token_type_ids"][0]


def test_tokenizer_class_corrects_its_file(checkpoint: Path, tmp_path: Path) -> None:
    """As transformers does: the tokenizer's configuration wins over ``tokenizer.json``."""
    path = checkpoint / "tokenizer_config.json"
    settings = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(settings | {"do_lower_case": False}))
    request = ExportRequest(str(checkpoint), tmp_path / "cased", variants=("fp32",))
    encoder = PairEncoder.from_file(export(request).folder / "tokenizer.json", window_tokens=96)
    unknown = encoder.encode_query("Tower").encoding.tokens
    assert unknown != encoder.encode_query("tower").encoding.tokens


def test_other_tokens_and_segments_are_noticed(
    tiny_checkpoint: Path, exported: ExportedBundle
) -> None:
    encoder = PairEncoder.from_file(exported.folder / "tokenizer.json", window_tokens=96)
    feeds = [
        encoder.encode_pair(encoder.encode_query(query), text).feed(exported.manifest.graph_inputs)
        for query, text in PAIRS
    ]
    with quiet_libraries():
        tokenizer = load_tokenizer("tiny", tiny_checkpoint)
        require_same_ids("tiny", tokenizer, PAIRS, feeds, window_tokens=96, prompt=None)
        for name in ("input_ids", "token_type_ids"):
            wrong = [feed | {name: 1 - feed[name]} for feed in feeds]
            with pytest.raises(UnsupportedCheckpointError, match=f"gives other {name} for"):
                require_same_ids("tiny", tokenizer, PAIRS, wrong, window_tokens=96, prompt=None)


def test_conversion_leaves_the_model_as_it_was(
    tiny_checkpoint: Path, exported: ExportedBundle, tmp_path: Path
) -> None:
    encoder = PairEncoder.from_file(exported.folder / "tokenizer.json", window_tokens=96)
    pairs = [encoder.encode_pair(encoder.encode_query(query), text) for query, text in PAIRS]
    feeds = [pair.feed(exported.manifest.graph_inputs) for pair in pairs]
    with quiet_libraries():
        tokenizer = load_tokenizer("tiny", tiny_checkpoint)
        model = load_model("tiny", tiny_checkpoint, ClassifierHead(), tokenizer)
        before = list(torch_logits(model, feeds))
        export_graph("tiny", model, tmp_path / "model.onnx")
        assert list(torch_logits(model, feeds)) == before


def test_missing_weights_are_not_made_up(checkpoint: Path, tmp_path: Path) -> None:
    path = checkpoint / "model.safetensors"
    tensors = safetensors.numpy.load(path.read_bytes())
    del tensors["classifier.weight"]
    path.write_bytes(safetensors.numpy.save(tensors, {"format": "pt"}))
    with pytest.raises(UnsupportedCheckpointError, match=r"its weights lack classifier\.weight$"):
        export(ExportRequest(str(checkpoint), tmp_path / "built/tiny"))
    assert not (tmp_path / "built").exists()


def test_architecture_that_transformers_does_not_know(checkpoint: Path, tmp_path: Path) -> None:
    path = checkpoint / "config.json"
    settings = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(settings | {"model_type": "of-tomorrow"}))
    with pytest.raises(UnsupportedCheckpointError, match="transformers cannot load it") as caught:
        export(ExportRequest(str(checkpoint), tmp_path / "built/tiny"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "built").exists()


def zero_segments(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if "token_type_embeddings" in tensor.name:
            tensor.raw_data = bytes(len(tensor.raw_data))


def shift_bias(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "classifier.bias":
            tensor.CopyFrom(numpy_helper.from_array(np.array([1e-3], np.float32), tensor.name))


@pytest.mark.parametrize("variants", [("fp32",), ("int8",)])
@pytest.mark.parametrize("spoil", [zero_segments, shift_bias])
def test_wrong_graph_is_noticed_and_never_allowed(
    spoil: Callable[[onnx.ModelProto], None],
    variants: tuple[str, ...],
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def prune_wrongly(model: onnx.ModelProto) -> bool:
        spoil(model)
        return False

    monkeypatch.setattr(build, "prune_to_first_token", prune_wrongly)
    output = tmp_path / "built/tiny"
    with pytest.raises(ParityError, match="variant fp32 differs too much") as caught:
        export(ExportRequest(str(tiny_checkpoint), output, variants=variants, allow_degraded=True))
    assert caught.value.found > caught.value.limit
    assert not output.parent.exists()


def test_degraded_int8_fails_unless_allowed(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MIN_KENDALL_TAU", 1.5)
    request = ExportRequest(str(tiny_checkpoint), tmp_path / "built/tiny", variants=("int8",))
    with pytest.raises(ParityError, match=r"Kendall's tau is .* \(--allow-degraded keeps it\)"):
        export(request)
    assert not (tmp_path / "built").exists()

    request = ExportRequest(request.source, request.output, variants=("int8",), allow_degraded=True)
    manifest = export(request).manifest
    variant = manifest.variants["int8"]
    assert variant.report is not None
    assert not variant.report.passed
    assert variant.report.degraded_allowed
    files = {file.path for file in variant.files} | {"manifest.json", "tokenizer.json"}
    assert {path.name for path in (tmp_path / "built/tiny").iterdir()} == files


def test_graph_that_one_file_cannot_hold(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_file, "_LARGEST_FILE_BYTES", 1_000_000)
    request = ExportRequest(
        str(tiny_checkpoint), tmp_path / "tiny", variants=VARIANT_NAMES, allow_degraded=True
    )
    manifest = export(request).manifest
    check_all_files(tmp_path / "tiny", manifest)
    for name, variant in manifest.variants.items():
        assert [file.path for file in variant.files] == [f"{name}.onnx", f"{name}.onnx.data"]


def test_bundle_is_replaced_by_a_new_one(
    exported: ExportedBundle, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(exported.folder, tmp_path / "tiny")
    export(ExportRequest(str(tiny_checkpoint), output, name="renamed", variants=("fp32",)))
    manifest = read_manifest(output)
    check_all_files(output, manifest)
    assert manifest.name == "renamed"
    assert not (output / "int8.onnx").exists()


def test_known_variants_are_those_that_can_be_built() -> None:
    assert set(VARIANT_NAMES) == set(VARIANTS)


@pytest.mark.parametrize("variants", [("int4",), ()])
def test_unknown_variants_are_told_first(variants: tuple[str, ...]) -> None:
    with pytest.raises(
        ExportError, match="the variants are fp32, int8, int8-avx2, fp16, source, not"
    ):
        export(ExportRequest("no/such/model", Path("nowhere"), variants=variants))


@pytest.mark.parametrize(
    ("request_", "name", "folder"),
    [
        (ExportRequest("models/mine"), "mine", Path("models/built/mine")),
        (ExportRequest("someone/mine", name="yours"), "yours", Path("models/built/yours")),
        (ExportRequest("someone/mine", Path("there/here")), "here", Path("there/here")),
        (ExportRequest("a/b", Path("there/here"), name="c"), "c", Path("there/here")),
    ],
)
def test_names_and_places(request_: ExportRequest, name: str, folder: Path) -> None:
    assert request_.place() == (name, folder.resolve())


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "a/b", "modèle"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ExportError, match="is no name for a model"):
        ExportRequest("someone/mine", name=name).place()


def test_json_on_standard_output(tiny_checkpoint: Path, run_export: Run, tmp_path: Path) -> None:
    words = ["--json", "--variants", "fp32", "--verify-pairs", "32", "--name", "told"]
    result = run_export(tiny_checkpoint, "--output", tmp_path / "tiny", *words)
    assert result.returncode == 0, result.stderr
    output = msgspec.json.decode(result.stdout)
    assert output["bundle"] == str(tmp_path / "tiny")
    assert msgspec.convert(output["manifest"], Manifest).name == "told"
    assert output["seconds"].keys() >= {"Check the source", "Build fp32", "Verify fp32"}
    assert "rank tau" in result.stderr
