"""A checkpoint's weights: safetensors, whole, and nothing else."""

from collections.abc import Collection
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open

from .errors import UnsupportedCheckpointError
from .head import Head, ModuleHead

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


class _Index(msgspec.Struct):
    """The index of weights that are spread over several files."""

    weight_map: dict[str, str]


def weight_files(source: str, folder: Path, head: Head, present: Collection[str]) -> list[str]:
    """Give the names of the weight files, in a fixed order, those of the head's modules last.

    Args:
        source: The checkpoint as the user named it.
        folder: Holds the index, if there is one.
        head: May keep weights of its own.
        present: Names of all files of the checkpoint, whether they lie in ``folder`` yet or not.

    Raises:
        UnsupportedCheckpointError: there are no safetensors, or a part of them is missing.
    """
    names = _model_files(source, folder, present)
    if isinstance(head, ModuleHead):
        names += [f"{layer.folder}/{_SINGLE}" for layer in head.layers]
    for name in names:
        if name not in present:
            raise UnsupportedCheckpointError(source, f"it lacks {name}, a part of its weights")
    return names


def _model_files(source: str, folder: Path, present: Collection[str]) -> list[str]:
    if _SINGLE in present:
        return [_SINGLE]
    if _INDEX not in present:
        raise UnsupportedCheckpointError(source, _no_safetensors(present))
    return _read_index(source, folder / _INDEX)


def require_whole(source: str, folder: Path, names: list[str]) -> None:
    """Check that each file's header fits its length: one that was cut short is noticed here.

    Raises:
        UnsupportedCheckpointError: a file is truncated or something else than safetensors.
    """
    for name in names:
        try:
            with safe_open(folder / name, framework="numpy"):
                pass
        except SafetensorError as error:
            found = f"{name} is truncated or damaged ({error}); fetch it again"
            raise UnsupportedCheckpointError(source, found) from error


def _no_safetensors(present: Collection[str]) -> str:
    pickled = sorted(name for name in present if name.endswith(_PICKLED) and "/" not in name)
    if not pickled:
        return f"it has no weights: {_SINGLE} is missing"
    return (
        f"its weights are pickled ({pickled[0]}), and reading a pickle can run any program; "
        "convert them where you trust them: AutoModelForSequenceClassification"
        ".from_pretrained(...).save_pretrained(...)"
    )


def _read_index(source: str, path: Path) -> list[str]:
    try:
        index = msgspec.json.decode(path.read_bytes(), type=_Index)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnsupportedCheckpointError(source, f"its {path.name} is damaged: {error}") from error
    names = sorted(set(index.weight_map.values()))
    if not names or any(Path(name).name != name for name in names):
        found = f"its {path.name} names no files, or files outside of the checkpoint"
        raise UnsupportedCheckpointError(source, found)
    return names
