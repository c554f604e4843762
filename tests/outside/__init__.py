"""Suites and clients of other projects, run against this one: `make outside`.

They come from package registries at the versions named here, into ``FASTSOCKS_OUTSIDE`` (by
default a folder of the user's cache). What fails is compared with a list of exceptions, each with
its reason: one that is not listed fails, and so does one that is listed and passes.
"""
