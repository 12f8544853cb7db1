# SPDX-License-Identifier: Apache-2.0
"""What the benchmark suite says: summaries, terminal, page, comparison, command."""

import io
import json
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from html.parser import HTMLParser

import numpy as np
import pytest
from benching import ROOT, TINY, full, made
from striate import cli
from striate.bench import (
    charts,
    command,
    compare,
    page,
    plan,
    problem,
    results,
    summary,
    terminal,
)
from striate.bench.task import Spots, Task

# --- summaries ------------------------------------------------------------------------------------


def test_ratio_share_and_rate():
    row = made()
    assert summary.best_peer(row) == "torch" and summary.ratio(row, "torch") == 2
    assert summary.share(row) == 0.5 and summary.rate(row) == (1.0, "GF/s")
    assert summary.rate({**row, "flops": 0.0}) == (0.001, "GB/s")
    assert summary.rate({**row, "flops": 0.0, "bytes": 0.0})[1] == "us"


@pytest.mark.parametrize(
    ("mine", "its", "again", "loss"),
    [
        (1.0, 0.5, (1.0, 0.5), True),
        (1.0, 0.5, (1.0, 1.0), False),  # not confirmed
        (1.0, 0.975, (1.0, 0.9), False),  # within 3 %
        (1.0, 0.96, (1.0, 0.96), True),
        (1.0, 1.2, None, False),
    ],
)
def test_losses_as_defined(mine, its, again, loss):
    assert summary.is_loss(made(mine=mine, its=its, again=again)) is loss


def test_overlapping_quartiles_are_no_loss():
    row = made(mine=1.0, its=0.9, again=(1.0, 0.9))
    row["rivals"]["torch"]["q3"] = 1.1
    assert not summary.is_loss(row)


def test_families_have_geomeans_and_all_losses():
    rows = [made("gemm/a/1", 1, 4), made("gemm/a/2", 1, 1), made("pool/a/1", 2, 1, again=(2, 1)),
            made("gemm/a/1", 1, 9, threads=2)]  # fmt: skip
    found = summary.by_family(rows)
    assert [(f["family"], f["threads"]) for f in found] == [("gemm", 1), ("pool", 1), ("gemm", 2)]
    assert found[0]["geomean"] == pytest.approx(2) and found[2]["geomean"] == pytest.approx(9)
    assert [x["name"] for f in found for x in f["losses"]] == ["pool/a/1"]
    assert found[0]["peers"]["numpy"]["geomean"] == pytest.approx(10)


# --- what is shown --------------------------------------------------------------------------------


SKIPPED = {"name": "gemm/huge/1", "threads": 1, "skipped": "too <large>"}


def several():
    gb = {"flops": 0.0, "bytes": 1e7}
    return [
        *(made(f"gemm/net/layer{i}", 1.0 + i % 5, 2.0) for i in range(80)),
        made("conv/a/lost", 2.0, 1.0, again=(2.0, 1.0)),
        made("conv/a/won", 1.0, 3.0, flags=["load average 9.0"]),
        *(made(f"pool/a/{i}", 0.001, 0.002 * (i + 1), **gb) for i in range(5)),
        made("overhead/calls/add", 1e-6, 2e-6, flops=0.0, bytes=0.0, floor=None, bound=None),
        SKIPPED,
    ]


class Checker(HTMLParser):
    """Tags closed in order; nothing fetched from anywhere."""

    VOID = ("meta", "i", "line", "rect", "circle")

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_stands_alone():
    text = page.render(full(several()))
    checker = Checker()
    checker.feed(text)
    assert checker.open == [] and all(link.startswith("#") for link in checker.links)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "A &lt;CPU&gt; &amp; co" in text and "<CPU>" not in text
    assert "prefers-color-scheme: dark" in text and "viewport" in text
    for words in ("conv/a/lost", "load average 9.0", "not installed", "too &lt;large&gt;"):
        assert words in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        numbers = [v for e in xml.fromstring(svg).iter() for v in e.attrib.values()]
        assert not [v for v in numbers if v in ("nan", "inf", "-inf")]


def test_charts_mark_every_row():
    rows = [r for r in several() if r["name"].startswith("gemm/net")]
    assert charts.bars(rows, charts.WIDE).count("<rect") == len(rows)
    few = rows[:7]
    assert charts.bars(few, charts.NARROW).count("<rect") == 7
    assert "net/layer3" in charts.bars(few, charts.NARROW)
    head = full(rows)["heads"][0]
    assert charts.roofline(few, head, charts.WIDE).count("<circle") == 14
    pools = [r for r in several() if r["name"].startswith("pool")]
    assert charts.bandwidth(pools, head, charts.WIDE).count("<circle") == 10


def test_a_page_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no row"):
        page.render(full([SKIPPED]))


def test_the_terminal_report_lists_all_losses():
    text = terminal.report(full(several())["rows"])
    assert "loss: conv/a/lost (1T): 0.50x of torch" in text
    assert "skipped: gemm/huge/1: too <large>" in text
    assert terminal.report([]) == "no rows were measured"


def test_terminal_lines():
    out = io.StringIO()
    screen = terminal.Screen(False, out)
    screen.begin(full([])["heads"][0], 3, 0)
    for row in (made(), made("conv/a/lost", 2.0, 1.0), SKIPPED):
        screen.row(row)
    text = out.getvalue()
    assert "absent: not installed" in text and "LOSS" in text and "2.00x" in text
    assert "\033" not in text and "too <large>" in text


def test_results_are_written_and_read_back(tmp_path):
    found = full(several())
    path = tmp_path / "deep" / "r.json"
    results.write(path, results.to_json(found))
    again = results.load(path)
    assert again == json.loads(json.dumps(results._rounded(found)))
    assert again["families"][0]["geomean"] == pytest.approx(found["families"][0]["geomean"], 1e-4)
    assert results.to_json(again) == path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["r.json"]
    both = results.merge([results.load(path), full([made("lstm/a/b")])])
    assert len(both["rows"]) == len(found["rows"]) + 1


def script(name, *words):
    """A script of benchmarks/, run."""
    line = [sys.executable, str(ROOT / "benchmarks" / name), *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True)


def test_pictures_are_drawn_from_results(tmp_path):
    """benchmarks/pictures.py: a file a family, with a point of ours and one of a peer a row."""
    file, folder = tmp_path / "r.json", tmp_path / "pictures"
    results.write(file, results.to_json(full(several())))
    assert script("pictures.py", file, "--folder", folder).returncode == 0
    svg = xml.parse(folder / "gemm.svg").getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    kinds = [c.get("class").split()[0] for c in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert kinds.count("ours") == kinds.count("peer") == 80


def test_convolutions_are_told_by_kind(tmp_path):
    """benchmarks/conv_classes.py: each layer in one kind, and the losses where asked for."""
    file = tmp_path / "r.json"

    def layer(name, mine, its, **sizes):
        z = {"n": 1, "c": 64, "h": 9, "w": 9, "k": 64, "r": 3, "s": 3, "stride": 1, "pad": 1}
        return made(f"conv/{name}", mine, its, sizes={**z, **sizes})

    rows = [
        layer("vgg/a/fwd", 1.0, 4.0), layer("x/b/fwd", 1.0, 1.0), layer("x/c/fwd", 1.0, 3.0, c=3),
        layer("x/d/bwd_data", 1.0, 0.5, r=1, s=1, stride=2), layer("x/e/fwd", 1.0, 7.0, groups=64),
    ]  # fmt: skip
    results.write(file, results.to_json(full(rows)))
    text = script("conv_classes.py", file).stdout
    assert re.search(r"^3x3, 64 channels and more +2\.00, 0 of 2", text, re.M)
    assert re.search(r"^4 channels and fewer +3\.00, 0 of 1", text, re.M)
    assert re.search(r"^1x1, stride 2 +0\.50, 1 of 1", text, re.M) and "x/d" not in text
    assert re.search(r"^depthwise +7\.00", text, re.M)
    assert "conv/x/d/bwd_data" in script("conv_classes.py", file, "--losses").stdout
    assert script("conv_classes.py", file, "--threads", 7).returncode == 2


@pytest.mark.parametrize("name", ["readme.py", "pictures.py", "conv_classes.py"])
def test_scripts_refuse_what_is_no_result(name, tmp_path):
    file = tmp_path / "other.json"
    file.write_text("{}")
    for words, said in (([file], "other.json"), ([tmp_path / "absent.json"], "absent.json")):
        done = script(name, *words)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_the_readmes_section_is_made_from_results(tmp_path):
    """benchmarks/readme.py, on a README of two lines."""
    file, readme = tmp_path / "r.json", tmp_path / "README.md"
    results.write(file, results.to_json(full(several())))

    def call(*words):
        return script("readme.py", *words)

    readme.write_text("before\n<!-- speed: begin -->\nold\n<!-- speed: end -->\nafter\n")
    assert call("--check", "--readme", readme, file).returncode == 1
    assert call("--readme", readme, file).returncode == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| gemm | 1 | 80 |" in text and "A <CPU> & co" in text and "torch 9" in text
    assert call("--check", "--readme", readme, file).returncode == 0
    assert call("--readme", readme, file, file).returncode == 0
    assert readme.read_text().count("| gemm | 1 | 80 |") == 2
    readme.write_text("no marks\n")
    done = call("--readme", readme, file)
    assert done.returncode == 2 and "speed: begin" in done.stderr


def test_compare_tells_changes_from_noise():
    a = full([made("gemm/a/1", 1.0), made("gemm/a/2", 1.0), made("gemm/a/3", 1.0), made("x/y/z")])
    b = full([made("gemm/a/1", 0.5), made("gemm/a/2", 1.01), made("gemm/a/3", 1.5)], numpy="3")
    text = compare.report(a, b)
    assert "faster: 1" in text and "2.00x  gemm/a/1" in text
    assert "slower: 1" in text and "0.67x  gemm/a/3" in text
    assert "as before, within the quartiles or 3%: 1" in text
    assert "differs: numpy: 2 | 3" in text and "only in A: 1 rows" in text
    with pytest.raises(ValueError, match="no row in common"):
        compare.report(full([made("x/y/z")]), b)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder: (status, stdout, stderr)."""
    monkeypatch.delenv("STRIATE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = cli.main(["bench", *map(str, words)])
        return status, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--family gem", ["--family", "gemm", "'gem'"]),
        ("--shard 9/8", ["--shard", "1 <= I <= N", "'9/8'"]),
        ("--shard x", ["--shard", "I/N"]),
        ("--threads 0", ["--threads", "'0'"]),
        ("--threads 1,two", ["--threads"]),
        ("--seconds -1", ["--seconds", "above 0"]),
        ("--cold -1", ["--cold"]),
        ("--peers tensorflow", ["--peers", "'tensorflow'"]),
        ("--peers torhc", ["did you mean torch"]),
        ("--match nothing-like-this", ["no problem fits", "--list"]),
        ("--kernel gemm_f32_avx2_6x17", ["--kernel", "no row", "did you mean"]),
        ("--kernel gemm_f32_scalar_4x4 --shard 1/2", ["--kernel goes without"]),
        ("compare a.json", ["compare: expected two files"]),
        ("compare a.json b.json", ["a.json", "no such file"]),
        ("report", ["report: expected"]),
        ("banana", ["unknown argument 'banana'"]),
        ("--html . --quick", ["expected a file"]),
    ],
)
def test_what_is_wrong_is_said(run, line, words):
    status, out, err = run(*line.split())
    assert status == 2 and out == "" and err.startswith("striate: error: ")
    assert err.count("\n") <= 2
    for word in words:
        assert word in err, err


def test_files_that_are_no_results(run, tmp_path):
    for text in ("{}", "[]", "{", ""):
        (tmp_path / "a.json").write_text(text)
        status, _, err = run("compare", "a.json", "a.json")
        assert status == 2 and err.startswith("striate: error: ") and "Traceback" not in err


def test_the_list_states_times(run):
    status, out, _ = run("--list")
    assert status == 0 and all(name in out for name in problem.FAMILIES if name != "lstm")
    assert re.search(r"all +\d+ +[\d.]+ (h|min)", out)
    _, out, _ = run("--list", "--match", "resnet50", "--family", "conv")
    assert "conv/resnet50/res2-3x3/fwd" in out


def test_quick_is_planned_within_its_time(run):
    """With all peers and 32 MiB of L3; a run that is slower measures less of each row."""
    chosen = problem.select(problem.read(), quick=True)
    assert sum(plan.estimate(p, plan.Effort(0.05, 2)) for p in chosen) < command.QUICK_SECONDS
    _, out, _ = run("--list", "--quick")
    assert re.search(rf"all +{len(chosen)} +(\d min|\d+ s)", out), out


def test_the_whole_way(tmp_path):
    """Measured, written, resumed, reported, compared: as users do it."""

    def call(*words, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "striate", "bench", *words], cwd=tmp_path, text=True,
            capture_output=True, timeout=300, env={**os.environ, "STRIATE_ISA": "scalar"},
        )  # fmt: skip
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout

    line = ["--match", "odd-and-tiny/4x4", "--peers", "numpy", "--seconds", "0.01", "--cold", "1"]
    out = call(*line, "--json", "a.json", "--html", "a.html", "--threads", "1,2")
    assert "absent: not asked for" in out and "numpy" in out and "journal: striate-bench" in out
    found = json.loads((tmp_path / "a.json").read_text())
    assert [(r["name"], r["threads"]) for r in found["rows"]] == [(TINY, 1), (TINY, 2)]
    assert found["heads"][0]["machine"]["isa"] == "scalar"
    assert "<svg" in (tmp_path / "a.html").read_text()
    assert "0 rows to measure, 1 in the journal already" in call(*line)
    out = call("report", "striate-bench.jsonl", "--html", "b.html")
    assert "gemm" in out and (tmp_path / "b.html").exists()
    assert "as before" in call("compare", "a.json", "striate-bench.jsonl")


def test_spots_allow_nothing_of_another_shape():
    spots = Spots((slice(None),), np.zeros(3), 1.0)
    assert spots.error(np.zeros(4)) == math.inf
    assert Task("x", {}, (), lambda: spots).spots().error(np.zeros(3)) == 0
