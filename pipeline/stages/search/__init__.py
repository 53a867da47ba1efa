"""The job `ose_search`."""
