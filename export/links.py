"""Links in a checkpoint: one that leaves it could bring any file of the machine into a bundle."""

from pathlib import Path

from ranklet.runtime.placement import real_path

from .errors import UnsupportedCheckpointError


def refuse_links_outside(source: str, folder: Path) -> None:
    """Check that what lies in ``folder`` and right below it stays in there when links are followed.

    The hub's client keeps a model as links from ``snapshots/<commit>`` into ``blobs`` beside it;
    these are inside, too.

    Raises:
        UnsupportedCheckpointError: a link leads elsewhere, or to itself.
    """
    root = real_path(folder)
    allowed = [root]
    if root.parent.name == "snapshots":
        allowed.append(root.parent.parent / "blobs")
    for pattern in ("*", "*/*"):
        for path in folder.glob(pattern):
            target = real_path(path)
            if target.is_symlink():
                found = f"{path.relative_to(folder)} is a link that leads to itself"
                raise UnsupportedCheckpointError(source, found)
            if not any(target.is_relative_to(place) for place in allowed):
                found = f"{path.relative_to(folder)} is a link that leads out of the folder"
                raise UnsupportedCheckpointError(source, found)
