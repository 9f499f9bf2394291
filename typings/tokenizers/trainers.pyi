from collections.abc import Sequence

from . import AddedToken

class Trainer: ...

class BpeTrainer(Trainer):
    def __init__(
        self,
        *,
        vocab_size: int = 30000,
        min_frequency: int = 0,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = [],
        initial_alphabet: Sequence[str] = [],
    ) -> None: ...

class UnigramTrainer(Trainer):
    def __init__(
        self,
        vocab_size: int = 8000,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] | None = None,
        initial_alphabet: Sequence[str] | None = None,
        unk_token: str | None = None,
    ) -> None: ...

class WordPieceTrainer(Trainer):
    def __init__(
        self,
        *,
        vocab_size: int = 30000,
        min_frequency: int = 0,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = [],
        initial_alphabet: Sequence[str] = [],
    ) -> None: ...
