# SPDX-License-Identifier: Apache-2.0
"""Files: what goes in comes out, other readers read them, and broken ones are refused."""

import json
import os
import struct

import numpy as np
import pytest
import striate
from striate import nn
from striate.dtypes import SUPPORTED


def equal(a, b):
    if isinstance(a, striate.Tensor):
        return a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy())
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": striate.ones(2, 3), "b.c": striate.zeros(0, 4)},
        {str(d): striate.ones(3, dtype=d) for d in SUPPORTED},
        {"n": 1, "x": 0.1, "big": 2**70, "none": None, "yes": True, "text": "ä\n", "list": [1, []]},
        {"odd": [float("inf"), -float("inf"), float("nan"), -0.0], "pair": (1, (2.5,))},
        {"state": {0: {"m": striate.ones(2)}, 1: {"m": striate.zeros(())}}},
        {"a": {"b": striate.ones(1)}, "a.b": striate.zeros(1), "__metadata__": striate.ones(2)},
        {"$tensor": "no", "$items": {"$float": 3}},
        [striate.ones(2), {"x": striate.zeros(1)}],
        striate.ones(3),
        3.5,
        "text",
        None,
    ],
    ids=range(13),
)
def test_round_trip(value, tmp_path):
    striate.save(value, tmp_path / "x.safetensors")
    assert equal(striate.load(tmp_path / "x.safetensors"), value)
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_files_are_in_c_order_and_other_readers_read_them(tmp_path):
    from safetensors.numpy import load_file

    x = striate.randn(2, 4, 5, 3).permute(0, 3, 1, 2)
    striate.save({"conv.weight": x, "conv.bias": striate.ones(3)}, tmp_path / "x")
    loaded = load_file(tmp_path / "x")
    assert sorted(loaded) == ["conv.bias", "conv.weight"]
    assert np.array_equal(loaded["conv.weight"], x.numpy())
    assert striate.load(tmp_path / "x")["conv.weight"]._array.flags.c_contiguous


def test_pytorchs_files_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    peer = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Identity(), torch.nn.Linear(3, 2))
    save_file(peer.state_dict(), tmp_path / "x")
    net = nn.Sequential(nn.Linear(4, 3), nn.Identity(), nn.Linear(3, 2))
    net.load_state_dict(striate.load(tmp_path / "x"))
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    expected = peer(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(net(striate.tensor(x)).detach().numpy(), expected, atol=1e-6)
    striate.save(net.state_dict(), tmp_path / "y")
    from safetensors.torch import load_file

    peer.load_state_dict(load_file(tmp_path / "y"))


def test_parameters_are_restored_into_their_own_order(tmp_path):
    layer = nn.Linear(4, 3)
    layer.weight._array = np.asfortranarray(layer.weight._array)
    striate.save(layer.state_dict(), tmp_path / "x")
    before = layer.weight.detach().clone()
    layer.weight.data.zero_()
    layer.load_state_dict(striate.load(tmp_path / "x"))
    assert layer.weight._array.flags.f_contiguous
    assert np.array_equal(layer.weight.detach().numpy(), before.numpy())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    striate.save({"x": striate.ones(2)}, tmp_path / "x")
    import safetensors.numpy

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        striate.save({"x": striate.zeros(2)}, tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"]
    assert striate.load(tmp_path / "x")["x"].numpy().all()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": {"b": object()}}, "save: a.b: expected tensors, numbers, .*got object"),
        ({"a": [1, {2}]}, "save: a.1: expected .*got set"),
        ({"a": {(1, 2): 3}}, r"save: a: expected keys of str or int, got \(1, 2\)"),
        ({"a": 1j}, "save: a: .*got complex"),
        ({"a": np.zeros(2, np.complex64)}, "save: a: expected one of float32, .*got complex64"),
    ],
)
def test_other_values_are_refused(value, words, tmp_path):
    with pytest.raises(TypeError, match=words):
        striate.save(value, tmp_path / "x")
    assert not os.listdir(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        striate.save({}, tmp_path / "nowhere" / "x")
    with pytest.raises(FileNotFoundError):
        striate.load(tmp_path / "x")


def test_endless_nesting_is_refused(tmp_path):
    loop = {}
    loop["again"] = loop
    with pytest.raises(ValueError, match="at most 64 levels"):
        striate.save(loop, tmp_path / "x")


# --- broken files ---------------------------------------------------------------------------------


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


BROKEN = {
    "empty": (b"", "it has 0 bytes"),
    "short": (b"\x01\x02", "it has 2 bytes"),
    "header too long": (file_of(b"{}", length=10**12), "more than 100000000"),
    "header cut": (file_of(b"{}", length=50), "its header would have 50 bytes, and 2 are there"),
    "no JSON": (file_of(b"\xff\xfe{"), "header is not JSON"),
    "deep JSON": (file_of(b"[" * 100000), "header is not JSON"),
    "list": (file_of([]), "no JSON object"),
    "pickle": (b"\x80\x04\x95\x10" + bytes(40), "more than 100000000"),
    "zip": (b"PK\x03\x04" + bytes(40), "bytes"),
    "data cut": (file_of({"a": entry()}, bytes(7)), "its tensors have 8 bytes, and 7 are there"),
    "more data": (file_of({"a": entry()}, bytes(9)), "1 bytes follow its last tensor"),
    "no offsets": (file_of({"a": {"dtype": "F32", "shape": []}}), "'a': expected dtype, shape and"),
    "unknown dtype": (file_of({"a": entry("F8_E4M3")}, bytes(8)), "dtype: expected F32, F64"),
    "list dtype": (file_of({"a": entry(["F32"])}, bytes(8)), "dtype: expected F32, F64"),
    "negative size": (file_of({"a": entry(shape=(-2, -1))}, bytes(8)), "shape: expected a list"),
    "float size": (file_of({"a": entry(shape=(2.0,))}, bytes(8)), "shape: expected a list"),
    "overflow": (
        file_of({"a": entry(shape=(2**33, 2**33, 2**62), offsets=(0, 0))}),
        "has .* bytes, but data_offsets",
    ),
    "wrong length": (file_of({"a": entry(shape=(3,))}, bytes(8)), "has 12 bytes, but data_offsets"),
    "reversed": (file_of({"a": entry(offsets=(8, 0))}, bytes(8)), "has 8 bytes, but data_offsets"),
    "overlap": (
        file_of({"a": entry(), "b": entry()}, bytes(8)),
        "'b' begins at byte 0, expected 8",
    ),
    "gap": (file_of({"a": entry(offsets=(4, 12))}, bytes(12)), "begins at byte 4, expected 0"),
    "twice": (
        file_of(b'{"a": %s, "a": %s}' % ((json.dumps(entry()).encode(),) * 2), bytes(8)),
        "a name stands twice",
    ),
    "foreign structure": (
        file_of({"__metadata__": {"striate.structure": '{"$code": 1}'}}),
        r"holds '\$code' where",
    ),
    "structure without tensor": (
        file_of({"__metadata__": {"striate.structure": '{"$tensor": "a"}'}}),
        r"holds '\$tensor' where",
    ),
    "structure no JSON": (file_of({"__metadata__": {"striate.structure": "{"}}), "load: "),
    "unhashable reference": (
        file_of({"__metadata__": {"striate.structure": '{"$tensor": [1]}'}}),
        "load: ",
    ),
    "metadata no text": (file_of({"__metadata__": {"striate.structure": 3}}), "load: "),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_refused(kind, tmp_path):
    data, words = BROKEN[kind]
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        striate.load(tmp_path / "x.safetensors")
    text = str(caught.value)
    assert "x.safetensors" in text and len(text) < 600 and text.count("\n") < 2


def test_every_truncation_is_refused(tmp_path):
    striate.save({"a": striate.ones(3), "n": 3}, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    for n in range(len(whole)):
        (tmp_path / "y").write_bytes(whole[:n])
        with pytest.raises(ValueError, match="load: "):
            striate.load(tmp_path / "y")


def test_changed_bytes_give_values_or_value_errors(tmp_path):
    value = {"a": striate.ones(3), "b": {0: [1.5, None, (striate.zeros(2, 2), "x")]}}
    striate.save(value, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        (tmp_path / "y").write_bytes(data)
        try:
            striate.load(tmp_path / "y")
        except ValueError:
            refused += 1
    assert refused > 200
