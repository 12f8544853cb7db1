# SPDX-License-Identifier: Apache-2.0
"""A run's config.json."""

import json.decoder

from harness import fuzz
from striate.train import config, files, task


def read(path):
    settings, whole = config.Config.from_file(path)
    return settings, task.Scaling.from_dict(whole.get("scaling"))


SHAPES = [lambda data: data, lambda data: b"{" + data + b"}"]

if __name__ == "__main__":
    fuzz(read, SHAPES, [config, files, task, json.decoder])
