# SPDX-License-Identifier: Apache-2.0
"""pytest's plugin for tests/sanitize.sh: the sanitized extension it is, in every process.

Workers (pytest -n 2) load the plugins that the command line names, as the main process does.
"""

import sys

# An editable install would come before PYTHONPATH: its finder is taken away.
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]

from striate import _C  # noqa: E402

if "build/sanitize" not in (_C.__file__ or ""):
    raise ImportError(f"expected the extension of tests/sanitize.sh, got {_C.__file__}")
