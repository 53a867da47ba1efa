"""What people watch while a job runs: lines, bars, tables."""
