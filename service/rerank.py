"""The one request and the one result that every wire dialect translates to and from."""

from dataclasses import dataclass
from typing import Literal

from ranklet.runtime.ranking import RankedDocument
from ranklet.runtime.scoring_request import StageTimes
from ranklet.runtime.tokenization import WINDOW_CUT, Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """What a caller wants to have ranked."""

    query: str | list[str]
    """One for all documents, or one for each of them."""
    documents: list[str]
    model: str | None = None
    """The name that the caller used; the default model where None."""
    top_n: int | None = None
    """How many results to give, at least 1; all where None."""
    raw_scores: bool = False
    """Logits instead of probabilities."""
    max_windows: int | None = None
    """Windows in which a long document is read, at least 1; as the model is configured where
    None."""
    cut: Cut = WINDOW_CUT
    """What is cut beyond what the model's window asks for, and on which side."""
    fields: tuple[str, str] | None = None
    """What the caller calls query and documents, where the dialect has several names for them."""
    kept: dict[int, bytes] | None = None
    """Documents that go back as more than their text, as JSON, by their index; None where documents
    do not go back."""

    @property
    def held(self) -> int:
        """What waits in memory while this does: characters, and bytes of ``kept``."""
        return self.characters + sum(map(len, (self.kept or {}).values()))

    @property
    def characters(self) -> int:
        """Characters of queries and documents."""
        queries = [self.query] if isinstance(self.query, str) else self.query
        return sum(map(len, queries)) + sum(map(len, self.documents))


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResult:
    """The ranking and what it took."""

    id: str
    """The request's, as in ``X-Request-ID`` and in the log."""
    model: str
    """The name that the caller used, or the default model's."""
    ranking: list[RankedDocument]
    """Best first."""
    documents: int
    """How many documents were scored."""
    characters: int
    """Of queries and documents, before cutting."""
    tokens: int
    """Tokens of all pairs after cutting, whatever was cached or seen twice."""
    times: StageTimes
    seconds: float
    """From having read the request to having its scores."""
    device: Literal["cpu", "cuda"]
    window_tokens: int
    """The longest pair that the model reads."""
    query_tokens: int
    """Tokens of the query that were read; where it was cut, as many as it may have."""
    query_cut: bool = False
    """Whether a part of the query was not read."""
    documents_cut: tuple[int, ...] = ()
    """Documents of which a part was not read, by their index."""
    warnings: tuple[str, ...] = ()
