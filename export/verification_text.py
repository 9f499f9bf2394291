"""The query-document pairs on which an export proves its graphs: see verification_text.md."""

from pathlib import Path

import msgspec

_FILE_NAME = "verification_pairs.jsonl"


class _Line(msgspec.Struct):
    query: str
    documents: list[str]


def load_pairs(limit: int | None = None) -> list[tuple[str, str]]:
    """Read pairs of query and document, of 3 to 900 words, some of them longer than any window.

    Args:
        limit: At most so many. Whatever the number from 32 on, all lengths are among them.
    """
    content = Path(__file__).with_name(_FILE_NAME).read_bytes()
    lines = msgspec.json.Decoder(_Line).decode_lines(content)
    pairs = [(line.query, document) for line in lines for document in line.documents]
    return pairs[:limit]
