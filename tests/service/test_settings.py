"""Settings: from flags and variables, all faults at once."""

import argparse
import dataclasses
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklet.service.command import add_arguments
from ranklet.service.errors import SettingsError
from ranklet.service.settings import OPTIONS, Settings, parse_settings


def parse(*words: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parse_settings(vars(parser.parse_args(words)), environment)


def test_every_field_is_an_option() -> None:
    assert [option.field for option in OPTIONS] == [
        field.name for field in dataclasses.fields(Settings)
    ]


def test_a_model_is_enough() -> None:
    assert parse("--model", "a") == Settings(models=(Path("a"),))


def test_flags() -> None:
    settings = parse("--model", "a", "--model", "b", "--port", "0", "--log-level", "ERROR")
    assert settings.models == (Path("a"), Path("b"))
    assert settings.port == 0
    assert settings.log_level == "error"


def test_variables() -> None:
    settings = parse(
        RANKLET_MODEL=os.pathsep.join(["a", "b"]),
        RANKLET_MAX_DOCUMENTS="7",
        RANKLET_HOST="::1",
        RANKLET_WORKERS="",
        RANKLET_UNKNOWN="x",
    )
    assert settings.models == (Path("a"), Path("b"))
    assert settings.max_documents == 7
    assert settings.host == "::1"
    assert settings.workers is None


def test_flags_win_over_variables() -> None:
    assert parse("--config", "a", "--port", "1", RANKLET_PORT="2").port == 1
    assert parse("--model", "a", RANKLET_MODEL="b").models == (Path("a"),)


def test_all_faults_are_listed_with_key_and_value() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("--port", "65536", "--workers", "many", RANKLET_MAX_BODY_BYTES="0")
    assert len(caught.value.problems) == 4
    text = str(caught.value)
    for part in (
        "--port is '65536'",
        "from 0 to 65535",
        "--workers is 'many'",
        "RANKLET_MAX_BODY_BYTES is '0'",
        "there is no model",
    ):
        assert part in text


def test_a_queue_too_short_for_the_largest_request_is_refused() -> None:
    with pytest.raises(SettingsError, match="could never be queued"):
        parse("--model", "a", "--max-documents", "10", "--max-queued-pairs", "9")


@given(st.integers().map(str) | st.text())
def test_any_text_is_a_port_or_a_problem(text: str) -> None:
    """No other exception than ours comes out."""
    with suppress(SettingsError):
        assert 0 <= parse_settings({"port": text, "config": "a"}, {}).port <= 65_535


def test_help_names_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.print_help()
    text = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert option.flag in text
    assert "(default: 8080)" in text
