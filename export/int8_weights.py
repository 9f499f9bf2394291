"""Weights as 8-bit integers with one scale a column or a row."""

import numpy as np
from numpy.typing import NDArray

from ranklet.runtime.arrays import Float32Array

Int8Array = NDArray[np.int8]

_CLIPPINGS = np.linspace(1.0, 0.6, 17)
"""Shares of a column's largest weight that are tried as the largest one that is represented."""

_ROWS_AT_ONCE = 4096


def quantize_columns(weights: Float32Array, *, bits: int) -> tuple[Int8Array, Float32Array]:
    """Quantize each column with the scale that gives the least squared error.

    Clipping the few largest weights lets the many others be finer: with 7 bits the error in the
    logits falls by a quarter, with 8 it hardly matters.

    Args:
        weights: float32, shape (inputs, outputs).
        bits: 8, or 7 for processors that add two products in 16 bits.

    Returns:
        int8, shape (inputs, outputs), and float32 scales, shape (outputs,).
    """
    limit = 2 ** (bits - 1) - 1
    largest: Float32Array = np.abs(weights).max(axis=0)
    largest[largest == 0] = 1.0
    candidates = [largest * np.float32(clipping / limit) for clipping in _CLIPPINGS]
    errors = np.stack([_squared_errors(weights, scales, limit) for scales in candidates])
    scales = np.choose(errors.argmin(axis=0), candidates).astype(np.float32)
    return _rounded(weights, scales, limit).astype(np.int8), scales


def quantize_rows(table: Float32Array) -> tuple[Int8Array, Float32Array]:
    """Quantize each row of an embedding table by its largest entry.

    Returns:
        int8, shape (rows, width), and float32 scales, shape (rows, 1).
    """
    integers = np.empty(table.shape, np.int8)
    scales = np.empty((len(table), 1), np.float32)
    for start in range(0, len(table), _ROWS_AT_ONCE):  # tables of a gigabyte exist
        part = slice(start, start + _ROWS_AT_ONCE)
        scales[part] = np.abs(table[part]).max(axis=1, keepdims=True) / 127
        scales[part][scales[part] == 0] = 1.0
        integers[part] = _rounded(table[part], scales[part], 127)
    return integers, scales


def _rounded(weights: Float32Array, scales: Float32Array, limit: int) -> Float32Array:
    rounded: Float32Array = np.clip(np.round(weights / scales), -limit, limit)
    return rounded


def _squared_errors(weights: Float32Array, scales: Float32Array, limit: int) -> Float32Array:
    """Sum up, for each column, the squares of what is lost with ``scales``."""
    errors: Float32Array = _rounded(weights, scales, limit) * scales - weights
    lost: Float32Array = np.square(errors).sum(axis=0)
    return lost
