# SPDX-License-Identifier: Apache-2.0
"""Training end to end: what a run leaves, and that an interrupted one loses nothing."""

import contextlib
import csv
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading

import numpy as np
import pytest
import striate
from PIL import Image
from striate import cli, models
from striate.data import DataLoader, TensorDataset
from striate.train import Config, Evaluation, Trainer, evaluate, pictures, trainer
from striate.train.interrupt import Interrupt
from striate.train.recipe import share_of_rate

ROOT = os.environ.get("STRIATE_DATA")
needs_data = pytest.mark.skipif(not ROOT, reason="STRIATE_DATA is not set")


def command(*words, code=None, **variables):
    """`striate train` in a process of its own, with code run before it."""
    begin = f"{code or ''}\nimport sys\nfrom striate import cli\nsys.exit(cli.main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", begin, "train", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **variables},
    )


def finished(done):
    assert done.returncode == 0, done.stderr
    return done


def here(*words):
    """`striate train` in this process, which is quicker."""
    assert cli.main(["train", *map(str, words)]) == 0


def weights(folder):
    return {k: v.numpy() for k, v in striate.load(folder / "model.safetensors").items()}


def same_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    return all(np.array_equal(one[k], other[k]) for k in one)


def history(folder):
    """The lines of history.csv, without the seconds."""
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


# Sends this process a signal when the given step is done.
SIGNAL_AT = """
import os, signal
from striate.train.trainer import Trainer
step, counted = Trainer._step, []
def counting(self, *batch):
    step(self, *batch)
    counted.append(1)
    if len(counted) == {at}:
        os.kill(os.getpid(), signal.{name})
Trainer._step = counting
"""


@pytest.fixture(scope="module", params=["lenet", "mlp"])
def whole(request, tmp_path_factory):
    """(model, folder) of a run of two epochs that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    words = ("--model", request.param, "--epochs", 2, "--seed", 3, "--out", out, "--name", "a")
    finished(command(*words))
    return request.param, out / "a"


def test_a_run_leaves_its_files(whole):
    model, folder = whole
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "confusion.png",
        "curve.png",
        "filters.png",
        "history.csv",
        "model.safetensors",
    ]
    config = json.loads((folder / "config.json").read_text())
    assert (config["data"], config["model"], config["epochs"]) == ("digits", model, 2)
    assert config["samples"] == {"train": 1438, "test": 359}
    rows = history(folder)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["test_accuracy"]) == config["result"]["test_accuracy"] > 0.5
    for name in ("curve", "confusion", "filters"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


# 45 batches an epoch: at once, in the middle, an epoch's last batch, the next epoch.
@pytest.mark.parametrize(
    ("at", "name"), [(1, "SIGINT"), (20, "SIGTERM"), (45, "SIGINT"), (77, "SIGINT")]
)
def test_an_interrupted_run_resumes_bit_for_bit(whole, tmp_path, at, name):
    model, reference = whole
    words = ("--model", model, "--epochs", 2, "--seed", 3, "--out", tmp_path, "--name", "b")
    stopped = command(*words, code=SIGNAL_AT.format(at=at, name=name))
    folder = tmp_path / "b"
    assert stopped.returncode == 130, stopped.stderr
    assert f"striate train --resume {folder}" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert (folder / "checkpoint.safetensors").is_file()
    here("--resume", folder)
    assert same_weights(reference, folder) and history(reference) == history(folder)
    assert not (folder / "checkpoint.safetensors").exists()


def test_a_killed_run_resumes_from_its_last_epoch(whole, tmp_path):
    model, reference = whole
    words = ("--model", model, "--epochs", 2, "--seed", 3, "--out", tmp_path, "--name", "b")
    killed = command(*words, code=SIGNAL_AT.format(at=60, name="SIGKILL"))
    assert killed.returncode == -signal.SIGKILL
    here("--resume", "b", "--out", tmp_path)
    assert same_weights(reference, tmp_path / "b")


RECIPES = [
    ("sgd", "step", None),
    ("adam", "onecycle", 1.0),
    ("adamw", "cosine", None),
    ("rmsprop", "constant", 5.0),
    ("adagrad", "onecycle", None),
    ("adadelta", "step", 2.0),
]


@pytest.mark.parametrize(("optimizer", "schedule", "clip"), RECIPES)
def test_every_recipe_learns_and_resumes(tmp_path, optimizer, schedule, clip):
    words = ["--model", "mlp", "--epochs", 2, "--out", tmp_path, "--optimizer", optimizer,
             "--schedule", schedule, "--no-progress"]  # fmt: skip
    words += [] if clip is None else ["--clip", clip]
    here(*words, "--name", "a")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert [config[k] for k in ("optimizer", "schedule", "clip")] == [optimizer, schedule, clip]
    assert config["result"]["test_accuracy"] > 0.6
    stopped = command(*words, "--name", "b", code=SIGNAL_AT.format(at=60, name="SIGINT"))
    assert stopped.returncode == 130, stopped.stderr
    here("--resume", "b", "--out", tmp_path, "--no-progress")
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert history(tmp_path / "a") == history(tmp_path / "b")


def test_interrupted_twice(whole, tmp_path):
    model, reference = whole
    words = ("--model", model, "--epochs", 2, "--seed", 3, "--out", tmp_path, "--name", "b")
    assert command(*words, code=SIGNAL_AT.format(at=10, name="SIGINT")).returncode == 130
    again = command("--resume", tmp_path / "b", code=SIGNAL_AT.format(at=50, name="SIGINT"))
    assert again.returncode == 130
    finished(command("--resume", tmp_path / "b", "--no-progress"))
    assert same_weights(reference, tmp_path / "b")


def test_threads_do_not_change_the_weights(whole, tmp_path):
    model, reference = whole
    words = ("--model", model, "--epochs", 2, "--seed", 3, "--out", tmp_path, "--name", "b")
    here(*words, "--threads", 3)
    assert same_weights(reference, tmp_path / "b")


def test_the_seed_changes_the_weights(tmp_path):
    for seed in (0, 1):
        here("--model", "mlp", "--epochs", 1, "--seed", seed, "--out", tmp_path)
    assert not same_weights(tmp_path / "digits-mlp", tmp_path / "digits-mlp-2")


def test_without_matplotlib_and_tqdm(tmp_path):
    code = "import sys\nsys.modules['matplotlib'] = sys.modules['tqdm'] = None"
    words = ("--model", "mlp", "--epochs", 1, "--out", tmp_path)
    done = finished(command(*words, code=code))
    assert 'pip install "striate[train]"' in done.stderr
    names = {p.name for p in (tmp_path / "digits-mlp").iterdir()}
    assert names == {"config.json", "history.csv", "model.safetensors"}


def test_the_bar_shows_on_a_terminal(tmp_path):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 120, 0, 0))
    words = ["train", "--model", "mlp", "--epochs", "3", "--out", str(tmp_path)]
    running = subprocess.Popen(
        [sys.executable, "-m", "striate", *words],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = ""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while part := os.read(ours, 4096):
            shown += part.decode(errors="replace")
    os.close(ours)
    assert running.wait(60) == 0, shown
    for word in ("% |", "epoch 3/3, ", "loss ", "acc ", " images/s, ", " left"):
        assert word in shown, shown


# --- the parts ------------------------------------------------------------------------------------


def config(**changed):
    return Config(
        **{"data": "digits", "model": "mlp", "epochs": 2, "batch_size": 4, "lr": 0.1, **changed}
    )


def test_the_rate_rises_and_falls():
    c = config(warmup=0.1)
    rates = [c.lr * share_of_rate(c, step, 100) for step in range(100)]
    top = rates.index(max(rates))
    assert top == 10 and rates[top] == 0.1
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < 1e-3 and 0 < rates[0] < 0.02
    assert share_of_rate(config(warmup=0), 0, 1) == 1


def test_schedules_that_fall_in_steps_or_not():
    for schedule, expected in (("step", [1, 0.1, 0.01]), ("constant", [1, 1, 1])):
        c = config(schedule=schedule)
        assert [share_of_rate(c, step, 100) for step in (49, 50, 75)] == expected
        assert share_of_rate(c, 0, 100) < 0.1


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 0},
        {"epochs": 2.0},
        {"batch_size": -1},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"lr": 0},
        {"optimizer": "sdg"},
        {"schedule": "cos"},
        {"clip": 0},
        {"clip": float("inf")},
        {"lr": "0.1"},
        {"momentum": -1},
        {"seed": -1},
        {"model": "vgg"},
        {"data": "cats"},
    ],
)
def test_config_refuses(changed):
    with pytest.raises(ValueError, match=f"config: .*{next(iter(changed.values()))}"):
        config(**changed)


def toy(tmp_path, labels=(0, 1, 1, 0, 1, 0), **changed):
    images = np.random.default_rng(0).standard_normal((6, 1, 4, 4)).astype(np.float32)
    data = TensorDataset(images, np.array(labels))
    striate.manual_seed(0)
    model = models.mlp((1, 4, 4), 2, (8,))
    loaders = DataLoader(data, 4, shuffle=True, seed=1), DataLoader(data, 4)
    return Trainer(model, *loaders, config(**changed), tmp_path)


def test_the_trainer_learns_a_toy(tmp_path):
    t = toy(tmp_path, epochs=30)
    assert t.run(progress=False)
    assert t.evaluation.accuracy == 1 and len(t.history) == 30
    assert t.evaluation.confusion.tolist() == [[3, 0], [0, 3]]


def test_a_loss_that_explodes_is_named(tmp_path):
    t = toy(tmp_path, lr=1e30, epochs=9)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"the loss became .*epoch"):
        t.run(progress=False)


def test_a_label_out_of_range_is_named(tmp_path):
    with pytest.raises(IndexError, match="7"):
        toy(tmp_path, labels=(0, 1, 1, 0, 7, 0)).run(progress=False)


def test_evaluate_restores_the_mode(tmp_path):
    t = toy(tmp_path)
    t.model.train()
    evaluate(t.model, t.test_loader)
    assert t.model.training
    with pytest.raises(ValueError, match="at least one"):
        evaluate(t.model, [])


@pytest.mark.parametrize("broken", ["truncated", "foreign", "another", "place"])
def test_checkpoints_are_not_trusted(tmp_path, broken):
    t = toy(tmp_path)
    t.run(progress=False)
    path = tmp_path / trainer.CHECKPOINT
    if broken == "truncated":
        path.write_bytes(path.read_bytes()[:-7])
    elif broken == "foreign":
        path.write_bytes(b"PK\x03\x04" + bytes(1000))
    elif broken == "another":
        striate.save({"weight": striate.zeros(3)}, path)
    else:
        checkpoint = striate.load(path)
        checkpoint["place"]["epoch"] = 99
        striate.save(checkpoint, path)
    before = {k: v.numpy().copy() for k, v in t.model.state_dict().items()}
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors"):
        t.load_checkpoint()
    assert all(np.array_equal(before[k], v.numpy()) for k, v in t.model.state_dict().items())


def test_the_second_interrupt_is_immediate():
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_in_another_thread_does_nothing():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter():
        with Interrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


# --- pictures -------------------------------------------------------------------------------------


def size(path):
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("epochs", [1, 2, 40])
@pytest.mark.parametrize("flat", [False, True])
def test_curve(tmp_path, epochs, flat):
    rows = [
        trainer.Row(e + 1, 0.0 if flat else 2 / (e + 1), 1.0, 0.5, 0.0 if flat else 0.9, 0.1, 1.0)
        for e in range(epochs)
    ]
    pictures.curve(tmp_path / "a.png", rows, "title")
    assert size(tmp_path / "a.png") == (1500, 630)


@pytest.mark.parametrize("classes", [1, 2, 10, 40])
def test_confusion(tmp_path, classes):
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes))
    evaluation = Evaluation(0.1, float(np.trace(counts) / counts.sum()), counts)
    pictures.confusion(tmp_path / "a.png", evaluation, [str(i) for i in range(classes)], "title")
    assert min(size(tmp_path / "a.png")) > 800


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (7, 3, 5, 5), (16, 1, 3, 3), (256, 784), (5, 784)])
def test_filters(tmp_path, shape):
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weight[0] = 0
    pictures.filters(tmp_path / "a.png", weight, (1, 28, 28), "title")
    assert min(size(tmp_path / "a.png")) > 200


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 32, 32), (2, 17, 23), (1, 4, 4)])
@pytest.mark.parametrize("name", models.MODELS)
def test_models_give_scores(name, shape):
    striate.manual_seed(0)
    scores = models.MODELS[name](shape, 7)(striate.randn(2, *shape))
    assert scores.shape == (2, 7) and np.isfinite(scores.detach().numpy()).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: models.lenet((28, 28)), "channels, height, width"),
        (lambda: models.lenet((1, 3, 8)), r"at least \(1, 4, 4\)"),
        (lambda: models.lenet(classes=0), "classes"),
        (lambda: models.lenet(channels=(6,)), "channels: expected 2 integers"),
        (lambda: models.mlp(hidden=(-1,)), "hidden"),
        (lambda: models.mlp((1, 0, 8)), "input"),
        (lambda: models.lstm((28, 28)), "lstm: input: expected .channels, height, width"),
        (lambda: models.gru(hidden=0), "gru: hidden"),
        (lambda: models.rnn()(striate.zeros(2, 1, 28, 20)), "C W = 28"),
    ],
)
def test_models_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- accuracy -------------------------------------------------------------------------------------


def test_digits_by_default(tmp_path):
    """The command of the README: one seed here, five in examples/digits_accuracy.py."""
    done = finished(command("--out", tmp_path))
    result = json.loads((tmp_path / "digits-lenet" / "config.json").read_text())["result"]
    assert result["test_accuracy"] >= 0.98, done.stdout


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_digits_row_by_row(tmp_path, model):
    """Their own optimizer and clipping, no picture of filters, and what is left can be used."""
    here("--model", model, "--epochs", 6, "--out", tmp_path, "--no-progress")
    folder = tmp_path / f"digits-{model}"
    config = json.loads((folder / "config.json").read_text())
    assert (config["optimizer"], config["clip"]) == ("adamw", 1.0)
    assert config["result"]["test_accuracy"] > 0.8
    assert not (folder / "filters.png").exists()
    assert cli.main(["summary", str(folder)]) == 0


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "epochs", "least"),
    [
        ("lenet", 3, 0.99), ("mlp", 3, 0.975),
        ("lstm", 5, 0.985), ("gru", 5, 0.985), ("rnn", 5, 0.96),
    ],
)  # fmt: skip
def test_mnist(tmp_path, model, epochs, least):
    words = ("--data", "mnist", "--root", ROOT, "--model", model, "--epochs", epochs)
    finished(command(*words, "--out", tmp_path))
    result = json.loads((tmp_path / f"mnist-{model}" / "config.json").read_text())["result"]
    assert result["test_accuracy"] >= least


def test_a_gpu_that_is_not_there_is_one_line(tmp_path):
    done = command("--device", "cuda", "--out", tmp_path, STRIATE_LIBCUDA=str(tmp_path / "none"))
    assert done.returncode == 2 and done.stdout == ""
    first, hint = done.stderr.splitlines()
    assert first.startswith("striate: error: --device cuda: ") and "driver" in first
    assert hint == "  striate doctor says what is here"
    assert not any(tmp_path.iterdir())
