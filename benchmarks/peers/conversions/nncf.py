"""Makes an int8 graph for bare OpenVINO with NNCF's defaults for transformers."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

nncf: Any = import_module("nncf")
openvino: Any = import_module("openvino")
tokenizers: Any = import_module("tokenizers")
adapter: Any = import_module("peers.adapters.openvino")


def main() -> None:
    models = Path(sys.argv[2])
    graph = openvino.Core().read_model(str(models / "fp32" / "model.onnx"))
    tokenizer = tokenizers.Tokenizer.from_file(str(models / "fp32" / "tokenizer.json"))
    tokenizer.enable_truncation(adapter.WINDOW_TOKENS, strategy="only_second")
    names = [port.any_name for port in graph.inputs]
    lines = (models / "calibration" / "train.jsonl").read_text().splitlines()
    feeds = [adapter.feed([tokenizer.encode(*json.loads(line)["pair"])], names) for line in lines]
    quantized = nncf.quantize(
        graph,
        nncf.Dataset(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(feeds),
    )
    openvino.save_model(quantized, str(models / "nncf" / "model.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    main()
