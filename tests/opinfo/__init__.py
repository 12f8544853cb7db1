# SPDX-License-Identifier: Apache-2.0
"""torch's own samples (its OpInfo and ModuleInfo databases) run through torch and striate.

`names` finds striate's function for an operation of torch's by its name, so that new operations
are tested as soon as they exist. `compare` converts tensors and compares results. `deviations` is
the one table of what differs, and why. `samples` runs an operation, `modules` a module, `report`
prints what ran.
"""
