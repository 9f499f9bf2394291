"""Metrics, computed by ir-measures (https://ir-measur.es), which asks trec_eval for most of them.

Nothing is computed here: names go in, values come out.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from subprocess import SubprocessError

import ir_measures
import numpy as np
from numpy.typing import NDArray

from .beir import Qrels
from .errors import MetricError
from .trec import Scores


@dataclass(frozen=True, slots=True)
class Quality:
    """A metric's value for a run."""

    mean: float
    """Over the judged queries; one for which nothing was retrieved counts 0."""
    by_query: NDArray[np.float64]
    """float64, shape (queries,), in the order of the judgements' query ids."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that ir-measures computes."""

    name: str
    measure: ir_measures.Measure


def parse_metrics(text: str) -> list[Metric]:
    """Read ``nDCG@10,RR(rel=2)@10,AP``.

    (ir-measures has a parser too; it calls what Python 3.12 warns of and 3.14 has removed.)

    Raises:
        MetricError: ir-measures has no such metric, or cannot compute it with what is installed.
    """
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise MetricError(text, "is not a list of metrics") from error
    nodes = body.elts if isinstance(body, ast.Tuple) else [body]
    measures = [_parse(ast.unparse(node).replace(" ", ""), node) for node in nodes]
    return [Metric(name, measure) for name, measure in {str(one): one for one in measures}.items()]


def _parse(text: str, node: ast.expr) -> ir_measures.Measure:
    """Make a measure of ``Name``, ``Name(key=value)`` or either of them ``@cutoff``."""
    cutoff: ast.expr | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        cutoff = node.right
        node = node.left
    keywords: list[ast.keyword] = []
    if isinstance(node, ast.Call) and not node.args:
        keywords = node.keywords
        node = node.func
    if not isinstance(node, ast.Name):
        raise MetricError(text, "is not a metric")
    if node.id not in ir_measures.measures.registry:
        raise MetricError(text, f"ir-measures knows no {node.id}")
    try:
        parameters = {keyword.arg or "**": ast.literal_eval(keyword.value) for keyword in keywords}
        measure = ir_measures.measures.registry[node.id](**parameters)
        measure = measure if cutoff is None else measure @ ast.literal_eval(cutoff)
    except ValueError as error:
        raise MetricError(text, "has a parameter that is not a plain value") from error
    _check(text, measure)
    return measure


def _check(text: str, measure: ir_measures.Measure) -> None:
    """Compute the measure once, so that it fails before hours of scoring and not after."""
    cutoff = measure.params.get("cutoff")
    if isinstance(cutoff, int) and cutoff < 1:  # trec_eval would end the whole process
        raise MetricError(text, "a cutoff is at least 1")
    for name, parameter in measure.SUPPORTED_PARAMS.items():
        if parameter.required and name not in measure.params:
            example = f", as {text}@10" if name == "cutoff" else ""
            raise MetricError(text, f"needs a {name}{example}")
    try:
        measure.validate_params()
    except (AssertionError, TypeError, ValueError) as error:
        raise MetricError(text, _reason(error)) from error
    _compute(text, [measure], {"1": {"d1": 1, "d2": 0}}, {"1": {"d1": 2.0, "d2": 1.0}})


def _compute(
    text: str, measures: Sequence[ir_measures.Measure], qrels: Qrels, scores: Scores
) -> ir_measures.CalcResults:
    try:
        return ir_measures.evaluator(measures, qrels).calc(scores)
    except ZeroDivisionError as error:  # Accuracy, of documents that are all relevant
        raise MetricError(text, "has no value for one of the queries") from error
    except (AssertionError, RuntimeError, SubprocessError, TypeError, ValueError) as error:
        raise MetricError(text, _reason(error)) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def measure_run(metrics: Sequence[Metric], qrels: Qrels, scores: Scores) -> dict[str, Quality]:
    """Compute metrics for a run.

    Args:
        metrics: What to compute.
        qrels: Judgements.
        scores: The run; equal scores are ordered by id, as trec_eval does it.

    Returns:
        The quality by the metric's name.

    Raises:
        MetricError: a metric has no value for these queries.
    """
    # ERR's program takes no other names of queries than numbers.
    numbers = {query: str(number) for number, query in enumerate(qrels)}
    result = _compute(
        ",".join(metric.name for metric in metrics),
        [metric.measure for metric in metrics],
        {numbers[query]: judged for query, judged in qrels.items()},
        {numbers[query]: _by_place(found) for query, found in scores.items() if query in numbers},
    )
    values = {metric.name: np.zeros(len(qrels)) for metric in metrics}
    for value in result.per_query:
        values[str(value.measure)][int(value.query_id)] = value.value
    return {
        metric.name: Quality(float(result.aggregated[metric.measure]), values[metric.name])
        for metric in metrics
    }


def _by_place(found: Mapping[str, float]) -> dict[str, float]:
    """Replace scores by places that order the documents as trec_eval orders the scores.

    It compares them as float32, and of equal ones the last id comes first. Other programs that
    ir-measures asks would order equal scores otherwise, so that RR@10 could exceed RR.
    """
    order = sorted((np.float32(score), document) for document, score in found.items())
    return {document: float(place) for place, (_, document) in enumerate(order)}
