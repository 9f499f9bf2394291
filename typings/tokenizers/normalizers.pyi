from collections.abc import Sequence as _Sequence

class Normalizer: ...

class BertNormalizer(Normalizer):
    def __init__(
        self,
        clean_text: bool = True,
        handle_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        lowercase: bool = True,
    ) -> None: ...

class Lowercase(Normalizer):
    def __init__(self) -> None: ...

class NFC(Normalizer):
    def __init__(self) -> None: ...

class NFD(Normalizer):
    def __init__(self) -> None: ...

class NFKC(Normalizer):
    def __init__(self) -> None: ...

class Replace(Normalizer):
    def __init__(self, pattern: str, content: str) -> None: ...

class Sequence(Normalizer):
    def __init__(self, normalizers: _Sequence[Normalizer]) -> None: ...

class StripAccents(Normalizer):
    def __init__(self) -> None: ...
