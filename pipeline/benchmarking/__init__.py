"""Runtimes measured side by side: live workers, rounds, results."""
