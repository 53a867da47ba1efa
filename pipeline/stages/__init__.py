"""What a job does, step by step: the only place that composes the other packages."""
