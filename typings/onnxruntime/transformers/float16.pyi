from collections.abc import Sequence

from onnx import ModelProto

def convert_float_to_float16(
    model: ModelProto | str,
    min_positive_val: float = 5.96e-08,
    max_finite_val: float = 65504.0,
    keep_io_types: bool | Sequence[str] = False,
    disable_shape_infer: bool = False,
    op_block_list: Sequence[str] | None = None,
    node_block_list: Sequence[str] | None = None,
    force_fp16_initializers: bool = False,
    force_fp16_inputs: dict[str, list[int]] | None = None,
    use_bfloat16_as_blocked_nodes_dtype: bool = False,
) -> ModelProto: ...
