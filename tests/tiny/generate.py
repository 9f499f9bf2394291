"""Write the tiny bundle beside this file: a cross-encoder of 330 words that needs no torch.

    python tests/tiny/generate.py

It scores by late interaction (https://arxiv.org/abs/2004.12832): each word of the query looks for
the most similar word of the document, and the logit grows with the mean of those similarities. So
what it ranks highest is known beforehand, while its arithmetic, its inputs and its tokenizer are
those of a real model: ``attention_mask`` and ``token_type_ids`` matter, long documents are cut, and
the quantized variants differ a little from fp32.
"""

import hashlib
import string
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ranklet.runtime.manifest import (
    BundleFile,
    Manifest,
    Precision,
    ProcessorFamily,
    Source,
    Variant,
    write_manifest,
)

FOLDER = Path(__file__).parent / "bundle"
SEED = 20
WIDTH = 32
WINDOW_TOKENS = 64
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# The oldest that the operators need, so that every supported onnxruntime reads the graph.
OPSET = 17
IR_VERSION = 8

# Words of the documents in the README and in the tests; all else is spelled letter by letter.
WORDS = """
a about accessories after all allergies an and answer are as at baby be best bicycle big bird blue
book bread bridge by can capital car cat chips city clean cleaning cleanser cleansers cleansing
clothes color conscious consumers cooking cotton country cream day deep dog dogs drink dry eat eco
edition eiffel face facial fast feet fish food for france friendly from fruit full fur garden
gardening gentle give good green hair hand has have healthy high home homes hot how in is it
kitchenware language large learn learning light like list long machine made make many mat
materials meter metre metres milk model modern money moon mountain much music natural new night no
not ocean of oil old on one open or organic paris part people pet phone plant price product
products query question rain range red rerank reranker river road run school science sea search
sensitive short skin skincare sky small smart soap soil solution solutions song stone storage sun
supplies sustainable tall tea tech text that the this to token tools top tower train tree two
under use used very walk warm was water weather what when where which white who why wind with wood
word words work world wraps year yoga
""".split()

Array = NDArray[np.float32]


def make_tokenizer() -> Tokenizer:
    """Make a WordPiece tokenizer as BERT has it."""
    letters = string.ascii_lowercase + string.digits
    pieces = [
        *SPECIAL_TOKENS,
        *string.punctuation,
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    vocabulary = dict.fromkeys([*pieces, *WORDS])
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return tokenizer


def make_weights(words: int) -> dict[str, Array]:
    """Draw unit vectors, one a word, and a rotation, which keeps their angles."""
    rng = np.random.default_rng(SEED)
    embeddings = rng.standard_normal((words, WIDTH))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    rotation, _ = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))
    weights = {"embeddings": embeddings, "rotation": rotation}
    return {name: values.astype(np.float32) for name, values in weights.items()}


def make_graph(weights: dict[str, Array]) -> onnx.ModelProto:
    """Build the graph: for each word of the query the closest of the document, then the mean."""
    constants: dict[str, NDArray[Any]] = {
        **weights,
        "first_word": np.array(len(SPECIAL_TOKENS), np.int64),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "middle_axis": np.array([1], np.int64),
        "last_axis": np.array([-1], np.int64),
        "far": np.array(-1.0, np.float32),
        "tiny": np.array(1e-6, np.float32),
        "scale": np.array(12.0, np.float32),
        "offset": np.array(6.0, np.float32),
    }
    nodes = [
        # Words are what is neither padding nor special; segment 0 is the query.
        helper.make_node("GreaterOrEqual", ["input_ids", "first_word"], ["is_word"]),
        helper.make_node("Equal", ["attention_mask", "one"], ["is_seen"]),
        helper.make_node("And", ["is_word", "is_seen"], ["counts"]),
        helper.make_node("Equal", ["token_type_ids", "zero"], ["is_query"]),
        helper.make_node("Not", ["is_query"], ["is_document"]),
        helper.make_node("And", ["counts", "is_query"], ["query_words"]),
        helper.make_node("And", ["counts", "is_document"], ["document_words"]),
        helper.make_node("Gather", ["embeddings", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "rotation"], ["turned"], name="turn"),
        helper.make_node("Transpose", ["turned"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "columns"], ["similarities"]),
        helper.make_node("Unsqueeze", ["document_words", "middle_axis"], ["document_row"]),
        helper.make_node("Where", ["document_row", "similarities", "far"], ["candidates"]),
        helper.make_node("ReduceMax", ["candidates"], ["closest"], axes=[2], keepdims=0),
        helper.make_node("Cast", ["query_words"], ["query_weights"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["closest", "query_weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "last_axis"], ["total"], keepdims=1),
        helper.make_node("ReduceSum", ["query_weights", "last_axis"], ["query_count"], keepdims=1),
        helper.make_node("Max", ["query_count", "tiny"], ["divisor"]),
        helper.make_node("Div", ["total", "divisor"], ["mean"]),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "offset"], ["logits"]),
    ]
    shape = ["pairs", "tokens"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in INPUTS],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", 1])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="ranklet tests")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def quantize(source: Path, target: Path, *, reduce_range: bool) -> None:
    """Quantize the weights, to 7 bits where ``reduce_range``."""
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, reduce_range=reduce_range)


def describe(path: Path) -> BundleFile:
    """Give the file's entry in the manifest."""
    content = path.read_bytes()
    return BundleFile(path.name, hashlib.sha256(content).hexdigest(), len(content))


def write_bundle(folder: Path) -> None:
    """Write the whole bundle into an existing folder."""
    tokenizer = make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    onnx.save(make_graph(make_weights(tokenizer.get_vocab_size())), folder / "fp32.onnx")
    quantize(folder / "fp32.onnx", folder / "int8.onnx", reduce_range=False)
    quantize(folder / "fp32.onnx", folder / "int8-avx2.onnx", reduce_range=True)
    kinds: dict[str, tuple[Precision, ProcessorFamily]] = {
        "fp32": ("fp32", "any"),
        "int8": ("int8", "int8-dot"),
        "int8-avx2": ("int8", "avx2"),
    }
    variants = {
        name: Variant(precision, processors, (describe(folder / f"{name}.onnx"),))
        for name, (precision, processors) in kinds.items()
    }
    manifest = Manifest(
        name="tiny",
        source=Source("tiny", licence="apache-2.0"),
        architecture="LateInteraction",
        window_tokens=WINDOW_TOKENS,
        graph_inputs=INPUTS,
        tokenizer=describe(folder / "tokenizer.json"),
        variants=variants,
    )
    write_manifest(folder, manifest)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    write_bundle(FOLDER)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.stat().st_size:>8} bytes  {path}")
