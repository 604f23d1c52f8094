"""Tests of the whole product. A package, so that their stack has its scope."""
