"""A tiny random base and ranking lists over it."""

import numpy as np
import pytest
from training.lists import RankingLists
from transformers import BertConfig, BertModel


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

    def texts(count: int, longest: int) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
        lengths = random.integers(1, longest, size=count)
        return [random.integers(110, 300, size=n).astype(np.int32) for n in lengths]

    documents = np.stack([random.permutation(30)[:4] for _ in range(12)]).astype(np.int32)
    teacher = random.normal(scale=4, size=(12, 4)).astype(np.float32)
    return RankingLists(texts(12, 8), texts(30, 60), documents, teacher, np.arange(12) % 3 != 0)
