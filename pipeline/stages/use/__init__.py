"""The jobs that use a finished student: `export` and `generate`."""
