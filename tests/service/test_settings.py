"""Settings: from flags and variables, all faults at once."""

import argparse
import dataclasses
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklet.runtime import reranker
from ranklet.service.command import add_arguments
from ranklet.service.errors import SettingsError
from ranklet.service.options import OPTIONS, parse_settings, stray_variables
from ranklet.service.settings import MAX_WORKERS, Settings


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


def test_variables_that_are_nearly_an_option_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("--model", "a", RANKLET_API_KEY="x", RANKLET_MODELS="b", RANKLET_APIKEYS="c")
    assert caught.value.problems == (
        "RANKLET_APIKEYS is no setting; did you mean RANKLET_API_KEYS?",
        "RANKLET_API_KEY is no setting; did you mean RANKLET_API_KEYS?",
        "RANKLET_MODELS is no setting; did you mean RANKLET_MODEL?",
    )


def test_what_kubernetes_and_recipes_set_is_taken_for_no_option() -> None:
    variables = {"RANKLET_SERVICE_HOST": "10.0.0.1", "RANKLET_PORT_8080_TCP": "tcp://10.0.0.1:8080"}
    assert parse("--model", "a", **variables) == Settings(models=(Path("a"),))
    strays = stray_variables({**variables, "RANKLET_DATA": "x", "RANKLET_THREADS": "4"})
    assert strays == ["RANKLET_PORT_8080_TCP", "RANKLET_SERVICE_HOST", "RANKLET_THREADS"]


@pytest.mark.parametrize("text", ["1_000", "\u0663", "+5", "1e3", "9" * 30])
def test_numbers_are_plain_digits(text: str) -> None:
    with pytest.raises(SettingsError, match="a whole number"):
        parse("--model", "a", "--max-documents", text)


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


def test_lists_have_commas() -> None:
    settings = parse("--model", "a", RANKLET_API_KEYS=" one,two, ", RANKLET_CORS_ORIGINS="*")
    assert settings.api_keys == ("one", "two")
    assert settings.cors_origins == ("*",)
    for variable in ("RANKLET_API_KEYS", "RANKLET_CORS_ORIGINS"):
        with pytest.raises(SettingsError, match=f"{variable} is ' ,'"):
            parse("--model", "a", **{variable: " ,"})


def test_an_origin_has_no_path() -> None:
    with pytest.raises(SettingsError, match="without a path"):
        parse("--model", "a", "--cors-origins", "https://a.example/")


def test_keys_have_no_flag_and_are_not_shown() -> None:
    with pytest.raises(SystemExit):
        parse("--model", "a", "--api-keys", "sesame")
    assert "sesame" not in repr(parse("--model", "a", RANKLET_API_KEYS="sesame"))


@given(st.integers().map(str) | st.text())
def test_any_text_is_a_port_or_a_problem(text: str) -> None:
    """No other exception than ours comes out."""
    with suppress(SettingsError):
        assert 0 <= parse_settings({"port": text, "config": "a"}, {}).port <= 65_535


@pytest.mark.parametrize(
    ("text", "size"), [("512MiB", 512 * 2**20), (" 2 gb", 2 * 10**9), ("0.5k", 500), ("7", 7)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse("--config", "a", "--max-model-bytes", text).max_model_bytes == size


@pytest.mark.parametrize("text", ["9" * 400, "5\u212a", "\u0665", "0.4", "-1", "", "MB"])
def test_what_is_no_size_is_a_problem(text: str) -> None:
    """A Kelvin sign is a k to some, and 400 digits are no number to others."""
    with pytest.raises(SettingsError, match="expected a number of bytes, as 512MiB"):
        parse("--config", "a", "--max-model-bytes", text)


@given(st.from_regex(r"\d{1,400}\s?[kKmM\u212a]?", fullmatch=True) | st.text())
def test_any_text_is_a_size_or_a_problem(text: str) -> None:
    with suppress(SettingsError):
        assert parse_settings({"max_model_bytes": text, "config": "a"}, {}).max_model_bytes


def test_workers_have_a_limit() -> None:
    assert parse("--config", "a", "--workers", "1024").workers == MAX_WORKERS
    with pytest.raises(SettingsError, match="a whole number from 1 to 1024"):
        parse("--config", "a", "--workers", "1025")
    assert reranker.MAX_WORKERS == MAX_WORKERS


def test_help_names_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.print_help()
    text = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert (f" {option.flag} {option.metavar} " in text) is not option.is_secret
    assert "(default: 8080)" in text
