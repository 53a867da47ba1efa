"""The job `benchmark`."""
