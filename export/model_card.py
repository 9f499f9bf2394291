"""The licence, from the front matter of a checkpoint's model card."""

from pathlib import Path

import yaml
from huggingface_hub import metadata_load


def read_licence(folder: Path) -> str | None:
    """Give the licence as the ``README.md`` in ``folder`` states it, None where it does not.

    A licence without an SPDX identifier is given by the name that the card has for it.
    """
    try:
        card = metadata_load(folder / "README.md") or {}
    except (FileNotFoundError, UnicodeDecodeError, ValueError, yaml.YAMLError):
        return None
    licence = card.get("license")
    if licence == "other":
        licence = card.get("license_name") or licence
    if isinstance(licence, list):
        licence = ", ".join(str(item) for item in licence)
    return str(licence) if licence else None
