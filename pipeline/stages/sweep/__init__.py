"""The job `dq_sweep`."""
