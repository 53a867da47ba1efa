"""Exported models without torch: numpy, onnxruntime and tokenizers are all that this package needs."""
