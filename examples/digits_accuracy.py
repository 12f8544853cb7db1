# SPDX-License-Identifier: Apache-2.0
"""How well `striate train` does on the held-out fifth of the digits: five seeds and their median.

    python examples/digits_accuracy.py [--model mlp] [--seeds 5]

Each seed draws the held-out fifth, the first weights and the order of the data anew.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from striate import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            words = ["--model", options.model, "--seed", seed, "--out", folder, "--name", seed]
            if cli.main(["train", *map(str, words)]) != 0:
                raise SystemExit("the training did not end")
            config = json.loads((Path(folder) / str(seed) / "config.json").read_text())
            results.append(config["result"])
    print(f"\n{options.model} on digits\nseed  accuracy  seconds")
    for seed, result in enumerate(results):
        print(f"{seed:4}  {result['test_accuracy']:8.2%}  {result['seconds']:7.1f}")
    print(f"median {statistics.median(r['test_accuracy'] for r in results):.2%}")


if __name__ == "__main__":
    main()
