"""What the documentation offers for pasting works as it stands, with the versions that it names.

Examples that need a client carry a mark, since tests/test_documents.py cannot run them.
"""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
CLIENTS = (DOCS / "clients.md").read_text()
SETTING = CLIENTS.split("```python\n")[1].split("```")[0]
MARKED = r"^<!-- not run: the tests of the clients do -->\n```python\n(.*?)^```$"
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, example in enumerate(
        re.findall(MARKED, page.read_text(), re.MULTILINE | re.DOTALL), 1
    )
]
VERSIONS = re.findall(r"\| `([\w-]+)` ([\w.]+) \|", CLIENTS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    code = (SETTING + example).replace("http://localhost:8080", address)
    exec(code, names)  # noqa: S102 - our own page, and a process each would import for a minute
    assert capsys.readouterr().out == "1\n"


def test_every_client_has_an_example() -> None:
    assert CLIENTS.count("```python") == len(VERSIONS) + 1


@pytest.mark.parametrize(("name", "expected"), VERSIONS)
def test_the_version_is_installed(name: str, expected: str) -> None:
    assert version(name) == expected
