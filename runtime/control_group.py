"""The control groups that this process is in, where Linux keeps what limits it."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def control_groups(root: Path, membership: Path, controller: str) -> list[Path]:
    """Give the folders in which limits on this process may stand; the lowest of them counts.

    A container often sees its own group as ``root``. Elsewhere it lies below, and each group above
    it limits it as well.

    Args:
        root: Where control groups are mounted; version 1 has a folder for each controller there.
        membership: Names this process's groups, as ``0::/system.slice/ranklet.service`` in version
            2 and ``4:cpu,cpuacct:/user.slice`` in version 1.
        controller: ``cpu`` or ``memory``.
    """
    groups = {"": "/", controller: "/"}
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # macOS has no control groups
        lines = []
    for line in lines:
        _, _, named = line.partition(":")
        controllers, _, group = named.partition(":")
        groups |= {name: group for name in controllers.split(",") if name in groups}
    folders: list[Path] = []
    for name, group in groups.items():
        mount = root / name
        own = mount / group.lstrip("/")
        folders += [path for path in (own, *own.parents) if path.is_relative_to(mount)]
    return folders
