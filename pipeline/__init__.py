"""Make sequence-to-sequence models small, and prove what it cost."""
