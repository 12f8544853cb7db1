# SPDX-License-Identifier: Apache-2.0
"""`striate train --profile`: a few steps of a run under the profiler."""

from __future__ import annotations

from typing import Any

from striate.profiler import profile
from striate.train.trainer import Trainer

TRACE = "trace.json"
_WARM_UP, _STEPS = 5, 20  # the first steps fill caches and the memory pool


class ProfiledTrainer(Trainer):
    """A Trainer that profiles steps 6 to 25 of what it runs, and leaves trace.json in the folder.

    What is trained is the same, bit for bit.
    """

    _done = 0
    _profile: profile | None = None

    def _step(self, *args: Any) -> None:
        if self._done == _WARM_UP:
            self._profile = profile(record_shapes=True).__enter__()
        try:
            super()._step(*args)
        except BaseException:
            self.end_profile()
            raise
        self._done += 1
        if self._done == _WARM_UP + _STEPS:
            self.end_profile()

    def end_profile(self) -> None:
        """Ends the profile if it is on, and writes the trace."""
        if self._profile is not None and not self._profile.seconds:
            self._profile.__exit__(None, None, None)
            self._profile.export_chrome_trace(self.folder / TRACE)

    def report(self) -> str:
        """Tables by operation and by module, and where the trace is."""
        self.end_profile()
        if self._profile is None:
            return f"no profile: fewer than {_WARM_UP + 1} steps were run"
        steps = self._done - _WARM_UP if self._done < _WARM_UP + _STEPS else _STEPS
        return (
            f"profile of {steps} steps\n\n{self._profile.table(row_limit=20)}\n\n"
            f"{self._profile.table(by='module', sort_by='total')}\n\n"
            f"{self.folder / TRACE}: for chrome://tracing or ui.perfetto.dev"
        )
