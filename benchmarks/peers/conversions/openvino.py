"""Makes OpenVINO's files with sentence-transformers' tools, its int8 calibrated on our pairs."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

library: Any = import_module("sentence_transformers")
backend: Any = import_module("sentence_transformers.backend")
intel: Any = import_module("optimum.intel.openvino")


def main() -> None:
    models = Path(sys.argv[2])
    model = library.CrossEncoder(
        str(models / "torch"), backend="openvino", device="cpu", model_kwargs={"export": True}
    )
    folder = models / "openvino"
    model.save_pretrained(str(folder))
    calibration = models / "calibration"
    count = len((calibration / "train.jsonl").read_text().splitlines())
    backend.export_static_quantized_openvino_model(
        model,
        intel.OVQuantizationConfig(num_samples=count),
        str(folder),
        dataset_name=str(calibration),
        dataset_config_name="default",
        dataset_split="train",
        column_name="pair",
    )


if __name__ == "__main__":
    main()
