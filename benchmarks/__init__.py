"""The benchmarks of fastsocks; not part of the installed package."""
