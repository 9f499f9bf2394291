"""The family's exits, the steps of a run and going on after a kill."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from msgspec import ValidationError
from msgspec.structs import replace as struct_replace
from training.batches import PairBatcher
from training.development import divergence, rank_quality, score
from training.drawing import draw_columns
from training.lists import RankingLists, load_lists
from training.losses import Targets, family_loss
from training.model import (
    CrossEncoder,
    NoStartError,
    _attend,
    _attend_fused,
    load_encoder,
    load_model,
    save_member,
)
from training.recipe import (
    TEACHER,
    EncoderSettings,
    read_graded_recipe,
    read_list_recipe,
    read_model_recipe,
)
from training.train import fingerprint
from training.trainer import DivergedError, OtherRunError, RecipeError, Trainer
from transformers import BertModel

pytestmark = pytest.mark.torch

FAMILY = EncoderSettings(layers=3, exits={"small": 1, "large": 3})
SETTINGS = read_model_recipe(Path("training/recipes/second.yaml")).train


SMALL: dict[str, float] = {
    "steps": 16,
    "lists_in_step": 4,
    "documents": 4,
    "window": 32,
    "long_window": 48,
}


def make_trainer(
    base: BertModel, lists: RankingLists, teacher: CrossEncoder | None = None, /, **changed: float
) -> Trainer:
    settings = struct_replace(SETTINGS, **(SMALL | changed))
    torch.manual_seed(1)
    shallow = EncoderSettings(layers=2, units=20, exits={"tiny": 2})
    encoders = [CrossEncoder(deepcopy(base), encoder) for encoder in (shallow, FAMILY)]
    return Trainer(encoders, lists, settings, seed=3, teacher=teacher)


def test_divergence_from_the_teacher_leaves_scale_and_shift_aside() -> None:
    random = np.random.default_rng(2)
    teacher = random.normal(size=(20, 6), scale=2).astype(np.float32)
    assert divergence(0.3 * teacher + 5, teacher) == pytest.approx(0, abs=1e-4)
    noise = random.normal(size=teacher.shape).astype(np.float32)
    near, far = (divergence(teacher + share * noise, teacher) for share in (0.5, 2))
    assert 0.01 < near < far
    # Equal scores make all passages as likely: the teacher's entropy is what lacks to log(6).
    likely = np.exp(teacher) / np.exp(teacher).sum(axis=1, keepdims=True)
    entropy = -(likely * np.log(likely)).sum(axis=1).mean()
    assert divergence(np.zeros_like(teacher), teacher) == pytest.approx(
        np.log(6) - entropy, abs=1e-3
    )


def test_each_exit_is_a_model_of_its_own(base: BertModel) -> None:
    encoder = CrossEncoder(base, FAMILY)
    ids = torch.randint(1, 300, (4, 20))
    ids[2:, 12:] = 0
    types = (torch.arange(20) > 6).long().expand(4, 20)
    logits = encoder(ids, types).logits
    for name, depth in FAMILY.exits.items():
        member = encoder.member(name)
        assert member.config.num_hidden_layers == depth
        mask = (ids != 0).long()
        found = member(input_ids=ids, token_type_ids=types, attention_mask=mask).logits
        torch.testing.assert_close(found.squeeze(-1), logits[name], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits["small"], logits["large"], atol=1e-2)


def test_both_kinds_of_attention_are_one() -> None:
    query = torch.randn(3, 2, 5, 8)
    key, value = torch.randn(2, 3, 2, 9, 8)
    mask = (torch.arange(9) < torch.tensor([9, 4, 6])[:, None])[:, None, None]
    for asked in (query, query[:, :, :1]):
        wanted = _attend_fused(asked, key, value, mask)
        torch.testing.assert_close(_attend(asked, key, value, mask), wanted, atol=1e-6, rtol=1e-6)


def test_logits_are_precise_where_layers_are_not(base: BertModel) -> None:
    encoder = CrossEncoder(base, FAMILY)
    torch.nn.init.constant_(encoder.get_parameter("heads.large.classifier.bias"), 6.0)
    ids = torch.randint(1, 300, (8, 20))
    with torch.autocast("cpu", torch.bfloat16):
        reading = encoder(ids, torch.zeros_like(ids))
    logits = reading.logits["large"]
    assert reading.states.dtype == torch.bfloat16 or logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_a_run_goes_on_from_a_model(base: BertModel, tmp_path: Path) -> None:
    member = CrossEncoder(base, FAMILY).member("large")
    save_member(member, tmp_path / "before")
    settings = EncoderSettings(layers=3, exits={"large": 3}, start="before")
    with pytest.raises(NoStartError, match="before of the run before: say with --start"):
        load_encoder(settings, None)
    with pytest.raises(ValueError, match="keeps 9 layers of a model that has"):
        load_encoder(struct_replace(settings, layers=9, exits={"large": 9}), tmp_path)
    found = load_encoder(settings, tmp_path)
    ids = torch.randint(1, 300, (4, 20))
    types = (torch.arange(20) > 6).long().expand(4, 20)
    wanted = member.float()(input_ids=ids, token_type_ids=types).logits
    logits = found(ids, types).logits["large"]
    torch.testing.assert_close(logits, wanted.squeeze(-1), atol=1e-5, rtol=1e-5)


def test_narrow_layers_keep_the_units_that_do_most(base: BertModel, tmp_path: Path) -> None:
    whole = CrossEncoder(deepcopy(base), FAMILY)
    for name, weight in whole.named_parameters():
        if name.endswith("output.dense.weight") and "attention" not in name:
            weight.data[:, [3, 7]] = 0
    units = base.config.intermediate_size - 2
    narrowed = EncoderSettings(layers=3, units=units, exits={"large": 3})
    save_member(whole.member("large"), tmp_path / "whole")
    narrow = load_encoder(struct_replace(narrowed, start="whole"), tmp_path)
    save_member(narrow.member("large"), tmp_path / "narrow")
    ids = torch.randint(1, 300, (4, 20))
    types = (torch.arange(20) > 6).long().expand(4, 20)
    wanted, found = (
        load_model(tmp_path / name, "it")(ids, types).logits["it"] for name in ("whole", "narrow")
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_lists_come_back_as_they_were(lists: RankingLists, tmp_path: Path) -> None:
    lists = replace(lists, is_taught=np.arange(12) % 5 == 0)
    lists.save(tmp_path / "lists.npz")
    found = load_lists(tmp_path / "lists.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["lists.npz"]
    assert found.own == lists.own
    assert found.taught.tolist() == lists.taught.tolist()
    np.testing.assert_array_equal(found.teacher, lists.teacher)
    np.testing.assert_array_equal(found.documents < 0, lists.documents < 0)
    assert len(found.passages) == len(set(lists.documents[lists.documents >= 0].tolist()))
    for row in range(12):
        np.testing.assert_array_equal(found.queries[row], lists.queries[row])
        places = (documents[row].tolist() for documents in (found.documents, lists.documents))
        for one, other in zip(*places, strict=True):
            if other >= 0:
                np.testing.assert_array_equal(found.passages[one], lists.passages[other])


def test_batches_hold_each_pair_once_and_cut_documents(lists: RankingLists) -> None:
    rows = np.array([7, 2, 10])
    documents = lists.documents[rows]
    seen: list[int] = []
    for batch in PairBatcher(lists, "cpu").encode(rows, documents, window=32):
        assert batch.ids.shape[1] <= 32
        for place, ids, types in zip(batch.places, batch.ids, batch.types, strict=True):
            query = lists.queries[int(rows[place // 6])]
            passage = lists.passages[int(documents[place // 6, place % 6])]
            document = passage[: 32 - len(query) - 3]
            expected = [101, *query, 102, *document, 102]
            assert ids[ids != 0].tolist() == expected
            assert types.tolist()[: len(expected)] == [0] * (len(query) + 2) + [1] * (
                len(document) + 1
            )
            seen.append(int(place))
    assert sorted(seen) == list(range(18))


def test_a_passage_answers_by_its_grade_wherever_it_stands(
    base: BertModel, lists: RankingLists
) -> None:
    graded = replace(lists, grades=np.full_like(lists.grades, 2))
    asked = {"probability_weight": 0.0, "label_weight": 5.0}
    with_labels = make_trainer(base, graded, **asked).advance()
    without = make_trainer(base, graded, **asked | {"label_weight": 0.0}).advance()
    torch.testing.assert_close(with_labels, without)  # what answers cannot be told from the rest
    assert make_trainer(base, lists, **asked).advance() > with_labels + 1


def test_a_draw_takes_the_best_own_passage_another_and_others() -> None:
    documents = np.arange(8000, dtype=np.int32).reshape(1000, 8)
    documents[500:, 1:3] = -1
    documents[750:, :3] = -1
    columns = draw_columns(documents, own=3, own_taken=2, count=5, seed=(1, 2))
    assert all(len(set(row)) == 5 for row in columns.tolist())
    assert (np.take_along_axis(documents, columns, 1) >= 0).all()
    own = [sorted(column for column in row if column < 3) for row in columns.tolist()]
    assert all(row in ([0, 1], [0, 2]) for row in own[:500])
    assert 150 < own[:500].count([0, 1]) < 350
    assert own[500:] == [[0]] * 250 + [[]] * 250
    others = np.bincount(columns[columns >= 3], minlength=8)[3:]
    assert others.min() > 0.8 * others.mean()


def test_a_draw_may_take_all_own_passages_or_the_best_alone() -> None:
    documents = np.arange(800, dtype=np.int32).reshape(100, 8)
    documents[50:, 1:3] = -1
    for own_taken, expected in ((3, [0, 1, 2]), (1, [0])):
        columns = draw_columns(documents, own=3, own_taken=own_taken, count=4, seed=(1, 2))
        own = [sorted(column for column in row if column < 3) for row in columns.tolist()]
        assert own == [expected] * 50 + [[0]] * 50


def test_which_own_passage_answers_is_left_to_the_model() -> None:
    is_own = torch.tensor([[True, True, False, False]])
    teacher = torch.zeros(1, 4)
    settings = struct_replace(SETTINGS, label_weight=1.0, probability_weight=0.0)

    def loss(logits: list[float]) -> float:
        whole = family_loss({"one": torch.tensor([logits])}, Targets(teacher, is_own), settings)
        unlabelled = Targets(teacher, torch.zeros_like(is_own))
        return float(whole - family_loss({"one": torch.tensor([logits])}, unlabelled, settings))

    assert loss([9.0, 0.0, 0.0, 0.0]) == pytest.approx(loss([0.0, 9.0, 0.0, 0.0]))
    assert loss([9.0, 0.0, 0.0, 0.0]) < 0.01
    assert loss([0.0, 0.0, 0.0, 0.0]) == pytest.approx(np.log(2), abs=1e-6)


def test_a_run_learns_what_the_teacher_says(base: BertModel, lists: RankingLists) -> None:
    trainer = make_trainer(base, lists)
    places = np.flatnonzero((lists.documents >= 0).all(1))
    lists = replace(
        lists,
        queries=lists.queries.take(places),
        documents=lists.documents[places],
        teacher=lists.teacher[places],
    )
    is_own = torch.arange(6).expand(len(places), -1) < lists.own
    targets = Targets(torch.from_numpy(lists.teacher), is_own)

    def losses() -> list[float]:
        return [
            family_loss({name: torch.from_numpy(values)}, targets, SETTINGS).item()
            for encoder in trainer.family.encoders
            for name, values in score(encoder, lists, device="cpu").items()
        ]

    before = losses()
    for _ in range(16):
        trainer.advance()
    assert all(after < first for after, first in zip(losses(), before, strict=True))


def test_shallow_models_follow_the_deepest_which_does_not_follow_them() -> None:
    deep = torch.tensor([[3.0, 0.0, 1.0]], requires_grad=True)
    shallow = torch.tensor([[0.0, 3.0, 1.0]], requires_grad=True)
    targets = Targets(deep.detach().clone(), torch.zeros(1, 3, dtype=torch.bool))
    settings = struct_replace(SETTINGS, follow_weight=2.0)
    whole = family_loss({"shallow": shallow, "deep": deep}, targets, settings)
    alone = family_loss({"shallow": shallow}, targets, settings)
    assert whole.item() == pytest.approx(3 * alone.item())
    whole.backward()
    assert deep.grad is not None
    assert deep.grad.abs().max() < 1e-6
    assert shallow.grad is not None
    assert shallow.grad.abs().max() > 0.1


def test_a_cross_encoder_teaches_and_stays_as_it_is(base: BertModel, lists: RankingLists) -> None:
    settings = EncoderSettings(layers=3, exits={TEACHER: 3})
    teacher = CrossEncoder(deepcopy(base), settings)
    torch.nn.init.normal_(teacher.get_parameter(f"heads.{TEACHER}.classifier.weight"), std=0.5)
    before = deepcopy(teacher.state_dict())
    wanted = score(teacher, lists, device="cpu")[TEACHER]

    def distance(**changed: float) -> float:
        trainer = make_trainer(base, lists, teacher, learning_rate=1e-3, **changed)
        for _ in range(16):
            trainer.advance()
        *_, deepest = trainer.family.encoders
        return divergence(score(deepest, lists, device="cpu")["large"], wanted)

    without = distance(teacher_weight=0.0)
    assert distance(teacher_weight=20.0) < 0.8 * without
    lists = replace(lists, is_taught=np.zeros(12, dtype=np.bool_))
    assert distance(teacher_weight=20.0) == without
    for name, weight in teacher.state_dict().items():
        torch.testing.assert_close(weight, before[name], atol=0, rtol=0)


def test_states_of_shallow_models_are_drawn_to_those_of_the_deepest(
    base: BertModel, lists: RankingLists
) -> None:
    alone, drawn = (make_trainer(base, lists, state_weight=weight) for weight in (0.0, 50.0))
    for trainer in (alone, drawn):
        for _ in range(16):
            trainer.advance()
    ids = torch.randint(1, 300, (4, 20))
    types = (torch.arange(20) > 6).long().expand(4, 20)

    def distance(trainer: Trainer) -> float:
        readings = [encoder(ids, types) for encoder in trainer.family.encoders]
        return trainer.family.distance(readings, ids != 0).item()

    assert distance(drawn) < 0.9 * distance(alone)


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    base: BertModel, lists: RankingLists, tmp_path: Path
) -> None:
    whole, first = make_trainer(base, lists), make_trainer(base, lists)
    for _ in range(16):
        whole.advance()
    for _ in range(10):  # in the middle of a pass over the lists
        first.advance()
    first.save(tmp_path / "checkpoint.pt", run="one")
    second = make_trainer(base, lists)
    second.load(tmp_path / "checkpoint.pt", run="one")
    for _ in range(6):
        second.advance()
    for trainer in (second.family, second.average):
        other = whole.family if trainer is second.family else whole.average
        for one, two in zip(trainer.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one, two, atol=0, rtol=0)


def test_what_is_kept_is_an_average_of_the_weights(base: BertModel, lists: RankingLists) -> None:
    trainer = make_trainer(base, lists, averaging=0.9)
    seen: list[list[torch.Tensor]] = []
    for step in range(1, 17):
        trainer.advance()
        if step % 8 == 0:
            seen.append([weight.detach().clone() for weight in trainer.family.parameters()])
    for found, first, last in zip(trainer.average.module.parameters(), *seen, strict=True):
        torch.testing.assert_close(found, (0.9**8 * first + last) / (0.9**8 + 1))


def test_every_fourth_step_reads_longer_documents(base: BertModel, lists: RankingLists) -> None:
    trainer = make_trainer(base, lists)
    longest: list[int] = []
    trainer.family.encoders[0].register_forward_pre_hook(
        lambda _, inputs: longest.append(inputs[0].shape[1])
    )
    reads_long: list[bool] = []
    for _ in range(8):
        trainer.advance()
        reads_long.append(max(longest) > 32)
        longest.clear()
    assert reads_long == [True, False, False, False] * 2


def test_weights_that_are_no_numbers_are_not_kept(
    base: BertModel, lists: RankingLists, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    trainer = make_trainer(base, lists)
    trainer.save(checkpoint, run="one")
    before = checkpoint.read_bytes()
    next(trainer.family.parameters()).data[0] = torch.nan
    with pytest.raises(DivergedError, match="lower learning_rate"):
        trainer.save(checkpoint, run="one")
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"lists_in_step": 13}, "12 lists are too few for a step of 13"),
        ({"documents": 5}, "a list has 4 passages, a step wants 5 of it"),
        ({"window": 10}, "tokens leaves none for documents in 10"),
    ],
)
def test_lists_that_a_recipe_does_not_fit_are_refused(
    base: BertModel, lists: RankingLists, changed: dict[str, int], problem: str
) -> None:
    with pytest.raises(RecipeError, match=problem):
        make_trainer(base, lists, **changed)


def test_a_checkpoint_of_another_run_is_refused(
    base: BertModel, lists: RankingLists, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    make_trainer(base, lists).save(checkpoint, run="one")
    with pytest.raises(OtherRunError, match=r"checkpoint\.pt is of a run with other settings"):
        make_trainer(base, lists).load(checkpoint, run="another")


def test_a_run_is_another_when_any_of_its_files_changed(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("recipe.yaml", "training.npz", "model.safetensors")]
    for path in files:
        path.write_text("as it was")
    names = {fingerprint(files), fingerprint(files[:2])}
    for path in files:
        path.write_text("changed")
        names.add(fingerprint(files))
        path.write_text("as it was")
    assert fingerprint(files) in names
    assert len(names) == 5


@pytest.mark.parametrize(
    ("setting", "changed"), [("own: [2, 2, 4, 2]", "own: []"), ("own: [2, 2, 4, 2]", "own: [0]")]
)
def test_a_recipe_that_draws_no_own_passage_is_refused(
    tmp_path: Path, setting: str, changed: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(Path("training/recipes/third.yaml").read_text().replace(setting, changed))
    with pytest.raises(ValidationError, match=r"\$\.train\.own"):
        read_model_recipe(recipe)


@pytest.mark.parametrize(
    ("setting", "changed", "problem"),
    [
        ("{ranklet-mini: 4}", "{ranklet-mini: 3}", "the last after all 4"),
        ("{ranklet-mini: 4}", "{ranklet-mini: 5}", "the last after all 4"),
        ("{ranklet-mini: 4}", "{other: 4, ranklet-mini: 4}", "rising numbers of layers"),
        ("{ranklet-mini: 4}", "{ranklet-nano: 4}", "two models have one name"),
        ("{ranklet-mini: 4}", "{teacher: 4}", "two models have one name"),
        ("layers: 2", "layers: 8", "the last after all 8"),
        ("long_window: 320", "long_window: 100", "at least window, 128, not 100"),
        ("averaging: 0.999", "averaging: 1.0", "averaging"),
        (
            "layers: 2\n    exits: {ranklet-nano: 2}",
            "layers: 8\n    exits: {n: 8}",
            "the deepest last",
        ),
    ],
)
def test_a_family_that_is_none_is_refused(
    tmp_path: Path, setting: str, changed: str, problem: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = Path("training/recipes/third.yaml").read_text()
    assert setting in text
    recipe.write_text(text.replace(setting, changed))
    with pytest.raises(ValidationError, match=problem):
        read_model_recipe(recipe)


@pytest.mark.parametrize(
    "path", sorted(Path("training/recipes").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_recipe_says_everything_once(path: Path) -> None:
    if path.stem == "pairs":  # whose lists other runs read beside others
        assert read_list_recipe(path).pairs
    elif path.stem in {"twenty-seventh", "twenty-eighth"}:  # whose lists the twenty-ninth reads
        assert read_graded_recipe(path).graded.clusters
    else:
        assert read_model_recipe(path).train.steps > 0
    root = yaml.compose(path.read_text())
    assert isinstance(root, yaml.MappingNode)
    mappings = [root]
    while mappings:
        entries = mappings.pop().value
        keys = [key.value for key, _ in entries]
        assert len(keys) == len({*keys})
        mappings += [value for _, value in entries if isinstance(value, yaml.MappingNode)]


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        ([3, 0, 0, 0, 0], {"nDCG@10": 0.6309, "RR": 0.5}),
        ([1, 3, 0, 0, 0], {"nDCG@10": 1.0, "RR": 1.0}),
        ([0, 1, 3, 0, 0], {"nDCG@10": 0.6885, "RR": 0.3333}),  # what only helps ends no search
        ([0, 0, 0, 0, 3], {"nDCG@10": 0.0, "RR": 0.0}),  # which is not there
    ],
)
def test_quality_counts_where_the_answers_stand(
    lists: RankingLists, grades: list[int], expected: dict[str, float]
) -> None:
    scores = np.array([[1, 2, 0, -1, 3]] * 12, dtype=np.float32)
    documents = np.array([[0, 1, 2, 3, -1]] * 12, dtype=np.int32)
    graded = replace(lists, documents=documents, grades=np.array([grades] * 12, dtype=np.int8))
    assert rank_quality(scores, graded) == expected
