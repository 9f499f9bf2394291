"""docs/clients.md names the versions that are tested."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/clients.md"
PINNED = ROOT / "constraints/clients.txt"


def test_the_table_names_what_is_pinned() -> None:
    lines = (line.split("==") for line in PINNED.read_text().splitlines() if "==" in line)
    pinned = {name.lower(): version for name, version in lines}
    named = dict(re.findall(r"\| `([\w-]+)` ([\w.]+) \|", PAGE.read_text()))
    assert named == {name: pinned[name] for name in named}


def test_the_table_names_every_client_that_is_installed() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["clients"]
    installed = {re.split("[<>=!]", requirement)[0] for requirement in group}
    assert installed == set(re.findall(r"\| `([\w-]+)` [\w.]+ \|", PAGE.read_text()))


def test_every_client_of_the_table_has_a_section() -> None:
    text = PAGE.read_text()
    headings = {
        match.lower().replace(" ", "-") for match in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    links = set(re.findall(r"\(#([\w-]+)\)", text))
    assert links
    assert links <= headings
