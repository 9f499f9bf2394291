"""FlashRank's layout: the same scores as FlashRank itself, and archives that mean harm refused."""

import json
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from flashrank import Ranker, RerankRequest
from onnxruntime import InferenceSession
from onnxruntime.quantization import QuantType, quantize_dynamic

from ranklet.export.errors import ExportError, SourceNotFoundError, UnsupportedCheckpointError
from ranklet.export.request import ExportRequest
from ranklet.export.source import open_source
from ranklet.export.verification_text import load_pairs
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.sessions import EXACT_PRODUCTS, cpu_settings

pytestmark = pytest.mark.torch

Run = Callable[..., subprocess.CompletedProcess[str]]

NAME = "ms-marco-MiniLM-L-12-v2"
GRAPH = "flashrank-MiniLM-L-12-v2_Q.onnx"
"""What FlashRank calls this model's graph."""

HOSTILE = [
    ("naïve café 中文 🙂", "İstanbul \u0000 \u202e right to left, ﬁ ligature"),
    ("a", ""),
    ("  spaces  ", "\n\ttabs\n"),
]


@pytest.fixture(scope="module")
def shipped_folder(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model in FlashRank's layout, quantized as theirs are."""
    folder = tmp_path_factory.mktemp("shipped") / NAME
    checkpoint = Path(__file__).parents[2] / "models/ranklet-mini"
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.md"))
    graph = onnx.load(bundle / "fp32.onnx")
    floats = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(graph, folder / GRAPH, weight_type=QuantType.QInt8, extra_options=floats)
    return folder


@pytest.mark.parametrize("kind", ["flashrank_folder", "shipped_folder", "fp32"])
def test_scores_are_those_of_flashrank(
    kind: str, request: pytest.FixtureRequest, run_without_torch: Run, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue("flashrank_folder" if kind == "fp32" else kind)
    folder = shutil.copytree(folder, tmp_path / "cache" / NAME)
    if kind == "fp32":
        shutil.copy(request.getfixturevalue("tiny_graph") / "model.onnx", folder / GRAPH)
    words = ("export", folder, "--output", tmp_path / "bundle", "--verify-pairs", "32")
    result = run_without_torch(*words)
    assert result.returncode == 0, result.stderr
    assert list(read_manifest(tmp_path / "bundle").variants) == ["source"]

    ranker = Ranker(model_name=NAME, cache_dir=str(tmp_path / "cache"), log_level="ERROR")
    # FlashRank leaves onnxruntime as it comes, which overflows on x86 without VNNI.
    graph = tmp_path / "cache" / NAME / GRAPH
    ranker.session = InferenceSession(graph, cpu_settings(EXACT_PRODUCTS))
    with Reranker.open(tmp_path / "bundle", variant="source", workers=1) as ours:
        for query, document in [*load_pairs(24), *HOSTILE]:
            [theirs] = ranker.rerank(RerankRequest(query, [{"text": document}]))
            assert ours.score(query, [document])[0] == pytest.approx(theirs["score"], abs=1e-5)


def test_only_the_tokenizers_own_file_counts(
    flashrank_folder: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    """As for FlashRank, which reads nothing of it from elsewhere."""
    folder = shutil.copytree(flashrank_folder, tmp_path / NAME)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"do_lower_case": False, "model_input_names": []}))
    words = ("export", folder, "--output", tmp_path / "bundle", "--verify-pairs", "32")
    result = run_without_torch(*words)
    assert result.returncode == 0, result.stderr
    found = (tmp_path / "bundle/tokenizer.json").read_bytes()
    assert found == (folder / "tokenizer.json").read_bytes()


def test_archive_is_imported(
    flashrank_folder: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    archive = shutil.make_archive(
        str(tmp_path / "mine"), "zip", flashrank_folder.parent, flashrank_folder.name
    )
    output = tmp_path / "bundle"
    result = run_without_torch("export", archive, "--output", output, "--verify-pairs", "32")
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(output)
    assert manifest.source.checkpoint == "mine.zip"
    assert manifest.variants["source"].processors == "int8-dot"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "mine.zip"]


def test_archive_names_the_model() -> None:
    assert ExportRequest("models/mine.zip").place()[0] == "mine"
    assert ExportRequest(f"flashrank:{NAME}").place()[0] == NAME


def entry(name: str, *, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


HARMFUL = {
    "outside": (entry("model/../../evil"), "a path that leaves the archive: 'model/../../evil'"),
    "outside, backslashes": (entry("..\\evil"), "a path that leaves the archive"),
    "absolute": (entry("/etc/passwd"), "an absolute path: '/etc/passwd'"),
    "drive": (entry("C:\\evil"), "an absolute path"),
    "link": (entry("model/link", mode=stat.S_IFLNK | 0o777), "a link: 'model/link'"),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_harmful_archive(case: str, tmp_path: Path) -> None:
    info, message = HARMFUL[case]
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr(info, b"../../../etc/passwd")
    assert message in refusal(tmp_path / "model.zip", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]


def test_archive_that_would_fill_the_disk(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/zeros.onnx", bytes(20_000_000))
    assert "would unpack to 20000000 bytes" in refusal(tmp_path / "model.zip", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]


def test_damaged_archive(flashrank_folder: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", flashrank_folder))
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-100])
    assert "mine.zip is a damaged or unknown kind of zip archive" in refusal(archive, tmp_path)
    for place in range(200, 1000, 100):  # in what is packed
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert "mine.zip is a damaged or unknown kind of zip archive" in refusal(archive, tmp_path)


def test_archive_without_a_model(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model/model.gguf", b"GGUF")
    assert "no .onnx file" in refusal(tmp_path / "model.zip", tmp_path)


def refusal(archive: Path, tmp_path: Path) -> str:
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_source(ExportRequest(str(archive)), tmp_path / "unpacked")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "rank_zephyr_7b_v1_full",
            UnsupportedCheckpointError,
            "rank_zephyr_7b_v1_full.Q4_K_M.gguf is a language model that orders lists",
        ),
        ("ms-marco", SourceNotFoundError, "FlashRank has no such model; its cross-encoders are"),
    ],
)
def test_models_that_cannot_be_imported(
    name: str, error: type[ExportError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        open_source(ExportRequest(f"flashrank:{name}"), tmp_path)


def test_graph_with_a_decoder(flashrank_folder: Path, tmp_path: Path) -> None:
    """What an export of the whole of T5 reads."""
    folder = shutil.copytree(flashrank_folder, tmp_path / "rank-T5-flan")
    graph = onnx.load(folder / GRAPH)
    decoder = onnx.helper.make_tensor_value_info("decoder_input_ids", onnx.TensorProto.INT64, None)
    graph.graph.input.append(decoder)
    onnx.save(graph, folder / GRAPH)
    with pytest.raises(UnsupportedCheckpointError, match=f"{GRAPH} reads decoder_input_ids"):
        open_source(ExportRequest(str(folder)), tmp_path)
