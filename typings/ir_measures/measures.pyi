from collections.abc import Mapping

class ParamInfo:
    required: bool

class Measure:
    SUPPORTED_PARAMS: Mapping[str, ParamInfo]
    @property
    def params(self) -> Mapping[str, object]: ...
    def __call__(self, **kwargs: object) -> Measure: ...
    def __matmul__(self, at_param: object) -> Measure: ...
    def validate_params(self) -> None: ...

registry: dict[str, Measure]
