# SPDX-License-Identifier: Apache-2.0
"""Runs a piece of Python in a process of its own, for what must not happen in pytest's."""

import os
import subprocess
import sys
import textwrap


def python(code, timeout=120, **environment):
    """The finished process. A keyword sets an environment variable, None unsets it."""
    variables = dict(os.environ)
    for name, value in environment.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=variables,
    )


def succeeds(code, timeout=120, **environment):
    """Its output; fails the test, showing what it wrote, where it didn't end well."""
    done = python(code, timeout, **environment)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def fails(code, **environment):
    """The last line on its stderr: the message of the exception that it died of."""
    done = python(code, **environment)
    assert done.returncode == 1, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stderr.strip().splitlines()[-1]
