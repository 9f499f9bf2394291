"""The examination behind ``ranklet doctor``: machine, configuration, bundles, what to do."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ranklet.runtime.bundle import suitable_variants
from ranklet.runtime.checkup import BundleCheck, check_bundle
from ranklet.runtime.errors import BundleError
from ranklet.runtime.machine import Machine, describe_machine
from ranklet.runtime.manifest import MANIFEST_NAME
from ranklet.runtime.processor import detect_processor
from ranklet.runtime.sessions import cuda_is_available

from .errors import AddressError, ModelConfigError, SettingsError
from .options import OPTIONS, parse_settings, stray_variables
from .settings import Settings

_MODEL_OPTIONS = {"models", "config", "models_dir", "variant"}
"""Fields of the settings that lead to models."""


class Report(msgspec.Struct, frozen=True):
    """What the doctor found."""

    machine: Machine
    suitable_variants: tuple[str, ...]
    """Names of the variants that would run here, best first, whatever bundles there are."""
    bundles: tuple[BundleCheck, ...]
    names: dict[str, str]
    """The folder of the bundle behind each name that callers may use, in full."""
    problems: tuple[str, ...]
    """What keeps something from working, each with what to do about it."""
    advice: tuple[str, ...]
    """What works but could be better."""


def examine(flags: Mapping[str, object], environment: Mapping[str, str]) -> Report:
    """Examine this machine and what ``ranklet serve`` would do with the same options.

    Without a model among the options, the bundles in ``--models-dir`` are examined.

    Args:
        flags: As ``parse_settings`` takes them.
        environment: Likewise.
    """
    machine = describe_machine()
    advice = _advice_on(machine)
    problems: list[str] = []
    named = _Named()
    try:
        flags = _with_models(flags, environment)
        settings, problems = _parsed(flags, environment)
    except SettingsError as error:
        problems += error.problems
    else:
        advice += _advice_on_address(settings)
        advice += [f"{name} is set, but is no setting" for name in stray_variables(environment)]
        named.folders += [(folder, settings.variant) for folder in settings.models]
        problems += _configuration_problems(settings, named)
    bundles = tuple(check_bundle(folder, variant=variant) for folder, variant in named.unique())
    problems += [bundle.problem for bundle in bundles if bundle.problem is not None]
    problems += _memory_problems(machine, bundles)
    found = tuple(dict.fromkeys(problems))
    suitable = suitable_variants(detect_processor(), cuda=cuda_is_available())
    return Report(machine, suitable, bundles, named.names, found, tuple(advice))


@dataclass(slots=True)
class _Named:
    """What the options and the configuration lead to, as far as it was understood."""

    folders: list[tuple[Path, str | None]] = field(default_factory=list[tuple[Path, str | None]])
    """Bundles, each with the variant that is asked for."""
    names: dict[str, str] = field(default_factory=dict[str, str])

    def unique(self) -> list[tuple[Path, str | None]]:
        """Drop what was named twice, perhaps by different paths."""
        # Not Path.resolve, which raises RuntimeError for a link to itself.
        places = {
            (os.path.realpath(folder), variant): folder
            for folder, variant in reversed(self.folders)
        }
        return [(folder, variant) for (_, variant), folder in reversed(places.items())]


def _parsed(
    flags: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Parse the options; where some are wrong, those that lead to the models are tried alone."""
    try:
        return parse_settings(flags, environment), []
    except SettingsError as error:
        kept = [option for option in OPTIONS if option.field in _MODEL_OPTIONS]
        settings = parse_settings(
            {option.field: flags.get(option.field) for option in kept},
            {option.variable: environment.get(option.variable, "") for option in kept},
        )
        return settings, list(error.problems)


def _with_models(
    flags: Mapping[str, object], environment: Mapping[str, str]
) -> Mapping[str, object]:
    """Name the installed bundles as models where the options name none.

    Raises:
        SettingsError: there are none either, or nobody can tell.
    """
    named = [flags.get(name) for name in ("models", "config")]
    named += [environment.get(name) for name in ("RANKLET_MODEL", "RANKLET_CONFIG")]
    if any(named):
        return flags
    given = flags.get("models_dir") or environment.get("RANKLET_MODELS_DIR")
    place = Path(str(given or Settings().models_dir))
    try:
        # Not by a pattern: Path.glob takes a folder that may not be read for an empty one.
        bundles = sorted(str(path) for path in place.iterdir() if (path / MANIFEST_NAME).is_file())
    except FileNotFoundError:
        bundles = []
    except OSError as error:
        message = f"--models-dir is '{place}', which cannot be read: {error.strerror}"
        raise SettingsError([message]) from error
    if not bundles:
        message = (
            f"there is no bundle in {place}: unpack one with `ranklet bundle install FILE`, build "
            "one with `ranklet export SOURCE`, or name one with --model DIR"
        )
        raise SettingsError([message])
    return {**flags, "models": bundles}


def _configuration_problems(settings: Settings, named: _Named) -> list[str]:
    """Read what ``serve`` would read; adds the bundles and the names that it leads to."""
    try:
        from .entries import read_entries  # noqa: PLC0415 - a device that only scores lacks it
        from .keys import read_api_keys  # noqa: PLC0415 - the same
        from .server import bind  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        fix = "install what serves with: pip install 'ranklet[service]'"
        return [f"`ranklet serve` needs {error.name}, which is not installed; {fix}"]
    problems: list[str] = []
    try:
        bind(settings).close()
    except AddressError as error:
        if not error.is_in_use:  # by the very server that is asked about, perhaps
            problems.append(str(error))
    try:
        read_api_keys(settings)
    except SettingsError as error:
        problems += error.problems
    try:
        entries = read_entries(settings)
    except ModelConfigError as error:
        return [*problems, *error.problems]
    except BundleError as error:
        problems.append(str(error))
        if settings.config is None:
            return problems
        return problems + _configuration_problems(dataclasses.replace(settings, models=()), named)
    for entry in entries:
        if entry.spec is None:
            problems.append(
                f"model {entry.name!r}: there is no bundle at {entry.source.bundle}; "
                f"{entry.source.installation}"
            )
        else:
            named.folders.append((entry.source.bundle, entry.spec.variant))
            place = os.path.realpath(entry.source.bundle)
            named.names |= dict.fromkeys((entry.name, *entry.aliases), place)
    return problems


def _advice_on(machine: Machine) -> list[str]:
    advice: list[str] = []
    if machine.quota_cores is not None and machine.quota_cores < 1:
        advice.append(
            f"the control group allows {machine.quota_cores:g} of a core, so that every pair waits "
            "for its next period; allow 1 or more, as with `podman run --cpus 1`"
        )
    if {"onnxruntime", "onnxruntime-gpu"} <= machine.versions.keys():
        advice.append(
            "onnxruntime and onnxruntime-gpu overwrite each other; keep one: pip uninstall "
            "onnxruntime onnxruntime-gpu, then pip install the one you want"
        )
    if not machine.instruction_sets:
        advice.append(
            "the operating system does not tell the processor's instruction sets, so fp32 is "
            "chosen; name a variant with --variant if you know that it runs"
        )
    return advice


def _advice_on_address(settings: Settings) -> list[str]:
    try:
        from .keys import is_open_to_others  # noqa: PLC0415 - a device that only scores lacks it
    except ModuleNotFoundError:
        return []  # nothing serves there, which is told among the problems
    if settings.has_api_keys or not is_open_to_others(settings.host):
        return []
    open_to = f"--host is {settings.host} and no API key is set, so that others may call"
    return [f"{open_to}; set RANKLET_API_KEYS or --api-keys-file"]


def _memory_problems(machine: Machine, bundles: tuple[BundleCheck, ...]) -> list[str]:
    """Compare the variants that would run with the memory there is."""
    total = machine.memory_bytes
    if total is None:
        return []
    return [
        f"{bundle.folder}: variant {variant.name} takes {variant.size_bytes / 1e9:.1f} GB, "
        f"this machine has {total / 1e9:.1f} GB; choose a smaller one with --variant"
        for bundle in bundles
        for variant in bundle.variants
        if variant.name == bundle.chosen and variant.size_bytes > total
    ]
