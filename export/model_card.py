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

    Of a licence without an SPDX identifier the name follows that the card has for it.
    """
    try:
        card = msgspec.convert(huggingface_hub.metadata_load(folder / "README.md") or {}, _Card)
    except (FileNotFoundError, ValueError, msgspec.ValidationError, yaml.YAMLError):
        return None
    if isinstance(card.license, list):
        return ", ".join(card.license) or None
    if card.license == "other" and card.license_name:
        return f"other ({card.license_name})"
    return card.license
