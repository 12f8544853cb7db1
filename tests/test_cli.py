# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, and how it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from striate import _C, cli, doctor, report
from striate.testing.cases import CASES


def striate(*words, **variables):
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "striate", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **variables},
    )


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command in this process: (status, stdout, stderr)."""
    monkeypatch.delenv("STRIATE_DEBUG", raising=False)

    def call(*words):
        status = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def refused(result, *words):
    """Exit status 2, one or two lines, no traceback, nothing on stdout; the words are there."""
    status, out, err = result
    assert (status, out) == (2, ""), f"{status} {out} {err}"
    assert err.startswith("striate: error: ") and err.count("\n") <= 2 and "Traceback" not in err
    for word in words:
        assert word in err, f"{word!r} is not in {err!r}"


def test_installed_command():
    done = subprocess.run(["striate", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("striate 0.")


def test_help_teaches(run, capsys):
    status, out, _ = run()
    assert status == 0 and all(name in out for name in cli.COMMANDS)
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as left:
            cli.main([name, "--help"])
        assert left.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) > 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kernel", ["unknown command 'kernel'", "did you mean kernels?"]),
        ("banana", ["unknown command 'banana'", "commands: ", "doctor"]),
        ("info more", ["unknown argument 'more'"]),
        ("kernels --oop gemm", ["unknown option '--oop'; did you mean --op?"]),
        ("kernels --op", ["--op: expected one argument"]),
        ("kernels --op nothing", ["--op: expected one of", "gemm", "got 'nothing'"]),
        ("kernels --isa sse9", ["--isa: expected one of", "avx2", "got 'sse9'"]),
        ("--nonsense", ["unknown option '--nonsense'"]),
        ("train --epochs 0", ["--epochs: expected an integer from 1", "got '0'"]),
        ("train --epochs -3", ["--epochs"]),
        ("train --epochs two", ["--epochs", "got 'two'"]),
        ("train --batch-size 0", ["--batch-size", "got '0'"]),
        ("train --batch-size 1.5", ["--batch-size", "got '1.5'"]),
        ("train --lr nan", ["--lr: expected a finite number above 0, got 'nan'"]),
        ("train --lr inf", ["--lr", "got 'inf'"]),
        ("train --lr 0", ["--lr", "got '0'"]),
        ("train --lr -0.1", ["--lr"]),
        ("train --lr fast", ["--lr", "got 'fast'"]),
        ("train --seed -1", ["--seed"]),
        ("train --threads 0", ["--threads", "got '0'"]),
        ("train --model lenett", ["--model: expected lenet or mlp or", "'lenett'", "mean lenet?"]),
        ("train --data cifar", ["--data: expected digits or mnist, got 'cifar'"]),
        ("train --epoch 3", ["unknown option '--epoch'; did you mean --epochs?"]),
        ("train --data mnist", ["--root", "STRIATE_DATA"]),
        ("train --root x", ["--root: digits needs none"]),
        ("train --data mnist --root /none/such", ["/none/such", "no such folder"]),
        ("train --name a/b", ["--name", "'a/b'"]),
        ("train --name ..", ["--name"]),
        ("train --out /dev/null/x", ["/dev/null/x: not a directory"]),
        ("train --optimizer adan", ["--optimizer", "adamw", "did you mean adam?"]),
        ("train --schedule cosin", ["--schedule", "onecycle", "did you mean cosine?"]),
        ("train --clip 0", ["--clip", "above 0"]),
        ("train --resume none --clip 1", ["--resume", "--clip"]),
        ("train --resume none", ["none: no such run"]),
        ("train --resume none --lr 0.1 --epochs 3", ["--resume", "--epochs, --lr"]),
        ("predict", ["RUN, IMAGE"]),
        ("predict none x.png", ["none: no such run", "striate train"]),
        ("predict none x.png --top 0", ["--top"]),
        ("summary vgg", ["lenet, mlp", "'vgg'"]),
        ("summary lenet --input 28x28", ["--input: expected CHANNELSxHEIGHTxWIDTH", "'28x28'"]),
        ("summary lenet --input 1x0x8", ["--input", "1x0x8"]),
        ("summary lenet --input 99999x99999x99999", ["--input", "99999"]),
        ("summary lenet --input 1x3x3", ["lenet: input", "(1, 3, 3)"]),
    ],
)
def test_usage_errors(run, tmp_path, monkeypatch, line, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    refused(run(*line.split()), *words)
    assert not list(tmp_path.glob("runs/*")), "a refused command left a folder"


def test_isa_nonsense():
    done = striate("info", STRIATE_ISA="mmx")
    refused((done.returncode, done.stdout, done.stderr), "STRIATE_ISA", "avx512", "'mmx'")


def test_debug_shows_the_traceback():
    done = striate("kernels", "--op", "x", STRIATE_DEBUG="1")
    assert "Traceback" in done.stderr


def test_closed_pipe():
    line = f"{sys.executable} -m striate kernels | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("op ") and done.stderr == ""


def test_info(run):
    status, out, _ = run("info")
    assert status == 0
    for word in ("version", "cpu", "isa", _C.isa(), "threads", "memory", "tqdm"):
        assert word in out


def test_info_names_missing_packages(run, monkeypatch):
    monkeypatch.setattr(report, "installed", lambda package: "")
    assert 'missing; pip install "striate[train]"' in run("info")[1]


def test_kernels_lists_every_row(run):
    status, out, _ = run("kernels")
    lines = {line.split()[2]: line for line in out.splitlines() if len(line.split()) >= 6}
    assert status == 0
    for row in _C.rows():
        assert (row["why_not"] or "yes") in lines[row["name"]]
    assert f"{len(_C.rows())} rows" in out


def test_kernels_filters(run):
    rows = [r for r in _C.rows() if r["op"] == "gemm" and r["isa"] == "scalar"]
    _, out, _ = run("kernels", "--op", "gemm", "--isa", "scalar")
    assert len(out.strip().splitlines()) == len(rows) + 3
    assert f"{len(rows)} of {len(_C.rows())} rows" in out


def test_kernels_says_why_not():
    done = striate("kernels", "--isa", "avx512", STRIATE_ISA="scalar")
    assert "yes" not in done.stdout and ", 0 can run here; scalar in use" in done.stdout


def test_doctor(run):
    status, out, err = run("doctor")
    assert status == 0, out
    assert "all kernels that can run here compute right" in out and err == ""
    assert all(op in out for op in {r["op"] for r in _C.rows()})


def test_doctor_says_what_it_has_not_seen(run, monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda package: "")
    status, out, _ = run("doctor")
    assert status == 0 and re.search(r"cast +unseen 0 of", out), out
    assert "gemm         ok" in out and "but for those unseen: bfloat16 needs" in out


def test_doctor_finds_a_wrong_kernel(run, monkeypatch):
    case = next(c for c in CASES if c.name == "matmul")

    def wrong(a, b, out=None):
        return np.nextafter(_C.gemm(a, b), np.inf) + np.float32(1e-3)

    broken = type(case)(**{**vars(case), "kernel": wrong})
    monkeypatch.setattr("striate.testing.cases.CASES", [broken])
    status, out, _ = run("doctor")
    assert status == 1 and "gemm         WRONG" in out and "off by 0.001" in out


def test_doctor_notes(monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda package: "")
    assert all(not good and "pip install" in line for good, line in doctor.packages())
    _C.set_num_threads(doctor.usable_cpus() + 1)
    assert any(not good and "STRIATE_NUM_THREADS" in line for good, line in doctor.machine())


def test_a_terminal_without_utf8():
    done = striate("summary", "lenet", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "Conv2d" in done.stdout


# --- runs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished run on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    words = ["train", "--epochs", "5", "--out", folder.parent, "--name", "a", "--no-progress"]
    assert cli.main([str(w) for w in words]) == 0
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "b"))


def pictures(folder, count=20):
    """Held-out digits as a user might send them: dark on light, large, off the centre."""
    from striate.data import digits, stratified_split

    images, labels = stratified_split(digits(), 0.2, 0)[1].batch(np.arange(count))
    for i, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
        page = np.full((200, 260), 235, np.uint8)
        page[30:158, 90:218] = 235 - np.kron(image[0], np.ones((16, 16))).astype(np.uint8) * 13
        path = folder / f"{i}.png"
        Image.fromarray(page).convert("RGB" if i % 2 else "L").save(path)
        yield path, label


def test_predict_recognises_digits(run, trained, tmp_path):
    paths, labels = zip(*pictures(tmp_path), strict=True)
    status, out, _ = run("predict", trained, *paths, "--top", 1)
    lines = out.splitlines()
    assert status == 0 and lines[::2] == [str(p) for p in paths]
    answers = [int(line.split()[0]) for line in lines[1::2]]
    assert sum(a == b for a, b in zip(answers, labels, strict=True)) >= 17
    assert all(line.split()[1].endswith("%") for line in lines[1::2])


def test_predict_takes_the_nets_own_size(run, trained, tmp_path):
    from striate.data import digits

    image, label = digits().tensors[0].numpy()[0, 0], 0
    Image.fromarray((image * 15).astype(np.uint8)).save(tmp_path / "x.png")
    _, out, _ = run("predict", trained, tmp_path / "x.png")
    assert len(out.splitlines()) == 4 and int(out.splitlines()[1].split()[0]) == label


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16", "F"])
def test_predict_reads_every_kind_of_image(run, trained, tmp_path, mode):
    grey = np.zeros((40, 40), np.float32)
    grey[8:32, 18:23] = 1
    if mode in ("I;16", "F"):
        image = Image.fromarray((grey * 60000).astype(np.uint16 if mode == "I;16" else np.float32))
    else:
        image = Image.fromarray((grey * 255).astype(np.uint8)).convert(mode)
    path = tmp_path / ("x.png" if mode not in ("CMYK", "F") else "x.tif")
    image.save(path)
    assert run("predict", trained, path)[0] == 0


def test_predict_refuses(run, trained, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(np.full((50, 50), 200, np.uint8)).save(tmp_path / "blank.png")
    good = next(pictures(tmp_path, 1))[0]
    (tmp_path / "torn.png").write_bytes(good.read_bytes()[:60])
    for name, word in (
        ("none.png", "no such file"),
        (".", "got a folder"),
        ("text.png", "not an image"),
        ("torn.png", "torn.png"),
        ("blank.png", "the image is blank"),
    ):
        refused(run("predict", trained, good, tmp_path / name), word)


def test_predict_refuses_huge_images(run, trained, tmp_path):
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    refused(run("predict", trained, tmp_path / "bomb.png"), "bomb.png", "pixels")


def edit(path, **changed):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_predict_refuses_broken_runs(run, copied, tmp_path):
    image = next(pictures(tmp_path, 1))[0]
    config, weights = copied / "config.json", copied / "model.safetensors"
    text, content = config.read_text(), weights.read_bytes()
    for damage, words in (
        (lambda: config.write_text("{"), ["config.json", "JSON"]),
        (lambda: config.write_text("[1]"), ["config.json", "JSON object"]),
        (lambda: config.write_text("{}"), ["config.json"]),
        (lambda: config.write_text("[" * 100_000), ["config.json"]),
        (lambda: edit(config, model="vgg"), ["config.json", "vgg"]),
        (lambda: edit(config, epochs="many"), ["config.json", "epochs"]),
        (lambda: edit(config, scaling={"shape": [1, 8, 8]}), ["config.json", "ink"]),
        (lambda: edit(config, scaling=None), ["config.json"]),
        (lambda: edit(config, classes=list(range(5000))), ["config.json", "classes", "5000"]),
        (lambda: edit(config, classes=7), ["config.json"]),
        (lambda: edit(config, classes=["a"]), ["model.safetensors"]),
        (lambda: edit(config, model="mlp"), ["model.safetensors"]),
        (lambda: weights.write_bytes(content[:-9]), ["model.safetensors", "truncated"]),
        (lambda: weights.write_bytes(b"PK" + content), ["model.safetensors"]),
        (lambda: weights.write_bytes(b""), ["model.safetensors"]),
        (lambda: weights.unlink(), ["not finished"]),
        (lambda: config.unlink(), ["there is no config.json"]),
    ):
        config.write_text(text)
        weights.write_bytes(content)
        damage()
        refused(run("predict", copied, image), *words)


def test_a_config_may_not_claim_memory(run, copied):
    scaling = json.loads((copied / "config.json").read_text())["scaling"]
    edit(copied / "config.json", scaling={**scaling, "shape": [1, 4096, 4096]})
    refused(run("summary", copied), "config.json", "pixels at most")


def test_a_rate_that_explodes_leaves_nothing(run, tmp_path):
    words = ("train", "--model", "mlp", "--lr", "1e30", "--out", tmp_path)
    status, _, err = run(*words)
    assert status == 2 and "the loss became" in err and "try a learning rate below 1e+30" in err
    assert not list(tmp_path.iterdir())


def test_resume_refuses(run, copied):
    refused(run("train", "--resume", copied), "this run is finished")
    (copied / "model.safetensors").unlink()
    refused(run("train", "--resume", copied), "there is no checkpoint.safetensors")
    (copied / "checkpoint.safetensors").write_bytes(bytes(100))
    refused(run("train", "--resume", copied), "checkpoint.safetensors")
    edit(copied / "config.json", seed=5)
    refused(run("train", "--resume", copied), "the data is not what the run was begun with")


def test_a_name_is_used_once(run, trained):
    refused(run("train", "--name", "a", "--out", trained.parent), "exists already", "--resume")


def test_summary(run, trained):
    status, out, _ = run("summary", "lenet", "--input", "1x28x28")
    assert status == 0 and "Conv2d" in out and "(1, 16, 28, 28)" in out
    assert "639,744" in out and "(1, 16, 8, 8)" in run("summary", trained)[1]
    assert run("summary", "mlp", "--input", "3x5x5")[0] == 0
    refused(run("summary", trained, "--input", "3x8x8"), "0 (Conv2d)", "3 channels")
