"""From a cross-encoder checkpoint to a verified bundle of quantized ONNX graphs."""
