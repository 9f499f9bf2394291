"""What is no one-logit cross-encoder with safe weights is refused by what was found."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ranklet.export.checkpoint import Checkpoint
from ranklet.export.errors import SourceNotFoundError, UnsupportedCheckpointError
from ranklet.export.request import ExportRequest
from ranklet.export.source import open_source

pytestmark = pytest.mark.torch

Spoil = Callable[[Path], object]


def open_checkpoint(source: str, *, revision: str | None = None) -> Checkpoint:
    return open_source(ExportRequest(source, revision=revision), Path("unused"))


def edit(name: str, **changes: Any) -> Spoil:  # noqa: ANN401 - any JSON
    """Change values of a JSON file; "" removes one."""

    def spoil(folder: Path) -> None:
        path = folder / name
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        content |= changes
        path.write_text(json.dumps({key: value for key, value in content.items() if value != ""}))

    return spoil


def remove(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str) -> Spoil:
    return lambda folder: (folder / name).write_text(content)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size // 2)


def sharded_without_shard(folder: Path) -> None:
    remove("model.safetensors")(folder)
    edit("model.safetensors.index.json", weight_map={"a": "model-00001-of-00002.safetensors"})(
        folder
    )


def linked_outside(folder: Path) -> None:
    secret = folder.parent / "secret.json"
    secret.write_bytes((folder / "config.json").read_bytes())
    remove("config.json")(folder)
    (folder / "config.json").symlink_to(secret)


def linked_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "1_Pooling").symlink_to(folder.parent / "elsewhere")


def linked_to_itself(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")


def sharded_outside(folder: Path) -> None:
    remove("model.safetensors")(folder)
    edit("model.safetensors.index.json", weight_map={"a": "../model.safetensors"})(folder)


MODULE = "sentence_transformers.models"

REFUSALS: dict[str, tuple[Spoil, str]] = {
    "no config": (remove("config.json"), "there is no config.json"),
    "damaged config": (write("config.json", '{"architectures":'), "config.json is damaged"),
    "not UTF-8": (
        lambda folder: (folder / "config.json").write_bytes(b'{"model_type": "\xff"}'),
        "config.json is damaged",
    ),
    "class unknown": (edit("config.json", architectures=""), "does not say which class"),
    "generation": (
        edit("config.json", architectures=["Qwen3ForCausalLM"]),
        "Qwen3ForCausalLM is a generation model",
    ),
    "encoder and decoder": (
        edit("config.json", architectures=["T5ForConditionalGeneration"]),
        "T5ForConditionalGeneration is a generation model",
    ),
    "encoder": (
        edit("config.json", architectures=["BertModel"]),
        "BertModel is an encoder without a head",
    ),
    "masked language model": (
        edit("config.json", architectures=["BertForMaskedLM"]),
        "BertForMaskedLM is a masked language model",
    ),
    "three labels": (
        edit("config.json", id2label={"0": "no", "1": "perhaps", "2": "yes"}),
        "it gives 3 labels; a cross-encoder with one logit or two labels is needed",
    ),
    "multi-label": (
        edit(
            "config.json",
            id2label={"0": "a", "1": "b", "2": "c"},
            problem_type="multi_label_classification",
        ),
        "it gives 3 labels of which several may hold",
    ),
    "remote code": (
        edit("config.json", auto_map={"AutoModelForSequenceClassification": "modeling.Model"}),
        "program code from the checkpoint (auto_map, trust_remote_code)",
    ),
    "remote tokenizer": (
        edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenizer.T", None]}),
        "program code from the checkpoint",
    ),
    "unknown activation": (
        edit("config.json", sentence_transformers={"activation_fn": "torch.nn.Tanh"}),
        "it applies torch.nn.Tanh to the logit",
    ),
    "head beside the model": (
        write("modules.json", json.dumps([{"type": f"{MODULE}.{k}"} for k in ("A", "Dense")])),
        "modules.json lists A, Dense; Transformer, Pooling and then Dense and LayerNorm can be",
    ),
    "no window": (
        lambda folder: (
            edit("config.json", max_position_embeddings="")(folder),
            edit("tokenizer_config.json", model_max_length=1e30)(folder),
        ),
        "says how long a text may be",
    ),
    "no tokenizer": (
        lambda folder: (remove("tokenizer.json")(folder), remove("vocab.txt")(folder)),
        "it has no tokenizer.json",
    ),
    "damaged tokenizer": (write("tokenizer.json", "{}"), "tokenizer.json is damaged"),
    "another vocabulary": (
        edit("config.json", vocab_size=1000),
        "its tokenizer knows 30522 tokens, its embeddings only 1000",
    ),
    "pickled weights": (pickled, "pickled (pytorch_model.bin), and reading a pickle can run any"),
    "no weights": (remove("model.safetensors"), "it has no weights"),
    "truncated weights": (truncated, "model.safetensors is truncated or damaged"),
    "shard missing": (sharded_without_shard, "it lacks model-00001-of-00002.safetensors, a part"),
    "shard outside": (sharded_outside, "names no files, or files outside of the checkpoint"),
    "link to a file outside": (
        linked_outside,
        "config.json is a link that leads out of the folder",
    ),
    "link to a folder outside": (linked_folder, "1_Pooling is a link that leads out of the folder"),
    "nested config": (write("config.json", '{"more": ' + "[" * 50_000), "config.json is damaged"),
    "link to itself": (linked_to_itself, "loop is a link that leads to itself"),
    "damaged index": (
        lambda folder: (
            remove("model.safetensors")(folder),
            write("model.safetensors.index.json", "[]")(folder),
        ),
        "model.safetensors.index.json is damaged",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_by_what_was_found(case: str, checkpoint: Path) -> None:
    spoil, message = REFUSALS[case]
    spoil(checkpoint)
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_checkpoint(str(checkpoint))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "revision", "message"),
    [
        ("no/such/folder", None, "there is no such folder"),
        ("./nothing", None, "there is no such folder"),
        ("flashrank:nobody-knows", None, "FlashRank has no such model; its cross-encoders are ms-"),
        (__file__, None, "this is a file"),
        (".", "main", "--revision is for models on the hub"),
    ],
)
def test_source_that_is_no_checkpoint(source: str, revision: str | None, message: str) -> None:
    with pytest.raises(SourceNotFoundError, match=message):
        open_checkpoint(source, revision=revision)


def test_checkpoint_is_described(checkpoint: Path) -> None:
    found = open_checkpoint(str(checkpoint))
    assert found.architecture == "BertForSequenceClassification"
    assert found.window_tokens == 96
    assert found.activation == "sigmoid"
    assert found.source.checkpoint == "tiny-reranker"
    assert found.source.licence == "cc-by-4.0"
    assert (found.source.revision or "").startswith("sha256:")


@pytest.mark.parametrize(
    ("changes", "activation"),
    [
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
            "identity",
        ),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}, "sigmoid"),
        ({"sentence_transformers": {"version": "5.0.0"}}, "sigmoid"),
    ],
)
def test_activation_of_sentence_transformers(
    checkpoint: Path, changes: dict[str, Any], activation: str
) -> None:
    edit("config.json", **changes)(checkpoint)
    assert open_checkpoint(str(checkpoint)).activation == activation


def test_window_of_models_whose_positions_start_late(checkpoint: Path) -> None:
    edit("config.json", model_type="roberta", max_position_embeddings=90, pad_token_id=1)(
        checkpoint
    )
    assert open_checkpoint(str(checkpoint)).window_tokens == 88


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("no front matter", None),
        ("---\nlicense: other\nlicense_name: our-terms\n---\n", "other (our-terms)"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\nlicense: [\n---\n", None),
        ("---\n- license\n---\n", None),
    ],
)
def test_licence_of_the_model_card(checkpoint: Path, card: str, licence: str | None) -> None:
    (checkpoint / "README.md").write_text(card)
    assert open_checkpoint(str(checkpoint)).source.licence == licence


def test_pickle_beside_safetensors_is_ignored(checkpoint: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"anything")
    assert open_checkpoint(str(checkpoint)).architecture == "BertForSequenceClassification"


def test_links_inside_are_followed(checkpoint: Path, tmp_path: Path) -> None:
    """As the hub's client keeps its models."""
    blobs = tmp_path / "models--a--b/blobs"
    snapshot = tmp_path / "models--a--b/snapshots/0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in checkpoint.iterdir():
        (snapshot / path.name).symlink_to(path.rename(blobs / path.name))
    assert open_checkpoint(str(snapshot)).architecture == "BertForSequenceClassification"
