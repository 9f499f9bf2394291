"""A language model as a reranker: prompt, answers and last token are those of the model card."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.transformers.fusion_options import FusionOptions
from tokenizers import Tokenizer

from ranklet.export.checkpoint_config import read_config
from ranklet.export.errors import ExportError, UnsupportedCheckpointError
from ranklet.export.head import AnswerHead
from ranklet.export.prompt_template import TEMPLATES
from ranklet.export.quiet import quiet_libraries
from ranklet.export.torch_tokenizer import answer_tokens, load_tokenizer
from ranklet.export.verification import MAX_DIFFERENCE_FP16, rank_agreement
from ranklet.runtime.batching import pad_pairs
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.prompt import open_encoder
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.sessions import cpu_session
from ranklet.runtime.text_encoding import Side
from ranklet.runtime.tokenization import Cut

pytestmark = pytest.mark.torch

TEMPLATE = "qwen3-reranker"
QUERIES = ("what is a gene", "", "🧬 基因 {document} {query}", "ends in space ")
DOCUMENTS = (
    "A gene is a stretch of DNA that is passed on to the next generation.",
    "",
    " begins with a space, and holds {instruction} and <|im_end|> spelled out",
    "שלום עולם 🇫🇷 \x00\x07 ǅ ﬁ 遺伝子とは何か。",
    "padding <|endoftext|>",
    "a very long sentence about genes and chromosomes " * 100,
)
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]

PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
TASK = "Given a web search query, retrieve relevant passages that answer the query"


@pytest.fixture(scope="module")
def classifier(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint("qwen3")


def test_fp16_scores_a_padded_batch(classifier: Path, export: Callable[..., Path]) -> None:
    bundle = export(classifier, variants=("fp16",))
    manifest = read_manifest(bundle)
    encoder = open_encoder(bundle / "tokenizer.json", window_tokens=512, prompt=None)
    query = encoder.encode_query("what is a gene")
    pairs = [encoder.encode_windows(query, text, max_windows=1)[0] for text in DOCUMENTS]
    session = cpu_session(bundle / "fp16.onnx")
    alone = [session.run(None, pair.feed(manifest.graph_inputs))[0].item() for pair in pairs]
    together = session.run(None, pad_pairs(pairs, manifest.graph_inputs))[0].ravel()
    assert np.abs(together - alone).max() < MAX_DIFFERENCE_FP16 * np.std(alone)


def test_fp16_that_cannot_score_a_batch_is_refused(
    classifier: Path, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where onnxruntime fuses what turns the positions, which it does for one pair alone."""
    always = property(lambda _: True, lambda _self, _value: None)
    monkeypatch.setattr(FusionOptions, "enable_rotary_embeddings", always, raising=False)
    with pytest.raises(ExportError, match=r"fp16\.onnx cannot run \d pairs of \d+ tokens"):
        export(classifier, variants=("fp16",))


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint("qwen3", "ForCausalLM", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, export: Callable[..., Path]) -> Path:
    return export(checkpoint, template=TEMPLATE)


@pytest.fixture(scope="module")
def probabilities(checkpoint: Path) -> NDArray[np.float32]:
    """Those of yes against no, computed step by step as Qwen's model card does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found: list[float] = []
    with quiet_libraries(), torch.inference_mode():
        tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint))
        model = AutoModelForCausalLM.from_pretrained(str(checkpoint)).eval()
        yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        prefix = tokenizer.encode(PREFIX, add_special_tokens=False)
        suffix = tokenizer.encode(SUFFIX, add_special_tokens=False)
        room = tokenizer.model_max_length - len(prefix) - len(suffix)
        for query, document in PAIRS:
            text = f"<Instruct>: {TASK}\n<Query>: {query}\n<Document>: {document}"
            ids = tokenizer(text, truncation=True, max_length=room)["input_ids"]
            logits = model(torch.tensor([prefix + ids + suffix])).logits[0, -1]
            both = torch.stack([logits[no], logits[yes]])
            found.append(torch.nn.functional.log_softmax(both, dim=0)[1].exp().item())
    return np.array(found, np.float32)


def scores(bundle: Path, variant: str) -> NDArray[np.float32]:
    with Reranker.open(bundle, variant=variant, workers=1) as reranker:
        return np.concatenate([reranker.score(query, DOCUMENTS) for query in QUERIES])


def test_fp32_gives_the_probabilities_of_the_model_card(
    bundle: Path, probabilities: NDArray[np.float32]
) -> None:
    assert probabilities.std() > 0.1
    assert np.abs(scores(bundle, "fp32") - probabilities).max() < 2e-5


@pytest.mark.parametrize("variant", ["int8", "int8-avx2"])
def test_int8_ranks_as_the_model_card(
    variant: str, bundle: Path, probabilities: NDArray[np.float32]
) -> None:
    assert rank_agreement(scores(bundle, variant), probabilities) > 0.85


def test_manifest_holds_the_prompt_and_says_what_the_score_is(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest.prompt is not None
    assert manifest.prompt == TEMPLATES[TEMPLATE].prompt
    assert (manifest.prompt.prefix, manifest.prompt.suffix) == (PREFIX, SUFFIX)
    assert manifest.output_activation == "sigmoid"
    assert "'yes' as the next token less that of 'no'" in manifest.logit
    assert manifest.schema_version == 2


def test_graph_computes_two_of_the_vocabulary_for_one_token(bundle: Path) -> None:
    model = onnx.load(bundle / "fp32.onnx")
    vocabulary = next(
        max(tensor.dims) for tensor in model.graph.initializer if "embed_tokens" in tensor.name
    )
    products = [node for node in model.graph.node if node.op_type in {"MatMul", "Gemm"}]
    widths = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert vocabulary > 1000
    assert all(vocabulary not in widths.get(node.input[1], []) for node in products)
    assert [2, 64] in widths.values() or [64, 2] in widths.values()


def test_long_documents_are_read_in_windows(bundle: Path) -> None:
    filler = "nothing of interest here, only words " * 60
    answer = "A gene is a stretch of DNA."
    with Reranker.open(bundle, variant="fp32") as reranker:
        prompt_tokens = reranker.submit("what", [""]).result().tokens[0]
        one, many = (
            reranker.submit("what", [filler + answer], max_windows=count).result()
            for count in (1, 8)
        )
    assert one.tokens[0] == reranker.manifest.window_tokens == 512
    assert one.documents_cut[0]
    assert not many.documents_cut[0]
    assert many.tokens[0] > 512 + prompt_tokens
    assert many.logits[0] >= one.logits[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_documents_are_encoded_together_as_alone(bundle: Path, side: Side) -> None:
    prompt = read_manifest(bundle).prompt
    encoder = open_encoder(bundle / "tokenizer.json", window_tokens=150, prompt=prompt)
    query = encoder.encode_query("what is a gene", Cut(side=side))
    documents = ["", "A gene.", "\n\nA gene is a stretch of DNA. " * 20, "gene" * 200, "é 日本"]
    together = encoder.encode_documents(query, documents, max_windows=3)
    alone = [encoder.encode_windows(query, document, max_windows=3) for document in documents]
    assert [[pair.ids.tolist() for pair in group] for group in together] == [
        [pair.ids.tolist() for pair in group] for group in alone
    ]
    assert max(map(len, together)) == 3


def test_long_query_leaves_room_for_the_document(bundle: Path) -> None:
    with Reranker.open(bundle, variant="fp32") as reranker:
        result = reranker.submit("many words " * 2000, ["a gene", "a tower"]).result()
    assert result.query_cut
    assert result.query_tokens <= 256
    assert result.logits[0] != result.logits[1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompt_stays_whole_whatever_is_cut(bundle: Path, side: Side) -> None:
    manifest = read_manifest(bundle)
    path = bundle / "tokenizer.json"
    encoder = open_encoder(path, window_tokens=300, prompt=manifest.prompt)
    cut = Cut(side=side, query_tokens=4, document_tokens=8)
    query = encoder.encode_query("first " + "filler " * 500 + "last", cut)
    (pair,) = encoder.encode_windows(query, "begin " + "words " * 500 + "end", max_windows=1)
    text = Tokenizer.from_file(str(path)).decode(pair.ids.tolist(), skip_special_tokens=False)
    assert query.was_cut
    assert pair.was_cut
    assert text.startswith(f"{PREFIX}<Instruct>: {TASK}\n<Query>: ")
    assert text.endswith(SUFFIX)
    kept = text.removeprefix(PREFIX).removesuffix(SUFFIX)
    assert ("first" in kept, "last" in kept) == (side == "right", side == "left")
    assert ("begin" in kept, "end" in kept) == (side == "right", side == "left")
    assert "\n<Document>:" in kept


def test_converted_classifier_scores_the_same(
    checkpoint: Path,
    bundle: Path,
    export: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """People turn the two rows of the output into a classifier's one."""
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    folder = tmp_path / "converted"
    with quiet_libraries():
        tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint))
        language_model: Any = AutoModelForCausalLM.from_pretrained(str(checkpoint))
        rows = language_model.lm_head.weight
        classifier: Any = AutoModelForSequenceClassification.from_pretrained(
            str(checkpoint), num_labels=1
        )
        yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        classifier.score.weight = torch.nn.Parameter((rows[yes] - rows[no]).detach()[None])
        classifier.save_pretrained(folder)
        tokenizer.save_pretrained(str(folder))
    converted = export(folder, template=TEMPLATE, variants=("fp32",))
    assert np.abs(scores(converted, "fp32") - scores(bundle, "fp32")).max() < 1e-5


def test_without_its_prompt_it_is_a_generation_model(checkpoint: Path) -> None:
    found = r"Qwen3ForCausalLM is a generation model; .* --template qwen3-reranker"
    with pytest.raises(UnsupportedCheckpointError, match=found):
        read_config("tiny", checkpoint)


def test_unknown_prompt(checkpoint: Path) -> None:
    with pytest.raises(ExportError, match="--template must be one of qwen3-reranker, not chat"):
        read_config("tiny", checkpoint, template="chat")


def test_encoder_reads_no_prompt(make_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(UnsupportedCheckpointError, match="was not trained with the prompt"):
        read_config("tiny", make_checkpoint("bert"), template=TEMPLATE)


def test_family_that_was_trained_otherwise(tmp_path: Path) -> None:
    """As mxbai-rerank v2, which would be scored by words that it never learnt to answer."""
    content = '{"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}'
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UnsupportedCheckpointError, match="is for models of the type qwen3"):
        read_config("tiny", tmp_path, template=TEMPLATE)


def test_answer_that_is_no_token(checkpoint: Path) -> None:
    with quiet_libraries():
        tokenizer = load_tokenizer("tiny", checkpoint)
    with pytest.raises(ValueError, match="has no token 'certainly'"):
        answer_tokens(tokenizer, AnswerHead("certainly", "no"))
