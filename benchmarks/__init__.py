"""Measures the product as a caller meets it: the whole embedded stack against a modelled GPU and a site of real pages.

Nothing here decides whether a figure is good; docs/benchmarks.md says what each one means.
"""
