"""Makes the torch folder and, with sentence-transformers' tools, the ONNX files.

The torch folder is the checkpoint in fp32: some peers would compute in fp16 where the file stores
it, which is several times slower on a CPU and no setting that anyone wants. All ONNX peers get the
same two graphs, with the tokenizer's files as they are in the checkpoint.
"""

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

transformers: Any = import_module("transformers")
torch: Any = import_module("torch")
library: Any = import_module("sentence_transformers")
backend: Any = import_module("sentence_transformers.backend")

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
GRAPHS = {"fp32": "model.onnx", "int8": "model_qint8_avx512_vnni.onnx"}


def main() -> None:
    checkpoint, models = (Path(word) for word in sys.argv[1:3])
    original = models / "torch"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(str(checkpoint))
    model.to(torch.float32).save_pretrained(str(original))
    copy_tokenizer(checkpoint, original)
    exported = library.CrossEncoder(
        str(original), backend="onnx", device="cpu", model_kwargs={"export": True}
    )
    folder = models / "onnx"
    exported.save_pretrained(str(folder))
    backend.export_dynamic_quantized_onnx_model(exported, "avx512_vnni", str(folder))
    backend.export_optimized_onnx_model(exported, "O3", str(folder))
    for name, graph in GRAPHS.items():
        flat = models / name
        flat.mkdir()
        shutil.copy(folder / "onnx" / graph, flat / "model.onnx")
        shutil.copy(original / "config.json", flat)
        copy_tokenizer(checkpoint, flat)


def copy_tokenizer(checkpoint: Path, folder: Path) -> None:
    for name in TOKENIZER:
        if (checkpoint / name).exists():
            shutil.copy(checkpoint / name, folder)


if __name__ == "__main__":
    main()
