"""The one request and the one result that every wire dialect translates to and from."""

from dataclasses import dataclass

from ranklet.runtime.ranking import RankedDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """What a caller wants to have ranked."""

    query: str
    documents: list[str]
    model: str | None = None
    """The name that the caller used; the default model where None."""
    top_n: int | None = None
    """How many results to give, at least 1; all where None."""
    raw_scores: bool = False
    """Logits instead of what the model's activation makes of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResult:
    """The ranking and what it took."""

    id: str
    """Different for every request."""
    model: str
    """The name that the caller used, or the default model's."""
    ranking: list[RankedDocument]
    """Best first."""
    documents: int
    """How many documents were scored."""
    tokens: int
    """Tokens of all pairs after cutting, whatever was cached or seen twice."""
    warnings: tuple[str, ...] = ()
