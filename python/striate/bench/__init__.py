# SPDX-License-Identifier: Apache-2.0
"""The benchmark suite behind `striate bench`: our kernels beside the peers' that are found here.

A run goes through these files, in this order:

    command.py      the command line; starts one worker a thread count, then reports
    environment.py  the variables that cap and thread the peers, which must be set before they load
    problem.py      problems/*.toml: what is measured, by network and layer; shards, estimates
    worker.py       measures one problem after the other, and writes each row into the journal
    families/       a problem as a task: operands, operations, bytes, float64 values to check by
    peers/          who computes a task: one small file each, striate's own among them
    clock.py        rivals in turns; medians and quartiles
    gpu.py          the same on a GPU: its clock, its peaks, arrays of CuPy's
    machine.py      caches, versions; meter.py: peak and bandwidths beside the rows; guard.py: load
    journal.py      one JSON line a row, so that a run goes on where it stopped
    summary.py      ratios, geometric means, losses
    terminal.py page.py charts.py compare.py    what is shown

docs/benchmarks.md says how to read the figures, and how to add a problem or a peer.
"""
