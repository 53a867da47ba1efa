"""The job `agora_finetune`."""
