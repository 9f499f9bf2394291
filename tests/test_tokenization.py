"""Cutting before encoding gives what cutting the full encoding gives."""

import sys
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Encoding,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from ranklet.runtime.errors import BundleError, InputError
from ranklet.runtime.manifest import Prompt
from ranklet.runtime.prompt import PromptEncoder
from ranklet.runtime.text_encoding import Side
from ranklet.runtime.tokenization import Cut, PairEncoder

CHECKPOINT_TOKENIZER = Path(__file__).parent.parent / "models/ranklet-mini/tokenizer.json"
CORPUS = [
    "The reranker reads each document beside the query and puts the right ones on top.",
    "Don't pad: a pair's score is the same to the bit, whatever else is in the request!",
    "日本語のテキスト と العربية and עברית, naïve café — 1234567890 👩‍🔬 end.",
]

texts = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            ["[SEP]", "[MASK]", "</s>", " ", "   ", "\n", "don't", "word", "日本語", "e\u0301"]
        ),
        st.text(alphabet="ab \u3000\u00a0-'", max_size=20),
    ),
    max_size=60,
).map("".join)


def wordpiece() -> Tokenizer:
    return Tokenizer.from_file(str(CHECKPOINT_TOKENIZER))


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True)])
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<s>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 1)],
    )
    return tokenizer


KINDS = {"wordpiece": wordpiece, "byte_level_bpe": byte_level_bpe, "unigram": unigram}


@cache
def trained(kind: str) -> str:
    """Train once: two trainings of a Unigram model need not give the same one."""
    return KINDS[kind]().to_str()


def make(kind: str) -> Tokenizer:
    return Tokenizer.from_str(trained(kind))


@pytest.fixture(scope="module", params=KINDS)
def make_tokenizer(request: pytest.FixtureRequest) -> Callable[[], Tokenizer]:
    return partial(make, request.param)


class TestCutting:
    @settings(deadline=None, max_examples=150)
    @given(text=texts, query=texts, window=st.integers(8, 40))
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("side", get_args(Side))
    def test_equals_cutting_the_full_encoding(
        self, side: Side, kind: str, text: str, query: str, window: int
    ) -> None:
        whole = make(kind)
        encoder = PairEncoder(make(kind), window_tokens=window)
        special = whole.num_special_tokens_to_add(is_pair=True)
        query_ids, document_ids = (
            whole.encode(part.encode("utf-8", "replace").decode(), add_special_tokens=False)
            for part in (query, text)
        )
        query_ids.truncate(min(window // 2, window - special), direction=side)
        document_ids.truncate(window - special - len(query_ids), direction=side)
        expected = whole.post_process(query_ids, document_ids)

        pair = encoder.encode_pair(encoder.encode_query(query, Cut(side=side)), text)

        assert pair.ids.tolist() == expected.ids
        assert pair.type_ids.tolist() == expected.type_ids

    @settings(deadline=None)
    @given(documents=st.lists(texts, min_size=1, max_size=8), query=texts)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("side", get_args(Side))
    def test_of_many_equals_each_alone(
        self, side: Side, kind: str, documents: list[str], query: str
    ) -> None:
        encoder = PairEncoder(make(kind), window_tokens=20)
        encoded = encoder.encode_query(query, Cut(side=side))
        together = encoder.encode_documents(encoded, documents, max_windows=3)
        alone = [encoder.encode_windows(encoded, text, max_windows=3) for text in documents]
        assert [[pair.ids.tolist() for pair in group] for group in together] == [
            [pair.ids.tolist() for pair in group] for group in alone
        ]

    def test_long_repetitive_text(self, make_tokenizer: Callable[[], Tokenizer]) -> None:
        """Prefixes of every length are met: words, punctuation and added tokens at the border."""
        text = "don't [SEP] ab, 日本語 e\u0301 </s>   x" * 40
        whole = make_tokenizer().encode(text, add_special_tokens=False).ids
        for window in range(8, 120):
            encoder = PairEncoder(make_tokenizer(), window_tokens=window)
            query = encoder.encode_query(text)
            assert query.encoding.ids == whole[: window // 2]
            assert query.was_cut
            query = encoder.encode_query(text, Cut(side="left"))
            assert query.encoding.ids == whole[-(window // 2) :]

    def test_digits_in_groups_are_cut_where_the_whole_text_has_its_groups(self) -> None:
        """Grouping starts at the first digit, wherever a part of the text begins."""
        tokenizer = make("byte_level_bpe")
        groups = pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+| "), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([groups, byte_level])
        encoder = PairEncoder(tokenizer, window_tokens=16)
        for length in range(100, 110):
            text = "1234567890" * 30 + " " + "1234567890" * (length // 10) + "1" * (length % 10)
            whole = tokenizer.encode(text, add_special_tokens=False).ids
            assert encoder.encode_query(text, Cut(side="left")).encoding.ids == whole[-8:]

    def test_a_query_may_take_half_the_window(self) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=32)
        fitting, too_long = (encoder.encode_query("word " * count) for count in (16, 17))
        assert (fitting.tokens, fitting.was_cut) == (16, False)
        assert (too_long.tokens, too_long.was_cut) == (16, True)
        assert len(encoder.encode_pair(too_long, "word " * 99).ids) == 32

    def test_no_room_for_a_document(self) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=5)
        pair = encoder.encode_pair(encoder.encode_query("one two three"), "four five")
        assert len(pair.ids) == 5

    def test_truncation_and_padding_of_the_file_are_ignored(self) -> None:
        tokenizer = wordpiece()
        tokenizer.enable_truncation(8)
        tokenizer.enable_padding(length=128)
        encoder = PairEncoder(tokenizer, window_tokens=512)
        assert len(encoder.encode_pair(encoder.encode_query("a b"), "c " * 50).ids) == 55


class _Listener:
    """A tokenizer that knows how much it was asked to encode."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.characters = 0
        self._tokenizer = tokenizer

    def encode_batch(self, texts: list[str], *, add_special_tokens: bool) -> list[Encoding]:
        self.characters += sum(map(len, texts))
        return self._tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)


def _listen(encoder: PairEncoder) -> _Listener:
    tokenizer = _Listener(encoder._text._tokenizer)  # noqa: SLF001 - listens, changes nothing
    encoder._text._tokenizer = tokenizer  # type: ignore[assignment] # noqa: SLF001
    return tokenizer


class TestHostileText:
    @pytest.mark.parametrize(
        ("broken", "repaired"),
        [
            ("a \ud800 b", "a \ufffd b"),
            ("\udc00", "\ufffd"),
            ("\ud83d\ude00 face", "\U0001f600 face"),
        ],
    )
    def test_lone_surrogates_are_repaired(self, broken: str, repaired: str) -> None:
        encoder = PairEncoder(make("byte_level_bpe"), window_tokens=64)
        query = encoder.encode_query("q")
        pair, expected = (encoder.encode_pair(query, text) for text in (broken, repaired))
        assert pair.ids.tolist() == expected.ids.tolist()

    @pytest.mark.parametrize("side", get_args(Side))
    def test_a_megabyte_of_words_is_not_tokenized_whole(self, side: Side) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=512)
        tokenizer = _listen(encoder)
        encoder.encode_pair(encoder.encode_query("short", Cut(side=side)), "some words " * 100_000)
        assert 0 < tokenizer.characters < 20_000

    @pytest.mark.parametrize("side", get_args(Side))
    @pytest.mark.parametrize("text", [",a" * 300_000, "x" * 600_000])
    def test_nor_is_one_without_a_place_to_enter(self, text: str, side: Side) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=512)
        tokenizer = _listen(encoder)
        pair = encoder.encode_pair(encoder.encode_query("short", Cut(side=side)), text)
        assert 0 < tokenizer.characters < 300_000
        whole = wordpiece().encode(text, add_special_tokens=False)
        whole.truncate(512 - 4, direction=side)
        assert pair.ids[3:-1].tolist() == whole.ids

    @pytest.mark.parametrize("side", get_args(Side))
    @pytest.mark.parametrize("blank", "\0 \n")
    def test_words_are_found_behind_any_number_of_blanks(self, blank: str, side: Side) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=512)
        text = "the first" + blank * 400_000 + "the last"
        pair = encoder.encode_pair(encoder.encode_query("short", Cut(side=side)), text)
        whole = wordpiece().encode(text, add_special_tokens=False)
        assert pair.ids[3:-1].tolist() == whole.ids

    def test_the_gil_is_free_while_a_long_word_is_tokenized(self) -> None:
        """Another thread keeps running Python while a megabyte without spaces is encoded."""
        encoder = PairEncoder(make("byte_level_bpe"), window_tokens=512)
        query = encoder.encode_query("q")
        done = threading.Event()

        def encode() -> None:
            encoder.encode_pair(query, "ab" * 500_000)
            done.set()

        interval = sys.getswitchinterval()
        thread = threading.Thread(target=encode)
        started = time.perf_counter()
        thread.start()
        longest_pause, last = 0.0, time.perf_counter()
        while not done.is_set():
            now = time.perf_counter()
            longest_pause, last = max(longest_pause, now - last), now
        took = time.perf_counter() - started
        thread.join()
        # Relative, not absolute: a tokenizer that held the GIL would pause us for all its time.
        assert longest_pause < max(0.5 * took, 4 * interval)


class TestPair:
    def test_feed_gives_the_inputs_that_the_graph_has(self) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=512)
        pair = encoder.encode_pair(encoder.encode_query("tall tower"), "324 metres")
        feed = pair.feed(["input_ids", "token_type_ids"])
        assert set(feed) == {"input_ids", "token_type_ids"}
        assert all(value.shape == (1, len(pair.ids)) for value in feed.values())
        assert all(value.dtype == np.int64 for value in feed.values())

    def test_segments_tell_query_from_document(self) -> None:
        encoder = PairEncoder(wordpiece(), window_tokens=512)
        pair = encoder.encode_pair(encoder.encode_query("tall"), "high")
        assert pair.type_ids.tolist() == [0, 0, 0, 1, 1]


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(BundleError, match="is not a tokenizer"):
        PairEncoder.from_file(path, window_tokens=512)


class TestPrompt:
    PROMPT = Prompt("<s>judge ", "{instruction}: {query}\nDocument: {document}", "</s>", "find")

    def open(self, window_tokens: int = 100) -> PromptEncoder:
        tokenizer = make("byte_level_bpe")
        return PromptEncoder(tokenizer, self.PROMPT, window_tokens=window_tokens)

    def around(self) -> int:
        """Count the tokens of the prompt: all that is there beside nothing."""
        encoder = self.open()
        return len(encoder.encode_windows(encoder.encode_query(""), "", max_windows=1)[0].ids)

    def test_a_window_that_the_prompt_fills_is_refused(self) -> None:
        least = self.around() + 16
        with pytest.raises(InputError, match=f"must be at least {least} .*, not {least - 1}"):
            self.open(least - 1)
        self.open(least)

    @pytest.mark.parametrize("pair_tokens", [1, 30, 60])
    def test_documents_are_read_however_small_the_window(self, pair_tokens: int) -> None:
        encoder = self.open()
        query = encoder.encode_query("word " * 100, Cut(pair_tokens=pair_tokens))
        pairs = [
            encoder.encode_windows(query, text * 100, max_windows=1)[0] for text in ("one", "two")
        ]
        assert query.was_cut
        assert len(pairs[0].ids) == max(pair_tokens, self.around() + 16)
        assert pairs[0].ids.tolist() != pairs[1].ids.tolist()

    @settings(deadline=None)
    @given(
        cut=st.builds(
            Cut,
            side=st.sampled_from(get_args(Side)),
            query_tokens=st.none() | st.integers(0, 20),
            document_tokens=st.none() | st.integers(0, 40),
        ),
        query=texts,
        document=texts,
        spare=st.integers(0, 60),
        max_windows=st.integers(1, 4),
    )
    def test_windows_are_no_longer_and_no_more_than_asked(
        self, cut: Cut, query: str, document: str, *, spare: int, max_windows: int
    ) -> None:
        window = self.around() + 16 + spare
        encoder = self.open(window)
        encoded = encoder.encode_query("基因" * 40 + query + "👩‍🔬" * 40, cut)
        pairs = encoder.encode_windows(encoded, document * 10, max_windows=max_windows)
        assert len(pairs) <= max_windows
        assert max(len(pair.ids) for pair in pairs) <= window

    @pytest.mark.parametrize(("side", "kept"), [("right", "é基"), ("left", "因é")])
    def test_a_character_that_would_be_split_is_cut(self, side: Side, kept: str) -> None:
        tokens = 2 + 3 + 1  # one of the three of the next character
        query = self.open().encode_query("é基因é", Cut(side=side, query_tokens=tokens))
        assert query.was_cut
        assert query.lead == f"find: {kept}\nDocument: "
