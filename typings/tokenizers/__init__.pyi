# tokenizers ships stubs without types: this is the slice that ranklet uses.
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, Literal

from .decoders import Decoder
from .models import Model
from .normalizers import Normalizer
from .pre_tokenizers import PreTokenizer
from .processors import PostProcessor
from .trainers import Trainer

__version__: str

class Regex:
    def __init__(self, pattern: str) -> None: ...

class AddedToken:
    content: str
    lstrip: bool
    normalized: bool
    rstrip: bool
    single_word: bool
    special: bool
    def __init__(
        self,
        content: str,
        single_word: bool = False,
        lstrip: bool = False,
        rstrip: bool = False,
        normalized: bool = True,
        special: bool = False,
    ) -> None: ...

class Encoding:
    @property
    def attention_mask(self) -> list[int]: ...
    @property
    def ids(self) -> list[int]: ...
    @property
    def n_sequences(self) -> int: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def overflowing(self) -> list[Encoding]: ...
    @property
    def sequence_ids(self) -> list[int | None]: ...
    @property
    def special_tokens_mask(self) -> list[int]: ...
    @property
    def tokens(self) -> list[str]: ...
    @property
    def type_ids(self) -> list[int]: ...
    @property
    def word_ids(self) -> list[int | None]: ...
    def __len__(self) -> int: ...
    def truncate(
        self, max_length: int, stride: int = 0, direction: Literal["left", "right"] = "right"
    ) -> None: ...

class Tokenizer:
    decoder: Decoder | None
    model: Model
    normalizer: Normalizer | None
    post_processor: PostProcessor | None
    pre_tokenizer: PreTokenizer | None
    def __init__(self, model: Model) -> None: ...
    @staticmethod
    def from_buffer(buffer: bytes) -> Tokenizer: ...
    @staticmethod
    def from_file(path: str) -> Tokenizer: ...
    @staticmethod
    def from_str(json: str) -> Tokenizer: ...
    @property
    def padding(self) -> dict[str, Any] | None: ...
    @property
    def truncation(self) -> dict[str, Any] | None: ...
    def add_special_tokens(self, tokens: Sequence[str | AddedToken]) -> int: ...
    def add_tokens(self, tokens: Sequence[str | AddedToken]) -> int: ...
    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str: ...
    def enable_padding(
        self,
        direction: Literal["left", "right"] = "right",
        pad_id: int = 0,
        pad_type_id: int = 0,
        pad_token: str = "[PAD]",
        length: int | None = None,
        pad_to_multiple_of: int | None = None,
    ) -> None: ...
    def enable_truncation(
        self,
        max_length: int,
        stride: int = 0,
        strategy: Literal["longest_first", "only_first", "only_second"] = "longest_first",
        direction: Literal["left", "right"] = "right",
    ) -> None: ...
    def encode(
        self,
        sequence: str,
        pair: str | None = None,
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> Encoding: ...
    def encode_batch(
        self,
        input: Sequence[str] | Sequence[tuple[str, str]],
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> list[Encoding]: ...
    def encode_batch_fast(
        self,
        input: Sequence[str] | Sequence[tuple[str, str]],
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> list[Encoding]: ...
    def get_added_tokens_decoder(self) -> dict[int, AddedToken]: ...
    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]: ...
    def get_vocab_size(self, with_added_tokens: bool = True) -> int: ...
    def id_to_token(self, id: int) -> str | None: ...
    def no_padding(self) -> None: ...
    def no_truncation(self) -> None: ...
    def num_special_tokens_to_add(self, is_pair: bool) -> int: ...
    def post_process(
        self, encoding: Encoding, pair: Encoding | None = None, add_special_tokens: bool = True
    ) -> Encoding: ...
    def save(self, path: str | PathLike[str], pretty: bool = True) -> None: ...
    def to_str(self, pretty: bool = False) -> str: ...
    def token_to_id(self, token: str) -> int | None: ...
    def train_from_iterator(
        self,
        iterator: Iterable[str] | Iterable[Iterable[str]],
        trainer: Trainer | None = None,
        length: int | None = None,
    ) -> None: ...
