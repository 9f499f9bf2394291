"""Model configuration in LocalAI's YAML, and what the names in it lead to."""

import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklet.runtime.errors import BundleError, BundleFileMissingError
from ranklet.runtime.manifest import read_manifest, write_manifest
from ranklet.service.catalog import build_catalog
from ranklet.service.errors import ModelConfigError, ModelNotInstalledError
from ranklet.service.model_config import ConfiguredModel, read_model_configs
from ranklet.service.resolution import ModelSource, UnresolvableError, resolve
from ranklet.service.settings import Settings

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "models/config/jina-reranker-v1-base-en.yaml"
MODELS = Path("models/built")


def write(folder: Path, text: str, name: str = "model.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def read_one(file: Path) -> ConfiguredModel:
    [model], problems = read_model_configs(file)
    assert not problems
    return model


def problems_of(path: Path) -> tuple[str, ...]:
    problems = tuple(read_model_configs(path)[1])
    with pytest.raises(ModelConfigError) as caught:
        build_catalog(Settings(config=path))
    assert set(problems) <= set(caught.value.problems)
    return problems


def active(*comments: str) -> str:
    """The shipped file with some of its comments made lines."""
    text = SHIPPED.read_text()
    for comment in comments:
        assert f"# {comment}" in text
        text = text.replace(f"# {comment}", comment)
    return text.replace("#  pipeline_type", "  pipeline_type") if "diffusers:" in comments else text


@pytest.mark.parametrize("comments", [(), ("diffusers:",)])
def test_the_documented_file_is_the_shipped_model(
    tmp_path: Path, comments: tuple[str, ...]
) -> None:
    model = read_one(write(tmp_path, active(*comments)))
    assert model.config.name == "jina-reranker-v1-base-en"
    assert (model.config.diffusers.pipeline_type == "en") is bool(comments)
    assert resolve(model, MODELS).bundle == MODELS / "ranklet-mini"


@pytest.mark.parametrize("comments", [("type: flashrank",), ("type: flashrank", "diffusers:")])
def test_with_type_flashrank_it_must_be_installed(
    tmp_path: Path, comments: tuple[str, ...]
) -> None:
    file = write(tmp_path, active(*comments))
    catalog = build_catalog(Settings(config=file, models_dir=tmp_path))
    entry = catalog.find("jina-reranker-v1-base-en")
    with pytest.raises(ModelNotInstalledError) as caught:
        catalog.require_installed(entry)
    output = tmp_path / "ms-marco-MiniLM-L-12-v2"
    command = f"ranklet export flashrank:ms-marco-MiniLM-L-12-v2 --output {output}"
    assert command in str(caught.value)


@pytest.mark.parametrize(
    ("model", "kind", "language", "checkpoint", "bundle"),
    [
        ("cross-encoder", None, "EN", "models/ranklet-mini", "ranklet-mini"),
        ("cross-encoder", "cross-encoder", "en", "models/ranklet-mini", "ranklet-mini"),
        (
            "cross-encoder",
            None,
            "fr",
            "antoinelouis/crossencoder-camembert-base-mmarcoFR",
            "crossencoder-camembert-base-mmarcoFR",
        ),
        ("cross-encoder", None, "zh", "BAAI/bge-reranker-base", "bge-reranker-base"),
        (
            "cross-encoder",
            None,
            "no",
            "cross-encoder/mmarco-mMiniLMv2-L12-H384-v1",
            "mmarco-mMiniLMv2-L12-H384-v1",
        ),
        (
            "cross-encoder",
            "flashrank",
            "de",
            "flashrank:ms-marco-MultiBERT-L-12",
            "ms-marco-MultiBERT-L-12",
        ),
        (
            "flashrank",
            None,
            "en",
            "flashrank:ms-marco-MiniLM-L-12-v2",
            "ms-marco-MiniLM-L-12-v2",
        ),
        (
            "ms-marco-TinyBERT-L-2-v2",
            "flashrank",
            "en",
            "flashrank:ms-marco-TinyBERT-L-2-v2",
            "ms-marco-TinyBERT-L-2-v2",
        ),
        # `type` decides between the aliases, whichever is written.
        (
            "flashrank",
            "cross-encoder",
            "fr-CA",
            "antoinelouis/crossencoder-camembert-base-mmarcoFR",
            "crossencoder-camembert-base-mmarcoFR",
        ),
        (
            "flashrank",
            "flashrank",
            "zh_CN",
            "flashrank:ms-marco-MultiBERT-L-12",
            "ms-marco-MultiBERT-L-12",
        ),
        # Names that LocalAI takes for remote services or for other families by a part of them.
        (
            "jinaai/jina-reranker-v1-tiny-en",
            None,
            "en",
            "jinaai/jina-reranker-v1-tiny-en",
            "jina-reranker-v1-tiny-en",
        ),
        ("org/monot5-cohere", "cross-encoder", "en", "org/monot5-cohere", "monot5-cohere"),
    ],
)
def test_aliases_and_hub_ids(  # noqa: PLR0917 - one row a case
    tmp_path: Path, model: str, kind: str | None, language: str, checkpoint: str, bundle: str
) -> None:
    text = f"name: x\nbackend: rerankers\nparameters: {{model: {model}}}\n"
    text += f"diffusers: {{pipeline_type: {language}}}\n"
    text += f"type: {kind}\n" if kind else ""
    found = resolve(read_one(write(tmp_path, text)), MODELS)
    assert found == ModelSource(checkpoint, MODELS / bundle)
    expected = f"ranklet export {checkpoint} --output models/built/{bundle}"
    assert found.install_command == expected


def test_a_bundle_may_be_named_by_its_folder(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "beside").symlink_to(tiny_bundle)
    models_dir = tmp_path / "models"
    models_dir.mkdir()
    (models_dir / "installed").symlink_to(tiny_bundle)
    for name in ("beside", "./beside", str(tiny_bundle), "installed"):
        file = write(tmp_path, f"name: x\nbackend: rerankers\nparameters: {{model: {name}}}\n")
        catalog = build_catalog(Settings(config=file, models_dir=models_dir))
        assert catalog.entries[0].manifest is not None


@pytest.mark.parametrize("kind", ["cross-encoder", "flashrank"])
def test_a_bundle_in_a_folder_is_found_whatever_the_type(
    tmp_path: Path, tiny_bundle: Path, kind: str
) -> None:
    (tmp_path / "cohere-t5-flashrank").symlink_to(tiny_bundle)
    text = (
        f"name: x\nbackend: rerankers\ntype: {kind}\nparameters: {{model: cohere-t5-flashrank}}\n"
    )
    found = resolve(read_one(write(tmp_path, text)), MODELS)
    assert found.bundle == tmp_path / "cohere-t5-flashrank"


def test_a_checkpoint_may_be_named_by_its_folder(tmp_path: Path) -> None:
    checkpoint = tmp_path / "my model"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    file = write(tmp_path, 'name: x\nbackend: rerankers\nparameters: {model: "my model"}\n')
    found = resolve(read_one(file), MODELS)
    assert found.bundle == MODELS / "my model"
    expected = f"ranklet export '{checkpoint}' --output 'models/built/my model'"
    assert found.install_command == expected


def test_a_name_of_nothing_is_a_problem(tmp_path: Path) -> None:
    text = "name: x\nbackend: rerankers\nparameters: {model: croos-encoder}\n"
    file = write(tmp_path, text)
    with pytest.raises(UnresolvableError, match="croos-encoder"):
        resolve(read_one(file), MODELS)
    with pytest.raises(ModelConfigError, match=r"model\.yaml:1: parameters\.model"):
        build_catalog(Settings(config=file))


def test_all_problems_of_all_files_with_their_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        "name: a\nbackend: rerankers\nparameters:\n  modle: cross-encoder\ntyp: flashrank\n",
        "1.yaml",
    )
    write(tmp_path, "name: [a]\nbackend: llama-cpp\nparameters: cross-encoder\n", "2.yml")
    write(tmp_path, "name: a\n  backend: x\n", "3.yaml")
    write(tmp_path, "# nothing\n", "4.yaml")
    write(tmp_path, "name: a\nname: b\n", "5.yaml")
    write(tmp_path, "not: read", "6.txt")
    (tmp_path / "7.yaml").write_bytes(b"name: \xff")
    text = "\n".join(problems_of(tmp_path)).replace(str(tmp_path), "")
    for part in (
        "/1.yaml:4: unknown key 'parameters.modle'; did you mean 'model'?",
        "/1.yaml:5: unknown key 'typ'; did you mean 'type'?",
        "/1.yaml:4: the key 'parameters.model' is missing",
        "/2.yml:1: name: ",
        "/2.yml:2: backend: expected 'rerankers', not 'llama-cpp'",
        "/2.yml:3: parameters must be a mapping",
        "/3.yaml:2: mapping values are not allowed here",
        "/4.yaml describes no model",
        "/5.yaml:2: the key 'name' is there twice",
        "/5.yaml:1: the key 'backend' is missing",
        "/7.yaml is not UTF-8",
    ):
        assert part in text
    assert "6.txt" not in text


LIST = "a list of texts that are not empty, as [a, b]"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("workers: 0", "workers: expected a whole number >= 1, not 0"),
        ("workers: 1025", "workers: expected a whole number <= 1024, not 1025"),
        ("workers: many", "workers: expected a whole number, not 'many'"),
        ("max_length: 15", "max_length: expected a whole number >= 16, not 15"),
        ("preload: maybe", "preload: expected true or false, not 'maybe'"),
        ("long_documents: split", "expected 'truncate' or 'chunk', not 'split'"),
        ("score: logit", "expected 'sigmoid' or 'raw', not 'logit'"),
        ("aliases: many", f"aliases: expected {LIST}, not 'many'"),
        ('aliases: ["b", ""]', f"aliases: expected {LIST}, not ['b', '']"),
        ("f16: true", "the key 'f16' of LocalAI does nothing here, remove it"),
        ("threads: 4", "remove it; `workers` says how many pairs"),
        ("zzz: 1", "unknown key 'zzz'; Known: name, backend"),
        ("<<: {a: b}", "merge keys (<<) are not read"),
        ("aliases: [*]", 'write "*" in quotes'),
        ("max_lenght: 9", "did you mean 'max_length'?"),
        ("preload: 2001-99-99", "preload: not a valid timestamp"),
        ("preload: {[a]: b}", "preload: not a valid map"),
        ("preload: !!bool many", "preload: not a valid bool"),
        ("preload: !!timestamp many", "preload: not a valid timestamp"),
        ("workers: !foo 3", "workers: not a valid !foo"),
        ('workers: !!int ""', "workers: not a valid int"),
        ('variant: "\\ud800"', "variant: not a valid str"),
    ],
)
def test_wrong_options(tmp_path: Path, line: str, problem: str) -> None:
    text = f"name: a\nbackend: rerankers\nparameters: {{model: cross-encoder}}\n{line}\n"
    [found] = problems_of(write(tmp_path, text))
    assert ":4: " in found
    assert problem in found


def test_a_model_has_a_name(tmp_path: Path) -> None:
    text = 'name: ""\nbackend: rerankers\nparameters: {model: cross-encoder}\n'
    [found] = problems_of(write(tmp_path, text))
    assert "model.yaml:1: name: expected text that is not empty, not ''" in found


def test_what_anchors_multiply_is_not_quoted_in_full(tmp_path: Path) -> None:
    nested = "&x0 [lol, lol, lol, lol, lol, lol]"
    for depth in range(1, 7):
        nested = f"&x{depth} [{nested}, {', '.join([f'*x{depth - 1}'] * 5)}]"
    text = f"name: a\nbackend: rerankers\nparameters: {{model: a}}\npreload: {nested}\n"
    [found] = problems_of(write(tmp_path, text))
    assert "preload: expected true or false, not [[" in found
    assert len(found) < 1_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 3000, "model.yaml is nested too deeply"),
        ('name: "\\U00110000"', "model.yaml: chr()"),
        ('name: "\\UFFFFFFFF"', "model.yaml: "),
    ],
    ids=["nested", "escape", "large-escape"],
)
def test_what_breaks_the_parser_is_a_problem(tmp_path: Path, text: str, problem: str) -> None:
    [found] = problems_of(write(tmp_path, text))
    assert problem in found


@pytest.mark.parametrize(
    "name",
    ["~no-such-user/x", "a" * 5000, "org/" + "a" * 5000, '"org/a\\0b"', '"~a\\0b"'],
    ids=range(5),
)
def test_a_name_that_no_folder_can_have_is_a_problem(tmp_path: Path, name: str) -> None:
    text = f"name: x\nbackend: rerankers\nparameters: {{model: {name}}}\n"
    with pytest.raises(ModelConfigError, match=r"model\.yaml:1: "):
        build_catalog(Settings(config=write(tmp_path, text)))


def test_aliases_are_text_and_unique(tmp_path: Path) -> None:
    text = "name: {}\nbackend: rerankers\nparameters: {{model: cross-encoder}}\naliases: [{}]\n"
    write(tmp_path, text.format("a", '1.10, no, "*"'), "1.yaml")
    assert read_one(tmp_path).config.aliases == ("1.10", "no", "*")
    write(tmp_path, text.format("b", '"*", b, c'), "2.yaml")
    first, second = problems_of(tmp_path)
    assert "'*' is configured in" in first
    assert "'b' is configured in" in second


def test_two_models_of_one_name_are_a_problem(tmp_path: Path) -> None:
    text = "name: a\nbackend: rerankers\nparameters: {model: cross-encoder}\n"
    write(tmp_path, text, "1.yaml")
    write(tmp_path, text, "2.yaml")
    [problem] = problems_of(tmp_path)
    assert "2.yaml:1" in problem
    assert "1.yaml:1 already" in problem


def test_two_checkpoints_with_one_folder_for_their_bundles_are_a_problem(tmp_path: Path) -> None:
    text = "name: {}\nbackend: rerankers\nparameters: {{model: {}}}\n"
    for name, model in [("a", "org/tiny"), ("b", "other/tiny"), ("c", "org/tiny")]:
        write(tmp_path, text.format(name, model), f"{name}.yaml")
    with pytest.raises(ModelConfigError) as caught:
        build_catalog(Settings(config=tmp_path))
    [problem] = caught.value.problems
    assert "'a' and 'b'" in problem
    assert "org/tiny and other/tiny" in problem


def test_files_as_localai_reads_them(tmp_path: Path) -> None:
    text = "name: {}\nbackend: rerankers\nparameters: {{model: cross-encoder}}\n"
    write(tmp_path, text.format("a"), "A.YAML")
    flow = "{{name: {}, backend: rerankers, parameters: {{model: cross-encoder}}}}"
    write(tmp_path, f"- {flow.format('b')}\n- {flow.format('c')}\n", "b.yml")
    (tmp_path / "._a.yaml").write_bytes(b"\x00\x05\x16\x07\xff")  # as macOS leaves it
    models, problems = read_model_configs(tmp_path)
    assert not problems
    assert [(model.config.name, model.line) for model in models] == [("a", 1), ("b", 1), ("c", 2)]


def test_a_bundle_of_another_name_is_found_by_what_it_was_made_of(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    models_dir = tmp_path / "models"
    bundle = Path(shutil.copytree(tiny_bundle, models_dir / "short-name"))
    manifest = read_manifest(bundle)
    source = msgspec.structs.replace(manifest.source, checkpoint="org/Long-Name")
    write_manifest(bundle, msgspec.structs.replace(manifest, source=source))
    (models_dir / "damaged").mkdir()
    (models_dir / "damaged" / "manifest.json").write_text("{")
    file = write(tmp_path, "name: x\nbackend: rerankers\nparameters: {model: org/Long-Name}\n")
    assert resolve(read_one(file), models_dir) == ModelSource("org/Long-Name", bundle)


@pytest.mark.parametrize("name", ["org/..", "models/nothere", "My Models/x", "org/.git"])
def test_what_looks_like_a_folder_is_no_hub_id(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, f"name: x\nbackend: rerankers\nparameters: {{model: {name}}}\n")
    with pytest.raises(UnresolvableError, match="nor a folder"):
        resolve(read_one(file), MODELS)


def test_what_to_do_is_told_for_any_folder(tmp_path: Path) -> None:
    text = "name: x\nbackend: rerankers\nparameters: {model: cross-encoder}\n"
    found = resolve(read_one(write(tmp_path, text)), Path("here")).installation
    assert f"--output {Path.cwd()}/here/ranklet-mini`, in a checkout" in found
    assert f"ranklet bundle install FILE --output {Path.cwd()}/here/ranklet-mini" in found


def test_a_missing_file_and_an_empty_folder_are_problems(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "absent.yaml")[0]
    assert "holds no" in problems_of(tmp_path)[0]
    assert "name too long" in problems_of(tmp_path / ("a" * 5000))[0]


def test_what_looks_like_a_number_or_a_boolean_is_text(tmp_path: Path) -> None:
    text = (
        "name: 1.10\nbackend: rerankers\nparameters: {model: no}\ndiffusers: {pipeline_type: no}\n"
    )
    model = read_one(write(tmp_path, text))
    assert model.config.name == "1.10"
    assert model.config.parameters.model == "no"
    assert model.config.diffusers.pipeline_type == "no"


@given(st.text())
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("any") / "model.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_model_configs(file)[1]


def test_a_name_of_a_bundle_and_of_a_file_is_a_problem(tmp_path: Path, tiny_bundle: Path) -> None:
    name = read_manifest(tiny_bundle).name
    text = f"name: {name}\nbackend: rerankers\nparameters: {{model: cross-encoder}}\n"
    with pytest.raises(ModelConfigError, match="one with --model"):
        build_catalog(Settings(models=(tiny_bundle,), config=write(tmp_path, text)))


def test_a_missing_bundle_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(BundleFileMissingError, match="ranklet export"):
        build_catalog(Settings(models=(tmp_path / "absent",)))
    with pytest.raises(BundleError, match="name too long"):
        build_catalog(Settings(models=(tmp_path / ("a" * 5000),)))
