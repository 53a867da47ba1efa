"""The job `bort_pretrain`."""
