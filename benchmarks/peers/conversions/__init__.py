"""One script a format: makes what peers read from the checkpoint, with the peers' own tools.

They run in the peers' environments: ``python -m peers.conversions.onnx CHECKPOINT MODELS``.
"""
