"""The licence, from the front matter of a checkpoint's model card."""

from pathlib import Path

import huggingface_hub
import msgspec
import yaml


class _Card(msgspec.Struct):
    """The part of the front matter that we pass on."""

    license: str | list[str] | None = None
    license_name: str | None = None


def read_licence(folder: Path) -> str | None:
    """Give the licence as the ``README.md`` in ``folder`` states it, None where it does not.

    A licence without an SPDX identifier is given by the name that the card has for it.
    """
    try:
        card = msgspec.convert(huggingface_hub.metadata_load(folder / "README.md") or {}, _Card)
    except (FileNotFoundError, ValueError, msgspec.ValidationError, yaml.YAMLError):
        return None
    if isinstance(card.license, list):
        return ", ".join(card.license) or None
    return (card.license_name or card.license) if card.license == "other" else card.license
