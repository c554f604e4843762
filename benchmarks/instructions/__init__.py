"""Instructions of fixed work, which noise does not touch: ``python -m benchmarks.instructions``."""
