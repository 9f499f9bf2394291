class Model: ...

class BPE(Model):
    def __init__(
        self,
        vocab: dict[str, int] | None = None,
        merges: list[tuple[str, str]] | None = None,
        *,
        unk_token: str | None = None,
        byte_fallback: bool = False,
    ) -> None: ...

class Unigram(Model):
    def __init__(
        self,
        vocab: list[tuple[str, float]] | None = None,
        unk_id: int | None = None,
        byte_fallback: bool = False,
    ) -> None: ...

class WordLevel(Model):
    def __init__(
        self, vocab: dict[str, int] | None = None, unk_token: str | None = None
    ) -> None: ...

class WordPiece(Model):
    def __init__(
        self,
        vocab: dict[str, int] | None = None,
        *,
        unk_token: str = "[UNK]",
        max_input_chars_per_word: int = 100,
        continuing_subword_prefix: str = "##",
    ) -> None: ...
