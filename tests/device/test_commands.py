# SPDX-License-Identifier: Apache-2.0
"""`striate train --device cuda`."""

import json

import numpy as np
import pytest
import striate
from striate import cli

pytest.importorskip("sklearn")
STEP = ("--model", "mlp", "--batch-size", "256", "--no-progress")


def weights(folder):
    return striate.load(folder / "model.safetensors")


def train(*words):
    assert cli.main(["train", *map(str, words)]) == 0


def test_train_as_on_the_cpu(tmp_path, capsys):
    for device in ("cpu", "cuda"):
        train(*STEP, "--epochs", 1, "--device", device, "--out", tmp_path, "--name", device)
    assert striate.cuda.get_device_name() in capsys.readouterr().out
    here, there = weights(tmp_path / "cpu"), weights(tmp_path / "cuda")
    assert here.keys() == there.keys()
    for name, value in here.items():
        assert not there[name].is_cuda
        np.testing.assert_allclose(there[name].numpy(), value.numpy(), 1e-2, 1e-3)
    results = [
        json.loads((tmp_path / name / "config.json").read_text())["result"]
        for name in ("cpu", "cuda")
    ]
    assert abs(results[0]["test_loss"] - results[1]["test_loss"]) < 0.02


def test_resume_on_a_gpu(tmp_path, monkeypatch):
    """From a checkpoint of the first epoch, which a stop in the second leaves."""
    from striate.train import trainer

    whole = (*STEP, "--epochs", 2, "--device", "cuda", "--out", tmp_path)
    train(*whole, "--name", "whole")
    finish, stopped = trainer.Trainer._finish_epoch, []

    def stop(self, bar):
        finish(self, bar)
        stopped.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_finish_epoch", stop)
        assert cli.main(["train", *map(str, whole), "--name", "part"]) == 130
    assert stopped == [1]
    train("--resume", tmp_path / "part", "--device", "cuda", "--no-progress")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "part")
    assert all(np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)
