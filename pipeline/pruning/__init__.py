"""Which attention heads a model can do without, and their removal. Knows torch and quantization sites."""
