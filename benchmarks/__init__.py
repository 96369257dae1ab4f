"""This client next to what a user would pick instead: `python -m benchmarks`."""
