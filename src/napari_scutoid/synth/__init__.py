"""Synthetic epithelia with true labels: sample data, training of the built-in model, benchmarks."""
