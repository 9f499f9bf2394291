"""Checkpoints to export: small random ones, which nobody need download."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "models/ranklet-mini"
WINDOW_TOKENS = 96

Run = Callable[..., subprocess.CompletedProcess[str]]

# These import what only exporting needs.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with the shipped model's tokenizer: read it, do not write to it.

    Its weights are drawn wide: with the usual narrow ones all pairs get nearly the same logit, and
    every graph would look right.
    """
    from ranklet.export.quiet import quiet_libraries

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-reranker"
    with quiet_libraries():
        import torch
        from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=30522,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=WINDOW_TOKENS,
            initializer_range=0.3,
            num_labels=1,
        )
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(str(SHIPPED))
        tokenizer.model_max_length = WINDOW_TOKENS
        tokenizer.save_pretrained(str(folder))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A tiny reranker\n")
    return folder


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint that a test may spoil."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "source" / tiny_checkpoint.name)


@pytest.fixture(scope="session")
def tiny_graph(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint as a ready graph, as optimum lays it out: do not write to it."""
    from ranklet.export import torch_model, torch_tokenizer
    from ranklet.export.head import ClassifierHead
    from ranklet.export.quiet import quiet_libraries

    folder = tmp_path_factory.mktemp("graphs") / "tiny-reranker"
    shutil.copytree(tiny_checkpoint, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with quiet_libraries():
        tokenizer = torch_tokenizer.load_tokenizer("tiny", tiny_checkpoint)
        model = torch_model.load_model("tiny", tiny_checkpoint, ClassifierHead(), tokenizer)
        torch_model.export_graph("tiny", model, folder / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def flashrank_folder(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint in FlashRank's layout, quantized as theirs are: do not write to it."""
    from ranklet.export.quiet import quiet_libraries

    folder = tmp_path_factory.mktemp("flashrank") / "ms-marco-MiniLM-L-12-v2"
    shutil.copytree(tiny_graph, folder, ignore=shutil.ignore_patterns("*.onnx*", "README.md"))
    with quiet_libraries():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        target = folder / "flashrank-MiniLM-L-12-v2_Q.onnx"
        quantize_dynamic(tiny_graph / "model.onnx", target, weight_type=QuantType.QInt8)
    return folder


@pytest.fixture(scope="session")
def run_ranklet() -> Run:
    """Run ``ranklet`` with words and, in ``environment``, more variables."""
    return functools.partial(_run, "-m", "ranklet.cli")


@pytest.fixture(scope="session")
def run_without_torch() -> Run:
    """Run ``ranklet`` where neither torch nor what needs it can be found."""
    return functools.partial(_run, str(Path(__file__).with_name("without_torch.py")))


@pytest.fixture(scope="session")
def run_export() -> Run:
    """Run ``ranklet export`` with words and, in ``environment``, more variables."""

    return functools.partial(_run, "-m", "ranklet.cli", "export")


def _run(
    *words: str | Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
