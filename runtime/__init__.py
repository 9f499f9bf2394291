"""From a bundle to scores with onnxruntime, tokenizers and numpy; no torch."""
