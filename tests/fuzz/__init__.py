"""A bounded, seeded fuzz of everything that this project reads: `python tests/fuzz --help`."""
