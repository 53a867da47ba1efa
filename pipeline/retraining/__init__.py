"""A nightly retraining: is tonight's candidate promoted? Numbers in, a decision and its reasons out."""
