"""What is fuzzed: each module makes something good, changes it and has it read."""
