"""Ready graphs: chosen, kept or made into variants of ours, refused where harmful."""

import json
import shutil
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from ranklet.export import onnx_source
from ranklet.export.errors import ExportError, UnsupportedCheckpointError
from ranklet.export.request import ExportRequest, Origin
from ranklet.export.source import open_source
from ranklet.export.tokenizer_file import corrected_tokenizer
from ranklet.export.verification_text import load_pairs
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.tokenization import PairEncoder

pytestmark = pytest.mark.torch

Run = Callable[..., subprocess.CompletedProcess[str]]
Spoil = Callable[[Path], object]


@pytest.fixture
def folder(tiny_graph: Path, tmp_path: Path) -> Path:
    """A copy of the tiny graph that a test may spoil."""
    return shutil.copytree(tiny_graph, tmp_path / "source")


def logits_of(graph: Path, tokenizer: Path, pairs: Collection[tuple[str, str]]) -> list[Any]:
    """Score with a plain session, away from everything that an export does."""
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    encoder = PairEncoder.from_file(tokenizer, window_tokens=96)
    feeds = (encoder.encode_pair(encoder.encode_query(q), d).feed(names) for q, d in pairs)
    return [session.run(None, feed)[0].reshape(-1) for feed in feeds]


def test_fp32_graph_becomes_variants_of_ours(
    tiny_graph: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    words = ("export", tiny_graph, "--output", tmp_path / "bundle", "--verify-pairs", "64")
    result = run_without_torch(*words, "--allow-degraded")
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(tmp_path / "bundle")
    assert list(manifest.variants) == ["fp32", "int8", "int8-avx2"]
    assert manifest.first_token_pruned
    assert manifest.source.licence == "cc-by-4.0"
    assert not {"torch", "optimum", "transformers"} & manifest.tool_versions.keys()
    pairs = load_pairs(24)
    expected = logits_of(tiny_graph / "model.onnx", tiny_graph / "tokenizer.json", pairs)
    with Reranker.open(tmp_path / "bundle", variant="fp32", workers=1) as reranker:
        found = [reranker.score(query, [text], raw_scores=True)[0] for query, text in pairs]
    np.testing.assert_allclose(found, np.ravel(expected), atol=1e-4)


def test_graph_of_two_labels(folder: Path, run_without_torch: Run, tmp_path: Path) -> None:
    """The bundle's logit is the difference of the two, whatever the second output says."""
    graph = onnx.load(folder / "model.onnx")
    logit = graph.graph.output[0].name
    weights = numpy_helper.from_array(np.array([[-0.25, 0.75]], np.float32), "two")
    graph.graph.initializer.append(weights)
    graph.graph.node.append(helper.make_node("MatMul", [logit, "two"], ["labels"]))
    del graph.graph.output[:]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("labels", logit)]
    graph.graph.output.extend(outputs)
    onnx.save(graph, folder / "model.onnx")
    edit(folder, num_labels=2, id2label={"0": "no", "1": "yes"})
    words = ("export", folder, "--output", tmp_path / "bundle", "--variants", "fp32,source")
    result = run_without_torch(*words, "--verify-pairs", "32")
    assert result.returncode == 0, result.stderr
    pairs = load_pairs(8)
    labels = logits_of(folder / "model.onnx", folder / "tokenizer.json", pairs)
    for variant in ("fp32", "source"):
        with Reranker.open(tmp_path / "bundle", variant=variant, workers=1) as reranker:
            for (query, text), (no, yes) in zip(pairs, labels, strict=True):
                score = reranker.score(query, [text])[0]
                assert score == pytest.approx(1 / (1 + np.exp(no - yes)), abs=1e-5)


@pytest.mark.parametrize(
    ("weight_type", "narrow", "family"),
    [
        (QuantType.QInt8, False, "int8-dot"),
        (QuantType.QInt8, True, "any"),
        (QuantType.QUInt8, False, "any"),
    ],
)
def test_processors_of_a_quantized_graph(
    weight_type: QuantType, narrow: bool, family: str, folder: Path, tmp_path: Path
) -> None:
    quantized = folder / "model_quantized.onnx"
    quantize_dynamic(folder / "model.onnx", quantized, weight_type=weight_type, reduce_range=narrow)
    request = ExportRequest(str(folder), graph="model_quantized.onnx", origin="onnx")
    graph = open_source(request, tmp_path).graph
    assert graph is not None
    assert (graph.precision, graph.processors, graph.is_kept) == ("int8", family, True)


def test_quantized_graph_is_not_quantized_again(
    flashrank_folder: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    words = ("--variants", "int8", "--output", tmp_path / "bundle")
    result = run_without_torch("export", flashrank_folder, *words)
    assert result.returncode == 2
    assert "is quantized already: take it as it is, with --variants source" in result.stderr
    gate = ("--verify-data", tmp_path, "--output", tmp_path / "bundle")
    result = run_without_torch("export", flashrank_folder, *gate)
    assert result.returncode == 2
    assert "measure a graph that is quantized already with `ranklet eval`" in result.stderr


def edit(folder: Path, **changes: object) -> None:
    edit_json(folder / "config.json", **changes)


def edit_json(path: Path, /, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


NO_SEGMENTS = {"model_input_names": ["input_ids", "attention_mask"]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"},
        {"tokenizer_class": "DistilBertTokenizer"},
        NO_SEGMENTS,
    ],
)
def test_tokenizer_is_corrected_as_transformers_does(changes: dict[str, Any], folder: Path) -> None:
    from ranklet.export.torch_tokenizer import load_tokenizer

    edit_json(folder / "tokenizer_config.json", **changes)
    original = load_tokenizer("tiny", folder)
    corrected = corrected_tokenizer("tiny", folder, ["input_ids", "token_type_ids"])
    for query, text in (("A Gene", "Où est la Tour?"), ("基因 Gene", "脱氧核糖核酸 É")):
        expected: Any = original(query, text)
        found = corrected.encode(query, text)
        assert found.ids == expected["input_ids"]
        assert found.type_ids == expected.get("token_type_ids", [0] * len(found.ids))


def test_corrected_tokenizer_goes_into_the_bundle(
    folder: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    edit_json(folder / "tokenizer_config.json", do_lower_case=False, **NO_SEGMENTS)
    words = ("--output", tmp_path / "bundle", "--variants", "fp32", "--verify-pairs", "32")
    result = run_without_torch("export", folder, *words)
    assert result.returncode == 0, result.stderr
    encoder = PairEncoder.from_file(tmp_path / "bundle/tokenizer.json", window_tokens=96)
    lower, upper = (
        encoder.encode_pair(encoder.encode_query("a"), text) for text in ("tower", "Tower")
    )
    assert lower.ids.tolist() != upper.ids.tolist()
    assert not lower.type_ids.any()


def test_case_is_lowered_where_sentence_transformers_does(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", do_lower_case=False)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    cased = corrected_tokenizer("tiny", folder, ())
    (folder / "modules.json").write_text("[]")
    lowered = corrected_tokenizer("tiny", folder, ())
    assert cased.encode("Tower").ids != lowered.encode("Tower").ids
    assert lowered.encode("Tower").ids == cased.encode("tower").ids


@pytest.mark.parametrize("origin", ["onnx", "torch"])
def test_segments_that_no_template_decides(
    origin: str, folder: Path, tiny_checkpoint: Path, run_export: Run, tmp_path: Path
) -> None:
    shutil.copyfile(tiny_checkpoint / WEIGHTS, folder / WEIGHTS)
    edit_json(folder / "tokenizer_config.json", **NO_SEGMENTS)
    processor = {"type": "BertProcessing", "cls": ["[CLS]", 101], "sep": ["[SEP]", 102]}
    edit_json(folder / "tokenizer.json", post_processor=processor)
    result = run_export(folder, "--output", tmp_path / "bundle", "--from", origin)
    assert result.returncode == 2
    assert "tells query and document apart by type ids, which transformers" in result.stderr


def external(location: str, **entries: str) -> Spoil:
    """Keep a weight in another file."""

    def spoil(folder: Path) -> None:
        graph = onnx.load(folder / "model.onnx")
        tensor = graph.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=value)
        onnx.save(graph, folder / "model.onnx")

    return spoil


def with_data(folder: Path) -> None:
    external("model.onnx_data", offset="0", length="4000")(folder)
    (folder / "model.onnx_data").write_bytes(b"short")


def truncated(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def half_precision(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    graph.graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.float16), "half"))
    onnx.save(graph, folder / "model.onnx")


def four_bits(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    graph.graph.node.append(helper.make_node("MatMulNBits", [], ["nothing"]))
    onnx.save(graph, folder / "model.onnx")


def encoder(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    hidden = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["a", "b", 32])
    graph.graph.output[0].CopyFrom(hidden)
    onnx.save(graph, folder / "model.onnx")


def several(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model_O1.onnx")
    shutil.copy(folder / "model_O1.onnx", folder / "model_O2.onnx")


def linked(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere.onnx")


def three_labels(folder: Path) -> None:
    """Let the configuration tell how many numbers the graph gives, and not the graph."""
    edit(folder, num_labels=3)
    graph = onnx.load(folder / "model.onnx")
    output = graph.graph.output[0]
    output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None))
    onnx.save(graph, folder / "model.onnx")


REFUSALS: dict[str, tuple[Spoil, str]] = {
    "data above": (external("../secret"), "names '../secret' for its weights, which does not lie"),
    "data anywhere": (external("/etc/passwd"), "names '/etc/passwd' for its weights"),
    "data missing": (external("model.onnx_data"), "lacks model.onnx_data, the weights of model"),
    "data cut short": (with_data, "model.onnx_data is truncated or damaged"),
    "cut short": (truncated, "model.onnx is truncated or damaged, or no ONNX graph"),
    "no graph": (lambda f: (f / "model.onnx").write_bytes(b""), "model.onnx is an empty graph"),
    "16 bits": (half_precision, "its graph has 16-bit floats"),
    "4 bits": (four_bits, "its graph has 4 bits"),
    "no head": (encoder, "it is an encoder without the head that ranks"),
    "several": (several, "choose one with --graph: model_O1.onnx, model_O2.onnx"),
    "none": (lambda f: (f / "model.onnx").unlink(), "there is no .onnx file in it"),
    "link": (linked, "is a link that leads out of the folder"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "it has no tokenizer.json"),
    "three labels": (three_labels, "it gives 3 labels"),
    "another vocabulary": (lambda f: edit(f, vocab_size=9), "its embeddings only 9"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_by_what_was_found(case: str, folder: Path, tmp_path: Path) -> None:
    spoil, message = REFUSALS[case]
    spoil(folder)
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_source(ExportRequest(str(folder), origin="onnx"), tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_graph_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    request = ExportRequest(str(folder), graph="model_O4.onnx")
    with pytest.raises(UnsupportedCheckpointError, match=r"no graph model_O4.onnx, only: model.on"):
        open_source(request, tmp_path)


def test_graph_of_a_folder_without_any(tiny_checkpoint: Path, tmp_path: Path) -> None:
    request = ExportRequest(str(tiny_checkpoint), graph="model.onnx")
    with pytest.raises(UnsupportedCheckpointError, match=r"there is no .onnx file in it, nor in"):
        open_source(request, tmp_path)


def test_graph_that_does_not_run(folder: Path, run_without_torch: Run, tmp_path: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    for node in graph.graph.node:
        node.domain = "nobody.knows" if node.op_type == "Softmax" else node.domain
    graph.opset_import.add(domain="nobody.knows", version=1)
    onnx.save(graph, folder / "model.onnx")
    result = run_without_torch("export", folder, "--output", tmp_path / "bundle")
    assert result.returncode == 2
    assert "cannot run its graph" in result.stderr
    assert not (tmp_path / "bundle").exists()


def test_source_variant_needs_a_graph(tiny_checkpoint: Path, run_export: Run) -> None:
    result = run_export(tiny_checkpoint, "--variants", "source", "--from", "torch")
    assert result.returncode == 2
    assert "--variants source keeps a ready graph, which needs --from onnx" in result.stderr


def test_torch_converts_no_graph() -> None:
    with pytest.raises(ExportError, match="leave out --from torch"):
        ExportRequest("x", origin="torch", graph="model.onnx").require_possible()


WEIGHTS = "model.safetensors"
GRAPH = "onnx/model.onnx"


@pytest.mark.parametrize(
    ("origin", "present", "has_torch", "needs_code", "expected"),
    [
        ("auto", [WEIGHTS, GRAPH], True, False, False),
        ("auto", [WEIGHTS, GRAPH], False, False, True),
        ("auto", [WEIGHTS, GRAPH], True, True, True),
        ("auto", [GRAPH], True, False, True),
        ("auto", [WEIGHTS], False, False, False),
        ("auto", [WEIGHTS], True, True, False),
        ("onnx", [WEIGHTS, GRAPH], True, False, True),
        ("torch", [GRAPH], True, False, False),
        ("torch", [WEIGHTS, GRAPH], True, True, False),
    ],
)
def test_choice_between_weights_and_graph(
    *,
    origin: Origin,
    present: list[str],
    has_torch: bool,
    needs_code: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def find_spec(_: str) -> object:
        return object() if has_torch else None

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    assert onnx_source.prefers_graph(origin, present, needs_code=needs_code) is expected


def test_graph_that_is_named_is_taken_where_there_are_weights(
    folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copyfile(tiny_checkpoint / WEIGHTS, folder / WEIGHTS)
    assert open_source(ExportRequest(str(folder)), tmp_path).graph is None
    found = open_source(ExportRequest(str(folder), graph="model.onnx"), tmp_path)
    assert found.graph is not None


def test_graph_is_taken_where_the_weights_need_program_code(
    folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copyfile(tiny_checkpoint / WEIGHTS, folder / WEIGHTS)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "modeling.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    assert open_source(ExportRequest(str(folder)), tmp_path).graph is not None
    with pytest.raises(UnsupportedCheckpointError, match="program code"):
        open_source(ExportRequest(str(folder), origin="torch"), tmp_path)


@pytest.mark.parametrize("source", ["folder", "archive.zip", "flashrank:ms-marco-MiniLM-L-12-v2"])
def test_prompts_are_not_left_aside(source: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.zip").touch()
    place = {"folder": folder, "archive.zip": tmp_path / source}.get(source, source)
    request = ExportRequest(str(place), template="qwen3-reranker")
    with pytest.raises(ExportError, match="--template is for weights that torch converts"):
        open_source(request, tmp_path)


def test_archive_is_no_matter_for_torch(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").touch()
    request = ExportRequest(str(tmp_path / "archive.zip"), origin="torch")
    with pytest.raises(ExportError, match="FlashRank's models are ready graphs"):
        open_source(request, tmp_path)


def test_graph_without_weights_of_its_own(
    folder: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    """All that it computes with are constants in its nodes, too small for a file of their own."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["pairs", "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", 1])
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["logits"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "mean", [ids], [logits])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    words = ("--output", tmp_path / "bundle", "--verify-pairs", "32", "--variants", "source,fp32")
    result = run_without_torch("export", folder, *words)
    assert result.returncode == 0, result.stderr
    assert not list((tmp_path / "bundle").glob("*.data"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_graph_of_older_operators(
    folder: Path, tiny_checkpoint: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    """Of version 11, in which axes were attributes: renewed, pruned and quantized as others are."""
    import torch

    from ranklet.export import torch_model, torch_tokenizer
    from ranklet.export.head import ClassifierHead

    tokenizer = torch_tokenizer.load_tokenizer("tiny", tiny_checkpoint)
    model = torch_model.load_model("tiny", tiny_checkpoint, ClassifierHead(), tokenizer)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        model,
        tuple(torch.ones((1, 4), dtype=torch.int64) for _ in names),
        str(folder / "model.onnx"),
        opset_version=11,
        dynamo=False,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "pairs", 1: "tokens"} for name in names},
    )
    (before,) = (entry.version for entry in onnx.load(folder / "model.onnx").opset_import)
    words = ("export", folder, "--output", tmp_path / "bundle", "--verify-pairs", "32")
    result = run_without_torch(*words, "--variants", "fp32,int8", "--allow-degraded")
    assert result.returncode == 0, result.stderr
    assert before == 11
    assert read_manifest(tmp_path / "bundle").first_token_pruned
    after = onnx.load(tmp_path / "bundle/fp32.onnx", load_external_data=False).opset_import
    assert after[0].version == 17
