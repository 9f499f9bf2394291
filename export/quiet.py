"""Silence for libraries that talk a lot."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Generator[None, None, None]:
    """Hide warnings and the log below errors: torch and transformers warn of what they do inside.

    What would matter here raises an error or shows as a difference when the graphs are verified.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
