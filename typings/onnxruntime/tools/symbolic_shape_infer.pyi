from onnx import ModelProto

class SymbolicShapeInference:
    @staticmethod
    def infer_shapes(
        in_mp: ModelProto,
        int_max: int = 2147483647,
        auto_merge: bool = False,
        guess_output_rank: bool = False,
        verbose: int = 0,
    ) -> ModelProto: ...
