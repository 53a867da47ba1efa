"""Ray: workers for training. The door to ray."""
