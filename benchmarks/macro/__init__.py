"""Paired end-to-end measurements of fastsocks and its peers. See docs/benchmarks.md."""
