from collections.abc import Sequence as _Sequence
from typing import Literal

from . import Regex

class PreTokenizer: ...

class BertPreTokenizer(PreTokenizer):
    def __init__(self) -> None: ...

class ByteLevel(PreTokenizer):
    def __init__(
        self, add_prefix_space: bool = True, trim_offsets: bool = True, use_regex: bool = True
    ) -> None: ...
    @staticmethod
    def alphabet() -> list[str]: ...

class Metaspace(PreTokenizer):
    def __init__(
        self,
        replacement: str = "▁",
        prepend_scheme: Literal["always", "first", "never"] = "always",
        split: bool = True,
    ) -> None: ...

class Sequence(PreTokenizer):
    def __init__(self, pre_tokenizers: _Sequence[PreTokenizer]) -> None: ...

class Split(PreTokenizer):
    def __init__(
        self,
        pattern: str | Regex,
        behavior: Literal[
            "removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"
        ],
        invert: bool = False,
    ) -> None: ...

class Whitespace(PreTokenizer):
    def __init__(self) -> None: ...

class WhitespaceSplit(PreTokenizer):
    def __init__(self) -> None: ...
