"""What can go wrong while a bundle is built, beyond what the runtime knows."""

from ranklet.runtime.errors import RankletError


class ExportError(RankletError):
    """No bundle was built; the message says why and what to do."""


class MissingToolError(ExportError, ImportError):
    """A library that exporting needs is not installed."""

    def __init__(self, name: str, *, converts_weights: bool = False) -> None:
        """Name the library, and the extras that bring it."""
        way_out = (
            "build on a larger machine than the one that serves, if you like"
            if converts_weights
            else "without torch, for ready graphs alone: 'ranklet[import]'"
        )
        super().__init__(
            f"exporting needs {name}; install it with: pip install 'ranklet[export]' ({way_out})"
        )


class SourceNotFoundError(ExportError, FileNotFoundError):
    """The source is neither a folder nor the name of a model on the hub."""

    def __init__(self, source: str, problem: str) -> None:
        """Name the ``source`` and say what is wrong with it."""
        super().__init__(f"{source}: {problem}")

    def __str__(self) -> str:
        """Give the message alone: OSError would print a tuple."""
        return str(self.args[0])


class DownloadError(ExportError):
    """The hub did not give the checkpoint."""

    def __init__(self, source: str, problem: str) -> None:
        """Name the hub id ``source`` and say what the hub or the network answered."""
        super().__init__(f"cannot download {source}: {problem}")


class UnsupportedCheckpointError(ExportError):
    """The checkpoint is not a one-logit cross-encoder that can be exported safely."""

    def __init__(self, source: str, found: str) -> None:
        """Name the ``source`` and say what was ``found`` there."""
        super().__init__(f"cannot export {source}: {found}")
        self.found = found


class ParityError(ExportError):
    """A graph does not rank as the original model does."""

    def __init__(
        self, variant: str, *, measure: str, found: float, limit: float, hint: str = ""
    ) -> None:
        """Name the ``variant``, give both numbers of ``measure`` and perhaps a way out."""
        super().__init__(
            f"variant {variant} differs too much from the original model: {measure} is "
            f"{found:.3g}, the limit is {limit:g}; nothing was written{hint}"
        )
        self.variant = variant
        self.found = found
        self.limit = limit


class QualityError(ExportError):
    """A variant ranks test collections worse than it may."""

    def __init__(  # noqa: PLR0913 - all that the message says
        self,
        variant: str,
        *,
        metric: str,
        found: float,
        reference: float,
        limit: float,
        next_recipe: str | None,
    ) -> None:
        """Name the ``variant``, give the means of ``metric``, and say what to try next."""
        self.variant = variant
        self.loss = 1 - found / reference
        self.next_recipe = next_recipe
        way_out = f"try --recipe {next_recipe}" if next_recipe else "no safer recipe is left"
        super().__init__(
            f"variant {variant} loses {self.loss:.2%} of fp32's {metric} ({found:.4f} against "
            f"{reference:.4f}), the limit is {limit:.2%}; nothing was written: {way_out}, allow "
            "more with --max-quality-loss, or keep it with --allow-degraded"
        )


def first_line(error: Exception) -> str:
    """Say in one line what ``error`` says, which libraries like to spread over many."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
