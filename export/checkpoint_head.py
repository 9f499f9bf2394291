"""Which head a checkpoint has: a classifier's own, modules beside the model, or answers."""

from pathlib import Path
from typing import get_args

from .checkpoint_files import (
    Config,
    DenseConfig,
    LayerNormConfig,
    Module,
    PoolingConfig,
    require_file,
)
from .errors import UnsupportedCheckpointError
from .head import (
    ClassifierHead,
    DenseLayer,
    HeadLayer,
    ModuleHead,
    Nonlinearity,
    NormLayer,
    Pooling,
)

_TWO = 2

_RELEVANT = frozenset({"1", "entailment", "positive", "relevant", "true", "yes"})
_IRRELEVANT = frozenset({"0", "irrelevant", "negative", "no", "non_relevant", "not_relevant"})

_POOLINGS: dict[str, Pooling] = {name: name for name in get_args(Pooling)}
_NONLINEARITIES: dict[str, Nonlinearity] = {name: name for name in get_args(Nonlinearity)}


def classifier_head(source: str, config: Config) -> ClassifierHead:
    """Describe the head of a sequence classifier.

    Of two labels the one counts that is called relevant, yes or the like, and label 1 where the
    names do not tell.

    Raises:
        UnsupportedCheckpointError: it has more than two labels, or two of which both may hold.
    """
    count = config.num_labels or (_TWO if config.id2label is None else len(config.id2label))
    if count == 1:
        return ClassifierHead()
    if count != _TWO or config.problem_type == "multi_label_classification":
        several = config.problem_type == "multi_label_classification"
        kind = "labels of which several may hold" if several else "labels"
        found = f"it gives {count} {kind}; a cross-encoder with one logit or two labels is needed"
        raise UnsupportedCheckpointError(source, found)
    named = config.id2label or {}
    labels = tuple(str(named.get(str(index), f"LABEL_{index}")) for index in range(_TWO))
    return ClassifierHead(_positive_label(labels), labels)


def _positive_label(labels: tuple[str, ...]) -> int:
    words = [label.strip().casefold().replace(" ", "_").replace("-", "_") for label in labels]
    relevant = [word in _RELEVANT for word in words]
    irrelevant = [word in _IRRELEVANT for word in words]
    return 0 if relevant == [True, False] or irrelevant == [False, True] else 1


def module_head(source: str, folder: Path, modules: list[Module]) -> ModuleHead:
    """Describe the head that sentence-transformers keeps in modules behind the encoder.

    Raises:
        UnsupportedCheckpointError: it holds a module that cannot be exported, does not end in one
            number, or gives none, as the modules of an embedding model.
    """
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        found = (
            f"its modules.json lists {', '.join(kinds)}; Transformer, Pooling and then Dense and "
            "LayerNorm can be exported"
        )
        raise UnsupportedCheckpointError(source, found)
    for module in modules:
        if Path(module.path).name != module.path:
            found = f"its modules.json names {module.path!r}, which is no folder right inside it"
            raise UnsupportedCheckpointError(source, found)
    if not any(_gives_one_logit(source, folder, module) for module in modules[2:]):
        found = "it is an embedding model (bi-encoder); a cross-encoder is needed"
        raise UnsupportedCheckpointError(source, found)
    if modules[0].path:
        found = f"its model lies in the folder {modules[0].path}, not beside its modules.json"
        raise UnsupportedCheckpointError(source, found)
    pooling = _read_pooling(source, folder, modules[1])
    layers = tuple(_read_layer(source, folder, module) for module in modules[2:])
    last = layers[-1]
    if not (isinstance(last, DenseLayer) and last.outputs == 1):
        raise UnsupportedCheckpointError(source, "its modules.json does not end in one logit")
    return ModuleHead(pooling, layers)


def _gives_one_logit(source: str, folder: Path, module: Module) -> bool:
    if module.kind != "Dense":
        return False
    config = require_file(source, folder, f"{module.path}/config.json", DenseConfig)
    return config.out_features == 1


def _read_pooling(source: str, folder: Path, module: Module) -> Pooling:
    config = require_file(source, folder, f"{module.path}/config.json", PoolingConfig)
    if isinstance(config.pooling_mode, str):
        modes = [config.pooling_mode]
    elif config.pooling_mode is not None:
        modes = config.pooling_mode
    else:
        flags = {
            "cls": config.pooling_mode_cls_token,
            "max": config.pooling_mode_max_tokens,
            "mean": config.pooling_mode_mean_tokens,
            "mean_sqrt_len_tokens": config.pooling_mode_mean_sqrt_len_tokens,
            "weightedmean": config.pooling_mode_weightedmean_tokens,
            "lasttoken": config.pooling_mode_lasttoken,
        }
        modes = [mode for mode, is_set in flags.items() if is_set] or ["mean"]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        found = f"it pools by {' and '.join(modes)}; one of {', '.join(_POOLINGS)} is needed"
        raise UnsupportedCheckpointError(source, found)
    return _POOLINGS[modes[0]]


def _read_layer(source: str, folder: Path, module: Module) -> HeadLayer:
    name = f"{module.path}/config.json"
    if module.kind == "LayerNorm":
        return NormLayer(module.path, require_file(source, folder, name, LayerNormConfig).dimension)
    if module.kind != "Dense":
        found = f"its modules.json adds {module.kind}; Dense and LayerNorm can be exported"
        raise UnsupportedCheckpointError(source, found)
    config = require_file(source, folder, name, DenseConfig)
    nonlinearity = _NONLINEARITIES.get(config.activation_function.rpartition(".")[2])
    if nonlinearity is None or not config.activation_function.startswith("torch.nn."):
        found = (
            f"{name} applies {config.activation_function}; known are {', '.join(_NONLINEARITIES)}"
        )
        raise UnsupportedCheckpointError(source, found)
    if config.use_residual or config.module_input_name != "sentence_embedding":
        found = f"{name} reads more than what the module before it gives"
        raise UnsupportedCheckpointError(source, found)
    return DenseLayer(
        module.path, config.in_features, config.out_features, config.bias, nonlinearity
    )
