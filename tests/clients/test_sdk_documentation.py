"""What docs/clients.md offers for pasting works as it stands, with the versions that it names."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parent.parent.parent / "docs/clients.md").read_text()
SETTING, *EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
VERSIONS = re.findall(r"\| `([\w-]+)` ([\w.]+) \|", PAGE)


def _imported(example: str) -> str:
    return str(re.findall(r"^(?:import|from) ([\w.]+)", example, re.MULTILINE)[-1])


@pytest.mark.parametrize("example", EXAMPLES, ids=_imported)
def test_example(example: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    code = (SETTING + example).replace("http://localhost:8080", address)
    exec(code, names)  # noqa: S102 - our own page, and a process each would import for a minute
    assert capsys.readouterr().out == "1\n"


@pytest.mark.parametrize(("name", "expected"), VERSIONS)
def test_the_version_is_installed(name: str, expected: str) -> None:
    assert version(name) == expected
