from collections.abc import Sequence

class PostProcessor: ...

class BertProcessing(PostProcessor):
    def __init__(self, sep: tuple[str, int], cls: tuple[str, int]) -> None: ...

class RobertaProcessing(PostProcessor):
    def __init__(
        self,
        sep: tuple[str, int],
        cls: tuple[str, int],
        trim_offsets: bool = True,
        add_prefix_space: bool = True,
    ) -> None: ...

class TemplateProcessing(PostProcessor):
    def __init__(
        self,
        single: str | Sequence[str] | None = None,
        pair: str | Sequence[str] | None = None,
        special_tokens: Sequence[tuple[str, int]] | None = None,
    ) -> None: ...
