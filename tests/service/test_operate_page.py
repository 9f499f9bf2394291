"""docs/operate.md names what there is, and all of it."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from ranklet.service.keys import OPEN_PATHS
from ranklet.service.options import OPTIONS

PAGE = (Path(__file__).parent.parent.parent / "docs/operate.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_metrics_are_those_that_there_are(tiny_client: httpx.Client) -> None:
    text = tiny_client.get("/metrics").text
    offered = set(re.findall(r"^# HELP (ranklet_\w+)", text, re.MULTILINE))
    table = PAGE[PAGE.index("| metric |") : PAGE.index("The rate of hits")]
    described = set(re.findall(r"`(ranklet_\w+)", table))
    assert described == {name for name in offered if not name.endswith("_created")}


def test_options_and_variables_are_those_that_there_are() -> None:
    flags = {option.flag for option in OPTIONS}
    assert set(re.findall(r"(--[a-z][a-z-]+)", PAGE)) <= flags
    variables = {option.variable for option in OPTIONS}
    assert set(re.findall(r"RANKLET_[A-Z_]+", PAGE)) <= variables


def test_open_routes_are_named() -> None:
    assert all(f"`{path}`" in PAGE for path in OPEN_PATHS)


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    unit = tmp_path / "ranklet.service"
    unit.write_text(block("ini").replace("/opt/ranklet/bin/ranklet", "/bin/true"))
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    parser.read(unit)
    assert parser.sections() == ["Unit", "Service", "Install"]
    assert parser["Service"]["ExecReload"] == "/bin/kill -HUP $MAINPID"
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    subprocess.run(["systemd-analyze", "verify", str(unit)], check=True)
