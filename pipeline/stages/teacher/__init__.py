"""The job `finetune_teacher`."""
