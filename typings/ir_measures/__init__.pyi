# ir_measures marks itself as typed, but half of its functions are not: this is the slice that
# ranklet uses.
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from . import measures as measures
from .measures import Measure as Measure

__version__: str

class Metric(NamedTuple):
    query_id: str
    measure: Measure
    value: float

class CalcResults(NamedTuple):
    aggregated: dict[Measure, float]
    per_query: list[Metric]

class Evaluator:
    def calc(self, run: Mapping[str, Mapping[str, float]]) -> CalcResults: ...

def evaluator(measures: Iterable[Measure], qrels: Mapping[str, Mapping[str, int]]) -> Evaluator: ...
