# SPDX-License-Identifier: Apache-2.0
"""Which method a convolution takes: the model, and records of what measured fastest."""

import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import _C, autotune

X, W = (1, 20, 9, 8), (24, 20, 3, 3)
OPTIONS = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def images(shape, seed):
    n, c, h, w = shape
    values = np.random.default_rng(seed).standard_normal((n, h, w, c))
    return values.astype(np.float32).transpose(0, 3, 1, 2)


def convolve(way=None):
    with _C.pin_rows([f"conv2d_fwd_f32_{way}"]) if way else nullcontext():
        return _C.conv2d(images(X, 0), images(W, 1), None, **OPTIONS)


@pytest.fixture
def tuned(tmp_path):
    file = tmp_path / "deep" / "conv.txt"
    striate.set_autotune(True, file)
    yield file
    striate.set_autotune(False)


def test_the_first_call_of_a_shape_is_put_on_record(tuned):
    assert striate.get_autotune()
    assert not tuned.read_text()
    first = convolve()
    (line,) = tuned.read_text().splitlines()
    cpu, isa, problem, row, micros = line.split("\t")
    assert (cpu, isa) == (_C.cpu_name(), _C.isa())
    assert problem.startswith("conv2d_fwd float32 1 20 9 8 24 3 3 9 8")
    assert float(micros) > 0
    np.testing.assert_array_equal(first, convolve())
    np.testing.assert_array_equal(first, convolve(row.split("_f32_")[1]))
    assert len(tuned.read_text().splitlines()) == 1
    found = striate.conv_algorithm(X, W, padding=1, measure=False)
    assert "on record" in found.reason
    assert row.endswith(found.method)


@pytest.mark.parametrize("way", ["implicit", "rows", "winograd_f2x2", "winograd_f4x4"])
def test_a_record_decides(tuned, way):
    convolve()
    line = tuned.read_text()
    row = line.split("\t")[3]
    other = line.replace(row, f"conv2d_fwd_f32_{way}")
    striate.set_autotune(False)
    tuned.write_text("no line of ours\n\t\t\n" + line + other)  # the later one holds
    striate.set_autotune(True, tuned)
    np.testing.assert_array_equal(convolve(), convolve(way))
    assert tuned.read_text().count("\n") == 4  # nothing was measured again


def test_records_of_other_machines_and_versions_are_measured_again(tuned):
    convolve()
    line = tuned.read_text()
    row = line.split("\t")[3]
    for foreign in (
        line.replace(_C.cpu_name(), "Abacus"),
        line.replace(row, "conv2d_fwd_f32_gone"),
    ):
        striate.set_autotune(False)
        tuned.write_text(foreign)
        striate.set_autotune(True, tuned)
        convolve()
        assert tuned.read_text().count("\n") == 2


def test_all_passes_and_precisions_are_apart(tuned):
    before = striate.get_float32_precision()
    x, w = (
        striate.tensor(images(X, 0), requires_grad=True),
        striate.tensor(images(W, 1), requires_grad=True),
    )
    striate.nn.functional.conv2d(x, w, padding=1).sum().backward()
    passes = [line.split("\t")[2].split()[0] for line in tuned.read_text().splitlines()]
    assert sorted(passes) == ["conv2d_bwd_data", "conv2d_bwd_weight", "conv2d_fwd"]
    try:
        striate.set_float32_precision("highest")
        convolve()
    finally:
        striate.set_float32_precision(before)
    last = tuned.read_text().splitlines()[-1]
    assert last.split("\t")[2].endswith("highest")
    assert "f4x4" not in last


def test_without_a_file_records_live_in_the_process():
    striate.set_autotune(True, "")
    try:
        first = convolve()
        np.testing.assert_array_equal(first, convolve())
        assert "on record" in striate.conv_algorithm(X, W, padding=1, measure=False).reason
    finally:
        striate.set_autotune(False)
    assert "on record" not in striate.conv_algorithm(X, W, padding=1, measure=False).reason


def test_conv_algorithm_says_what_and_why():
    found = striate.conv_algorithm(X, W, padding=1)
    assert {c.method for c in found.candidates} == {
        "winograd_f4x4", "winograd_f2x2", "rows", "patches", "implicit",
    }  # fmt: skip
    assert all(c.predicted > 0 and c.measured > 0 for c in found.candidates)
    least = min(found.candidates, key=lambda c: c.predicted)
    assert found.method == least.method
    assert found.reason == "the model's least time"
    assert str(found).splitlines()[0].startswith(found.method)
    assert len(str(found).splitlines()) == 2 + len(found.candidates)
    only = striate.conv_algorithm((1, 8, 6, 6), (4, 4, 3, 3), groups=2, dtype=striate.float64)
    assert only.method == "implicit"
    assert "no other" in only.reason
    for direction in ("bwd_data", "bwd_weight"):
        one = striate.conv_algorithm(X, W, padding=1, direction=direction, measure=False)
        assert one.candidates[0].measured is None


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (((1, 3, 8), W), {}, ValueError, "input: expected a shape of four sizes"),
        ((X, (4, 3, 0, 3)), {}, ValueError, "weight: expected 1 or more"),
        ((X, (4, 3, 3, 3)), {}, ValueError, "weight"),
        ((X, W), {"direction": "up"}, ValueError, "direction: expected one of"),
        ((X, W), {"dtype": striate.int32}, TypeError, "dtype: expected float32 or float64"),
        ((X, W), {"stride": 0}, ValueError, "stride"),
        (((1, 20, 2, 2), W), {}, ValueError, "padded height"),
    ],
)
def test_conv_algorithm_refuses(arguments, options, error, words):
    with pytest.raises(error, match=words):
        striate.conv_algorithm(*arguments, **options)


def test_set_autotune_refuses(tmp_path):
    with pytest.raises(TypeError, match="set_autotune: on: expected True or False, got 1"):
        striate.set_autotune(1)
    with pytest.raises(OSError, match=r"set_autotune: file: .*can't be written"):
        striate.set_autotune(True, tmp_path)
    assert not striate.get_autotune()


@pytest.mark.slow
def test_the_model_is_near_the_quickest():
    """Within 15 % of the quickest method on nine of ten of the suite's layers."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    from conv_choice import choices

    before = striate.get_num_threads()
    striate.set_num_threads(1)
    try:
        ratios = [choice.ratio for choice in choices()]
    finally:
        striate.set_num_threads(before)
    assert len(ratios) > 300
    assert np.mean(np.array(ratios) <= 1.15) >= 0.9


# --- workspace ------------------------------------------------------------------------------------


@pytest.fixture
def workspace():
    yield striate.set_conv_workspace
    striate.set_conv_workspace(2**26)


LAYERS = [
    ((2, 40, 60, 50), (72, 40, 3, 3), {}),
    ((1, 256, 7, 7), (256, 256, 3, 3), {}),
    ((3, 3, 90, 80), (64, 3, 3, 3), {}),
    ((2, 48, 30, 31), (40, 48, 5, 5), {}),
    ((2, 96, 28, 28), (80, 96, 1, 1), {"stride": 2}),
    ((2, 60, 40, 40), (60, 1, 3, 3), {"groups": 60}),
    ((4, 320, 40, 40), (320, 320, 3, 3), {}),  # Winograd's tiles in sections
]


@pytest.mark.parametrize("direction", ["fwd", "bwd_data", "bwd_weight"])
@pytest.mark.parametrize(("x", "w", "options"), LAYERS)
def test_methods_take_what_they_say(direction, x, w, options):
    threads = striate.get_num_threads()
    striate.set_num_threads(1)
    try:
        pad = {"padding": w[2] // 2}
        found = striate.conv_algorithm(
            x, w, direction=direction, measure=False, **pad, **options
        ).candidates
        call = autotune._caller(
            x, w, direction, np.float32,
            {"stride": (options.get("stride", 1),) * 2, "padding": ((w[2] // 2,) * 2,) * 2,
             "dilation": (1, 1), "groups": options.get("groups", 1)},
        )  # fmt: skip
        for candidate in found:
            with _C.pin_rows([f"conv2d_{direction}_f32_{candidate.method}"]):
                before = _C.memory_stats()["in_use"]
                _C.memory_reset_peak()
                result = call()
                taken = _C.memory_stats()["peak"] - before - result.nbytes
            # Blocks of the pool are up to a quarter larger; a thread's own are of L2's size.
            own = 2.5 * 2**20
            assert taken <= 1.25 * (candidate.workspace + result.nbytes / 4) + own, candidate
            assert candidate.workspace <= 1.25 * taken + own, candidate
    finally:
        striate.set_num_threads(threads)


def test_methods_that_take_more_are_left_out(workspace):
    x, w = (1, 256, 7, 7), (256, 256, 3, 3)
    found = striate.conv_algorithm(x, w, padding=1, measure=False).candidates
    least = min(c.workspace for c in found if c.method != "implicit")
    assert {c.method for c in found} > {"winograd_f2x2", "implicit"}
    workspace(least - 1)
    assert striate.get_conv_workspace() == least - 1
    (left,) = striate.conv_algorithm(x, w, padding=1, measure=False).candidates
    assert left.method == "implicit" and left.workspace <= least


@pytest.mark.parametrize("groups", [1, 2])
def test_filters_are_packed_in_parts(workspace, groups):
    """Of 100 channels and filters, a panel at a time: the same sums."""
    rng = np.random.default_rng(0)
    x = images((2, 100, 9, 8), 0)
    w = rng.standard_normal((100, 3, 3, 100 // groups), np.float32).transpose(0, 3, 1, 2)
    dy, bias = images((2, 100, 5, 4), 1), rng.standard_normal(100, np.float32)
    options = {**OPTIONS, "stride": (2, 2), "groups": groups}

    def both():
        with _C.pin_rows(["conv2d_fwd_f32_implicit", "conv2d_bwd_data_f32_implicit"]):
            y = _C.conv2d(x, w, bias, **options)
            return y, _C.conv2d_bwd_data(dy, w, size=(9, 8), bias=bias, **options)

    whole = both()
    for limit in (0, 40 * 900 * 4):
        workspace(limit)
        for a, b in zip(whole, both(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_file_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE_DIR", str(tmp_path / "kept"))
    striate.set_autotune(True)
    striate.set_autotune(False)
    assert (tmp_path / "kept" / "conv.txt").is_file()
