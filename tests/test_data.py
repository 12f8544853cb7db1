# SPDX-License-Identifier: Apache-2.0
"""Datasets, loader and readers: what they give, and what they refuse."""

import gzip
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import data
from striate.data import DataLoader, Dataset, Subset, TensorDataset

ROOT = os.environ.get("STRIATE_DATA")
needs_data = pytest.mark.skipif(not ROOT, reason="STRIATE_DATA is not set")


def numbers(n):
    return TensorDataset(np.arange(n, dtype=np.float32).reshape(n, 1), np.arange(n))


class Slow(Dataset):
    """Samples that take an uneven time, one of which may fail."""

    def __init__(self, n=23, bad=None, error=ValueError):
        self.n, self.bad, self.error = n, bad, error

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(0.002 * (index % 3))
        if index == self.bad:
            raise self.error("torn")
        return index, float(index)


# --- datasets and splits --------------------------------------------------------------------------


def test_tensor_dataset():
    d = numbers(5)
    x, y = d[-1]
    assert (len(d), x.tolist(), y.item()) == (5, [4.0], 4)
    with pytest.raises(IndexError, match="index: expected below 5, got 5"):
        d[5]
    with pytest.raises(ValueError, match="tensor 1: expected 5 samples as in tensor 0, got 4"):
        TensorDataset(np.zeros(5), np.zeros(4))
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()
    with pytest.raises(ValueError, match="axis of samples"):
        TensorDataset(np.float32(1))


def test_subset():
    s = Subset(numbers(9), [7, 3])
    assert [int(y) for _, y in s] == [7, 3]
    assert s.batch(np.array([1]))[1].tolist() == [3]
    with pytest.raises(IndexError, match=r"indices\[1\]: expected 0 to 8, got 9"):
        Subset(numbers(9), [0, 9])
    with pytest.raises(TypeError, match="list of integers"):
        Subset(numbers(9), [0.5])


def test_random_split():
    parts = data.random_split(numbers(10), [0.75, 0.25], seed=1)
    assert [len(p) for p in parts] == [8, 2]
    assert sorted(int(y) for p in parts for _, y in p) == list(range(10))
    again = data.random_split(numbers(10), [8, 2], seed=1)
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(parts, again, strict=True))
    with pytest.raises(ValueError, match="sum of 10"):
        data.random_split(numbers(10), [8, 1])
    with pytest.raises(ValueError, match="sum of 1"):
        data.random_split(numbers(10), [0.8, 0.1])
    with pytest.raises(ValueError, match="0 or more"):
        data.random_split(numbers(10), [11, -1])


def test_stratified_split():
    labels = np.repeat([0, 1, 2], [50, 30, 10])
    kept, held = data.stratified_split(TensorDataset(np.zeros((90, 1)), labels), 0.2, seed=3)
    assert np.bincount(labels[held.indices]).tolist() == [10, 6, 2]
    assert sorted([*kept.indices, *held.indices]) == list(range(90))
    other = data.stratified_split(TensorDataset(np.zeros((90, 1)), labels), 0.2, seed=4)[1]
    assert not np.array_equal(held.indices, other.indices)
    with pytest.raises(ValueError, match="fraction: expected between 0 and 1, got 1"):
        data.stratified_split(numbers(4), 1)
    with pytest.raises(ValueError, match="class 0: expected 2 samples"):
        data.stratified_split(numbers(4), 0.5)
    with pytest.raises(TypeError, match="labels"):
        data.stratified_split(Slow(), 0.5)


# --- the loader -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [numbers(23), Slow(23)], ids=["tensors", "samples"])
def test_order_is_a_function_of_seed_and_epoch(dataset):
    def epochs(workers, seed=5):
        loader = DataLoader(dataset, 4, shuffle=True, num_workers=workers, seed=seed)
        return [[b[-1].tolist() for b in loader] for _ in range(2)]

    first, second = epochs(0)
    assert first != second
    assert sorted(i for b in first for i in b) == list(range(23))
    for workers in (1, 3):
        assert epochs(workers) == [first, second]
    assert epochs(0, seed=6)[0] != first
    loader = DataLoader(dataset, 4, shuffle=True, num_workers=3, seed=5)
    assert [b[-1].tolist() for b in loader.batches(1, start=3)] == second[3:]
    loader.set_epoch(1)
    assert [b[-1].tolist() for b in loader] == second


def test_transform_is_a_function_of_seed_epoch_and_batch():
    def values(workers, start=0):
        loader = DataLoader(
            numbers(20),
            4,
            num_workers=workers,
            seed=9,
            transform=lambda batch, random: random.standard_normal(len(batch[1])).tolist(),
        )
        return list(loader.batches(2, start))

    whole = values(0)
    assert len({tuple(v) for v in whole}) == 5
    assert values(3) == whole and values(1, 2) == whole[2:]


def test_lengths_and_drop_last():
    assert [len(b[0]) for b in DataLoader(numbers(10), 4)] == [4, 4, 2]
    loader = DataLoader(numbers(10), 4, drop_last=True)
    assert [len(b[0]) for b in loader] == [4, 4] and len(loader) == 2


def test_seed_comes_from_the_library_stream():
    striate.manual_seed(3)
    first = DataLoader(numbers(10), 2, shuffle=True).seed
    striate.manual_seed(3)
    assert DataLoader(numbers(10), 2, shuffle=True).seed == first


class Odd(Exception):
    def __init__(self, a, b, c):
        super().__init__(a, b, c)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_samples_error_reaches_the_caller(workers):
    got = []
    with pytest.raises(ValueError, match="DataLoader: sample 9: torn"):
        for indices, _ in DataLoader(Slow(bad=9), 2, num_workers=workers):
            got += indices.tolist()
    assert got == list(range(8))
    odd = Slow(bad=0, error=lambda m: Odd(m, 1, 2))
    with pytest.raises(RuntimeError, match="sample 0: Odd"):
        list(DataLoader(odd, 2, num_workers=workers))


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("striate-loader")]


def test_leaving_early_stops_the_workers():
    for _ in DataLoader(Slow(), 2, num_workers=3):
        break
    batches = iter(DataLoader(Slow(), 2, num_workers=3))
    next(batches)
    assert loader_threads()
    del batches
    assert not loader_threads()


def test_prefetch_is_bounded():
    loaded = []

    class Counting(Slow):
        def __getitem__(self, index):
            loaded.append(index)
            return super().__getitem__(index)

    batches = iter(DataLoader(Counting(200), 1, num_workers=2, prefetch_factor=2))
    next(batches)
    time.sleep(0.1)
    assert len(loaded) <= 5
    batches.close()


def test_interrupt_stops_the_workers():
    code = """
import os, signal, threading, time
from test_data import DataLoader, Slow, loader_threads
try:
    for i, _ in enumerate(DataLoader(Slow(500), 2, num_workers=2)):
        if i == 3:
            os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("stopped", len(loader_threads()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "stopped 0\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_size": 0}, "batch_size: expected an integer of 1 or more, got 0"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"num_workers": -1}, "num_workers: expected an integer of 0 or more, got -1"),
        ({"prefetch_factor": 0}, "prefetch_factor"),
        ({"seed": -1}, "seed"),
    ],
)
def test_loader_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        DataLoader(numbers(3), **arguments)


def test_loader_refuses_datasets():
    with pytest.raises(ValueError, match="at least one sample"):
        DataLoader(numbers(0))
    with pytest.raises(TypeError, match="__len__"):
        DataLoader(iter([]))


def test_collate():
    batch = data.default_collate([{"a": 1, "b": (2.0, "x")}, {"a": 3, "b": (4.0, "y")}])
    assert batch["a"].tolist() == [1, 3] and batch["a"].dtype == np.int64
    assert batch["b"][0].dtype == np.float32 and batch["b"][1] == ["x", "y"]
    with pytest.raises(ValueError, match=r"sample 1 of the batch: expected shape \(2,\)"):
        data.default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="expected 2 fields"):
        data.default_collate([(1, 2), (1,)])
    with pytest.raises(ValueError, match="at least one"):
        data.default_collate([])


# --- transforms -----------------------------------------------------------------------------------


def test_affine_that_does_nothing_is_the_identity():
    images = np.random.default_rng(0).random((3, 2, 7, 5), np.float32)
    got = data.RandomAffine()(images, np.random.default_rng(1))
    assert np.allclose(got, images, atol=1e-6)


def test_affine_shift_moves_and_fills_with_paper():
    images = np.ones((40, 1, 8, 8), np.float32)
    moved = data.RandomAffine(shift=2)(images, np.random.default_rng(1))
    assert moved.min() == 0 and moved.max() == 1
    assert np.allclose(moved[:, :, 2:6, 2:6], 1)


def test_affine_against_a_loop():
    random = np.random.default_rng(2)
    image = random.random((6, 7))
    y, x = random.uniform(-2, 9, (2, 1, 4, 5))
    got = data.transforms._bilinear(image[None, None], y, x)[0, 0]

    def pixel(i, j):
        return image[i, j] if 0 <= i < 6 and 0 <= j < 7 else 0.0

    for p in range(4):
        for q in range(5):
            a, b = y[0, p, q], x[0, p, q]
            i, j = int(np.floor(a)), int(np.floor(b))
            wanted = sum(
                (1 - abs(a - k)) * (1 - abs(b - m)) * pixel(k, m)
                for k in (i, i + 1)
                for m in (j, j + 1)
            )
            assert abs(got[p, q] - wanted) < 1e-5


def test_normalize():
    got = data.Normalize(8, 4)(np.array([[0, 16]], np.uint8))
    assert got.dtype == np.float32 and got.tolist() == [[-2, 2]]
    for mean, std in ((0, 0), (float("nan"), 1), (0, float("inf"))):
        with pytest.raises(ValueError, match="Normalize"):
            data.Normalize(mean, std)


# --- idx ------------------------------------------------------------------------------------------

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        bytes([0, 0, code, array.ndim])
        + sizes
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_reads(tmp_path, code, packed):
    for shape in ((5,), (2, 3, 4), (0, 3)):
        array = (np.random.default_rng(1).random(shape) * 100).astype(code)
        raw = idx_bytes(array)
        (tmp_path / "a").write_bytes(gzip.compress(raw) if packed else raw)
        got = data.read_idx(tmp_path / "a")
        assert got.dtype == array.dtype and got.dtype.isnative and np.array_equal(got, array)


@pytest.mark.parametrize("packed", [False, True])
def test_every_truncation_is_refused(tmp_path, packed):
    raw = idx_bytes(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    raw = gzip.compress(raw, mtime=0) if packed else raw
    for n in range(len(raw)):
        (tmp_path / "a").write_bytes(raw[:n])
        with pytest.raises(ValueError, match=r"read_idx: .*(truncated|expected|broken)"):
            data.read_idx(tmp_path / "a")


def test_every_changed_byte_is_read_or_refused(tmp_path):
    for raw in (
        idx_bytes(np.arange(60, dtype=np.uint8).reshape(3, 4, 5)),
        gzip.compress(idx_bytes(np.arange(60, dtype=np.uint8)), mtime=0),
    ):
        for n in range(len(raw)):
            for flip in (0x01, 0x80, 0xFF):
                broken = bytearray(raw)
                broken[n] ^= flip
                (tmp_path / "a").write_bytes(broken)
                try:
                    data.read_idx(tmp_path / "a")
                except ValueError as error:
                    assert "read_idx: " in str(error)


def header(code, *sizes):
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "expected an idx file .* got the bytes 89 50 4e 47"),
        (b"", "got 0 bytes: truncated"),
        (header(0x08, 3) + bytes(4), "trailing bytes"),
        (header(0x07, 3) + bytes(3), "expected an idx file"),
        (header(0x08) + bytes(3), "axes 1 to 8"),
        (header(0x0E, *[0xFFFFFFFF] * 8), "max_bytes"),
        (header(0x08, 1 << 31) + bytes(10), "more than the file can hold"),
    ],
)
def test_idx_refuses(tmp_path, raw, words):
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(ValueError, match=words):
        data.read_idx(tmp_path / "a")


def test_idx_gzip_bomb(tmp_path):
    bomb = gzip.compress(header(0x08, 10) + bytes(50_000_000))
    (tmp_path / "a.gz").write_bytes(bomb)
    with pytest.raises(ValueError, match="trailing bytes"):
        data.read_idx(tmp_path / "a.gz")
    claims = gzip.compress(header(0x08, 1 << 31) + bytes(1000))
    (tmp_path / "b.gz").write_bytes(claims)
    with pytest.raises(ValueError, match="more than the file can hold"):
        data.read_idx(tmp_path / "b.gz")
    honest = gzip.compress(header(0x08, 50_000_000) + bytes(50_000_000))
    (tmp_path / "c.gz").write_bytes(honest)
    with pytest.raises(ValueError, match="50000000 bytes; expected at most max_bytes=1000000"):
        data.read_idx(tmp_path / "c.gz", max_bytes=1_000_000)


def test_idx_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        data.read_idx(tmp_path / "none")
    with pytest.raises(ValueError, match="got a folder"):
        data.read_idx(tmp_path)


# --- the known datasets ---------------------------------------------------------------------------

FILES = {
    "train-images-idx3-ubyte": np.zeros((4, 28, 28), np.uint8),
    "train-labels-idx1-ubyte": np.arange(4, dtype=np.uint8),
    "t10k-images-idx3-ubyte": np.zeros((2, 28, 28), np.uint8),
    "t10k-labels-idx1-ubyte": np.arange(2, dtype=np.uint8),
}


def mnist_folder(root, **changed):
    root.mkdir(parents=True, exist_ok=True)
    for i, (name, array) in enumerate(FILES.items()):
        raw = idx_bytes(changed.get(name.split("-idx")[0].replace("-", "_"), array))
        packed = i % 2 == 0
        (root / (name + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)
    return root


@pytest.mark.parametrize("under", [".", "mnist", "MNIST/raw"])
def test_mnist_folder(tmp_path, under):
    mnist_folder(tmp_path / under)
    train, test = data.mnist(tmp_path)
    assert train.tensors[0].shape == (4, 1, 28, 28) and test.tensors[1].tolist() == [0, 1]


def test_mnist_refuses(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        data.mnist(tmp_path / "none")
    with pytest.raises(ValueError, match=r"missing: train-images.*t10k-labels"):
        data.mnist(tmp_path)
    folder = mnist_folder(tmp_path / "a")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing: t10k-labels-idx1-ubyte$"):
        data.mnist(folder)
    for i, (changed, words) in enumerate(
        [
            ({"train_images": np.zeros((4, 8, 8), np.uint8)}, r"expected uint8 \(N, 28, 28\)"),
            ({"train_labels": np.zeros(3, np.uint8)}, "label for each of 4 images"),
            ({"t10k_labels": np.array([0, 10], np.uint8)}, "label 1: expected 0 to 9, got 10"),
        ]
    ):
        with pytest.raises(ValueError, match=words):
            data.mnist(mnist_folder(tmp_path / f"b{i}", **changed))


def test_digits():
    images, labels = data.digits().tensors
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.uint8
    assert int(images.max()) == 16 and np.bincount(labels.numpy()).min() == 174


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r'pip install "striate\[train\]"'):
        data.digits()


@needs_data
def test_real_mnist():
    train, test = data.mnist(ROOT)
    assert (len(train), len(test)) == (60000, 10000)
    assert train.tensors[1][:5].tolist() == [5, 0, 4, 1, 9]
    assert abs(float(train.tensors[0].numpy().mean()) - 33.318) < 0.01
