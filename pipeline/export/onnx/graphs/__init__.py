"""Packages as ONNX graphs with real low-bit weights."""
