"""Small random checkpoints of every architecture, each with the kind of tokenizer that it has."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import RobertaProcessing, TemplateProcessing

from ranklet.export.quiet import quiet_libraries
from ranklet.export.verification_text import load_pairs

VOCABULARY = 1200
WINDOW_TOKENS = 96

TokenizerKind = Literal["wordpiece", "byte-bpe", "unigram"]
MakeCheckpoint = Callable[..., Path]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A family of models: its classes in transformers and its tokenizer."""

    model: str
    """How its classes begin."""
    tokenizer: str
    kind: TokenizerKind
    special: tuple[str, str, str, str]
    """Tokens that begin and end a text, pad and stand for what is unknown."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


# Drawn wide: with the usual narrow weights all pairs get nearly the same logit, and every graph
# would look right. Wide enough, too, that some matrices are quantized.
_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": WINDOW_TOKENS,
    "initializer_range": 0.2,
}
_OFFSET = {"max_position_embeddings": WINDOW_TOKENS + 2, "type_vocab_size": 1}
_DISTILBERT = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 256}
_DEBERTA = {
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 64,
}
_MODERNBERT = {
    "global_attn_every_n_layers": 2,
    "local_attention": 16,
    "classifier_pooling": "cls",
    "initializer_cutoff_factor": 3,
    "reference_compile": False,
}
_QWEN3 = {"num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512}

_BERT = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
_ROBERTA = ("<s>", "</s>", "<pad>", "<unk>")
_QWEN = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|endoftext|>")

ARCHITECTURES = {
    "bert": Architecture("Bert", "BertTokenizerFast", "wordpiece", _BERT),
    "roberta": Architecture("Roberta", "RobertaTokenizerFast", "byte-bpe", _ROBERTA, _OFFSET),
    "xlm-roberta": Architecture(
        "XLMRoberta", "XLMRobertaTokenizerFast", "unigram", _ROBERTA, _OFFSET
    ),
    "distilbert": Architecture(
        "DistilBert", "DistilBertTokenizerFast", "wordpiece", _BERT, _DISTILBERT
    ),
    "electra": Architecture(
        "Electra", "ElectraTokenizerFast", "wordpiece", _BERT, {"embedding_size": 32}
    ),
    "mpnet": Architecture("MPNet", "MPNetTokenizerFast", "wordpiece", _ROBERTA, _OFFSET),
    "camembert": Architecture("Camembert", "CamembertTokenizerFast", "unigram", _ROBERTA, _OFFSET),
    "deberta-v2": Architecture("DebertaV2", "DebertaV2TokenizerFast", "unigram", _BERT, _DEBERTA),
    "albert": Architecture(
        "Albert", "AlbertTokenizerFast", "unigram", _BERT, {"embedding_size": 32}
    ),
    "modernbert": Architecture(
        "ModernBert", "PreTrainedTokenizerFast", "byte-bpe", _BERT, _MODERNBERT
    ),
    "qwen3": Architecture("Qwen3", "Qwen2TokenizerFast", "byte-bpe", _QWEN, _QWEN3),
}


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Save a random model of an architecture and its tokenizer.

    ``head`` is how the class's name ends, ``settings`` go into the configuration.
    """

    def make(name: str, head: str = "ForSequenceClassification", **settings: object) -> Path:
        import torch
        import transformers

        architecture = ARCHITECTURES[name]
        folder = tmp_path_factory.mktemp("checkpoints") / f"tiny-{name}"
        tokenizer = _make_tokenizer(architecture)
        sizes = _SIZES | architecture.settings | _special_ids(tokenizer)
        sizes |= {"vocab_size": len(tokenizer), "num_labels": 1}
        torch.manual_seed(5)
        with quiet_libraries():
            config = getattr(transformers, f"{architecture.model}Config")(**(sizes | settings))
            model = getattr(transformers, f"{architecture.model}{head}")(config)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(str(folder))
        return folder

    return make


def _special_ids(tokenizer: Any) -> dict[str, int]:  # noqa: ANN401 - one of many classes
    return {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id or 0,
        "cls_token_id": tokenizer.cls_token_id or 0,
        "eos_token_id": tokenizer.sep_token_id or 1,
        "sep_token_id": tokenizer.sep_token_id or 1,
    }


def _make_tokenizer(architecture: Architecture) -> Any:  # noqa: ANN401 - one of many classes
    """Train a tokenizer of the architecture's kind, in its class of transformers."""
    import transformers

    begin, end, pad, unknown = architecture.special
    trained = _TRAIN[architecture.kind](architecture)
    is_qwen = architecture.special is _QWEN
    if not is_qwen:
        ids = {token: trained.token_to_id(token) or 0 for token in (begin, end)}
        trained.post_processor = _post_processor(architecture, begin, end, ids)
    names: dict[str, Any] = {}
    if not is_qwen:
        names = {"cls_token": begin, "bos_token": begin, "sep_token": end}
    if architecture.model == "ModernBert":  # its general class does not know what it reads
        names["model_input_names"] = ["input_ids", "attention_mask"]
    with quiet_libraries():
        return getattr(transformers, architecture.tokenizer)(
            tokenizer_object=trained,
            model_max_length=512 if is_qwen else WINDOW_TOKENS,
            eos_token=end,
            pad_token=pad,
            unk_token=unknown,
            **names,
        )


def _post_processor(
    architecture: Architecture, begin: str, end: str, ids: dict[str, int]
) -> TemplateProcessing | RobertaProcessing:
    if architecture.model == "Roberta":
        return RobertaProcessing(
            (end, ids[end]), (begin, ids[begin]), trim_offsets=True, add_prefix_space=False
        )
    middle = f"{end} {end}" if begin == "<s>" else end
    segment = 1 if begin == "[CLS]" else 0
    pair = f"{begin} $A {middle} $B:{segment} {end}:{segment}"
    return TemplateProcessing(
        single=f"{begin} $A {end}", pair=pair, special_tokens=list(ids.items())
    )


def _texts() -> Iterable[str]:
    return (text for pair in load_pairs(128) for text in pair)


def _specials(architecture: Architecture) -> list[str]:
    mask = "<mask>" if architecture.special is _ROBERTA else "[MASK]"
    begin, end, pad, unknown = architecture.special
    return list(dict.fromkeys([begin, pad, end, unknown, mask]))  # padding is 1, as in RoBERTa


def _train_wordpiece(architecture: Architecture) -> Tokenizer:
    unknown = architecture.special[3]
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    pieces = [*_specials(architecture), *_frequent_pieces(tokenizer, inner="##")][:VOCABULARY]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer.model = models.WordPiece(vocabulary, unk_token=unknown)
    tokenizer.add_special_tokens(_specials(architecture))
    return tokenizer


def _frequent_pieces(tokenizer: Any, *, inner: str) -> list[str]:  # noqa: ANN401 - stubs lack it
    """Give all letters and then the beginnings and ends of words that are most frequent.

    The library's own trainers for these kinds of tokenizers give others in each process, and with
    them the same weights would be another model each time.

    Args:
        tokenizer: What normalizes texts and cuts them into words.
        inner: What stands before a piece that does not begin a word.
    """
    words: Counter[str] = Counter()
    for text in _texts():
        cut = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        words.update(word for word, _ in cut)
    pieces: Counter[str] = Counter()
    letters: set[str] = set()
    for word, count in words.items():
        letters |= {word[0], *(inner + letter for letter in word)}
        for place in range(1, len(word)):
            pieces[word[:place]] += count
            pieces[inner + word[place:]] += count
        pieces[word] += count
    order = sorted(pieces, key=lambda piece: (-pieces[piece], piece))
    return list(dict.fromkeys([*sorted(letters), *order]))


_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What Qwen's tokenizer calls a word, as its ``tokenizer.json`` has it."""


def _train_byte_bpe(architecture: Architecture) -> Tokenizer:
    is_qwen = architecture.special is _QWEN
    tokenizer = Tokenizer(models.BPE())
    if is_qwen:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_QWEN_WORDS), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=_specials(architecture),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    answers = ["yes"] * 500 + ["no"] * 500 if is_qwen else []
    tokenizer.train_from_iterator([*_texts(), *answers], trainer)
    return tokenizer


def _train_unigram(architecture: Architecture) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace("  ", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = _specials(architecture)
    pieces = [*special, *_frequent_pieces(tokenizer, inner="")][:VOCABULARY]
    # Zipf's law: what is half as far down the list is twice as likely.
    scores = [(piece, -math.log(place + 1)) for place, piece in enumerate(pieces)]
    tokenizer.model = models.Unigram(scores, unk_id=special.index(architecture.special[3]))
    tokenizer.add_special_tokens(special)
    return tokenizer


_TRAIN: dict[TokenizerKind, Callable[[Architecture], Tokenizer]] = {
    "wordpiece": _train_wordpiece,
    "byte-bpe": _train_byte_bpe,
    "unigram": _train_unigram,
}


def _ignore(*_: object) -> None:
    """Print nothing."""


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a checkpoint with all variants for the CPU and give the bundle.

    Random weights make a model that int8 disturbs more than a trained one, hence degraded
    variants are kept; the tests hold them to limits of their own.
    """
    from rich.console import Console

    from ranklet.export.pipeline import export_bundle
    from ranklet.export.progress import Stages
    from ranklet.export.request import ExportRequest

    def run(checkpoint: Path, **options: Any) -> Path:  # noqa: ANN401 - those of the request
        output = tmp_path_factory.mktemp("bundles") / checkpoint.name
        settings: dict[str, Any] = {"verify_pairs": 32, "allow_degraded": True, **options}
        request = ExportRequest(str(checkpoint), output, **settings)
        stages = Stages(Console(quiet=True))
        return export_bundle(request, stages, on_report=_ignore, on_quality=_ignore).folder

    return run
