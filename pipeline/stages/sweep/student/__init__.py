"""One student, before and after its training."""
