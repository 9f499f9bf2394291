from collections.abc import Sequence

from onnx import ModelProto

class OnnxModel:
    model: ModelProto
    def __init__(self, model: ModelProto) -> None: ...
    def convert_float_to_float16(
        self,
        use_symbolic_shape_infer: bool = True,
        *,
        keep_io_types: bool | Sequence[str] = True,
        disable_shape_infer: bool = False,
        op_block_list: Sequence[str] | None = None,
        node_block_list: Sequence[str] | None = None,
        force_fp16_initializers: bool = False,
    ) -> None: ...
    def get_fused_operator_statistics(self) -> dict[str, int]: ...
    def save_model_to_file(
        self,
        output_path: str,
        use_external_data_format: bool = False,
        all_tensors_to_one_file: bool = True,
    ) -> None: ...
