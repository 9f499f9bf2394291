"""Checkpoints without a tokenizer.json: their slow tokenizers are converted, or refused."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ranklet.export.errors import UnsupportedCheckpointError
from ranklet.export.quiet import quiet_libraries
from ranklet.export.torch_tokenizer import load_tokenizer, require_faithful_conversion
from ranklet.export.verification_text import load_pairs
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.tokenization import PairEncoder

pytestmark = pytest.mark.torch

TEXTS = ("Heredity was studied on peas.", "🧬 déjà vu, ﬁ 基因", "  spaces  \t and\nlines ", "")


@pytest.fixture(scope="session")
def sentencepiece_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeBERTa with ``spm.model`` alone, as Microsoft publishes them."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-deberta"
    folder.mkdir()
    text = folder.parent / "text.txt"
    text.write_text("\n".join(document for _, document in load_pairs(128)))
    special: dict[str, Any] = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    pieces: dict[str, Any] = {
        "pad_piece": "[PAD]",
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
        "unk_piece": "[UNK]",
    }
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "spm"),
        vocab_size=1000,
        minloglevel=2,
        **special,
        **pieces,
    )
    (folder / "spm.vocab").unlink()
    settings = {"tokenizer_class": "DebertaV2Tokenizer", "model_max_length": 96}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with quiet_libraries():
        import torch
        from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

        torch.manual_seed(3)
        config = DebertaV2Config(
            vocab_size=1100,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=32,
            max_position_embeddings=96,
            type_vocab_size=0,
            initializer_range=0.3,
            num_labels=1,
        )
        DebertaV2ForSequenceClassification(config).save_pretrained(folder)
    return folder


def slow_ids(checkpoint: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    with quiet_libraries():
        slow: Any = AutoTokenizer.from_pretrained(str(checkpoint), use_fast=False)
    assert not slow.is_fast
    ids: list[int] = slow(text, add_special_tokens=False)["input_ids"]
    return ids


def assert_bundle_reads_as(checkpoint: Path, bundle: Path) -> None:
    encoder = PairEncoder.from_file(bundle / "tokenizer.json", window_tokens=96)
    for text in TEXTS:
        assert encoder.encode_query(text).encoding.ids == slow_ids(checkpoint, text), text


def test_sentencepiece_model_is_converted(
    sentencepiece_checkpoint: Path, run_export: Callable[..., Any], tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    words = ["--variants", "fp32", "--verify-pairs", "32"]
    result = run_export(sentencepiece_checkpoint, "--output", output, *words)
    assert result.returncode == 0, result.stderr
    assert_bundle_reads_as(sentencepiece_checkpoint, output)
    with Reranker.open(output) as reranker:
        assert reranker.score("a gene", ["a gene", "a tower"]).std() > 0


def test_word_pieces_are_converted(
    checkpoint: Path, run_export: Callable[..., Any], tmp_path: Path
) -> None:
    (checkpoint / "tokenizer.json").unlink()
    words = ["--variants", "fp32", "--verify-pairs", "32"]
    result = run_export(checkpoint, "--output", tmp_path / "bundle", *words)
    assert result.returncode == 0, result.stderr
    assert_bundle_reads_as(checkpoint, tmp_path / "bundle")


def test_conversion_that_changes_tokens_is_refused(checkpoint: Path) -> None:
    with quiet_libraries():
        fast = load_tokenizer("tiny", checkpoint)
        (checkpoint / "tokenizer.json").unlink()
        path = checkpoint / "vocab.txt"
        path.write_text(path.read_text().replace("\ngene\n", "\ngenom\n"))
        with pytest.raises(UnsupportedCheckpointError, match="slow tokenizer cannot be converted"):
            require_faithful_conversion("tiny", checkpoint, fast, [("a gene", "")])


def test_vocabulary_of_a_converted_tokenizer_is_checked(
    checkpoint: Path, run_export: Callable[..., Any], tmp_path: Path
) -> None:
    (checkpoint / "tokenizer.json").unlink()
    with (checkpoint / "vocab.txt").open("a") as vocabulary:
        vocabulary.write("".join(f"\nadded{number}" for number in range(9)))
    result = run_export(checkpoint, "--output", tmp_path / "bundle", "--variants", "fp32")
    assert result.returncode == 2
    assert "tokens, its embeddings only 30522: they do not belong together" in result.stderr


def test_damaged_model_of_a_tokenizer(
    sentencepiece_checkpoint: Path, run_export: Callable[..., Any], tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(sentencepiece_checkpoint, tmp_path / "damaged")
    (folder / "spm.model").write_bytes(b"not a model")
    result = run_export(folder, "--output", tmp_path / "bundle")
    assert result.returncode == 2
    assert "transformers cannot open its tokenizer" in result.stderr
    assert result.stderr.count("ranklet: error:") == 1
