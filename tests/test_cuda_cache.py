# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels on disk: found again, and never taken from a stranger or half."""

import hashlib
import os
import stat

import pytest

PROBE = "cuda/probe/probe_cuda.cu"
COMPILE = f"print(_C.cuda_compile('{PROBE}', 'sm_80')['cached'])"
STATE = "print(_C.cuda_cache()['why_not'])"


def stored(machine):
    """The one file in the cache."""
    (file,) = machine.cache.iterdir()
    return file


def test_compiled_once(fake):
    assert fake.run(f"{COMPILE}\n{COMPILE}").split() == ["False", "True"]
    assert fake.run(COMPILE) == "True"
    assert fake.run(COMPILE.replace("sm_80", "sm_86")) == "False"
    assert len(fake.calls("nvrtcCreateProgram")) == len(fake.calls("none")) + 2
    names = sorted(f.name[: f.name.rindex("-")] for f in fake.cache.iterdir())
    assert names == ["probe_cuda-sm_80", "probe_cuda-sm_86"]
    state = eval(fake.run("print(_C.cuda_cache())"))
    size = sum(f.stat().st_size for f in fake.cache.iterdir())
    assert state == {"folder": str(fake.cache), "why_not": "", "files": 2, "bytes": size}


def test_what_comes_from_the_cache_is_what_went_in(fake):
    get = f"print(_C.cuda_compile('{PROBE}', 'sm_80'))"
    first, second = eval(fake.run(get)), eval(fake.run(get))
    assert first["cubin"] == second["cubin"] and first["log"] == second["log"] == "a warning"
    assert first["cubin"].startswith(b"FAKE") and b"probe_f32_cuda" in first["cubin"]


def test_others_can_not_look_into_it(fake):
    previous = os.umask(0)
    try:
        fake.run(COMPILE)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(fake.cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(stored(fake).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:20],
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
        lambda whole: whole.replace(b"FAKE", b"FALE"),
        lambda whole: whole.replace(b"cubin-1", b"cubin-0"),
        lambda whole: whole[:20] + b"0" * 64 + whole[84:],
        lambda whole: whole.partition(b"\n")[0] + b"\n",
        lambda whole: bytes(len(whole)),
    ],
)
def test_a_damaged_file_is_made_again(fake, damage):
    fake.run(COMPILE)
    whole = stored(fake).read_bytes()
    broken = damage(whole)
    assert broken != whole
    stored(fake).write_bytes(broken)
    assert fake.run(COMPILE) == "False"
    assert stored(fake).read_bytes() == whole
    assert fake.run(COMPILE) == "True"


def test_a_size_that_lies_with_the_right_checksum(fake):
    """The checksum is no secret: a file that passes it must not lead the reader astray."""
    fake.run(COMPILE)
    head, _, body = stored(fake).read_bytes().partition(b"\n")
    body = (2**64 - 4).to_bytes(8, "little") + body[8:]
    digest = hashlib.sha256(body).hexdigest().encode()
    stored(fake).write_bytes(b" ".join([*head.split(b" ")[:2], digest]) + b"\n" + body)
    assert fake.run(COMPILE) == "False"


def test_a_file_of_another_kernel_is_not_taken(fake):
    fake.run(COMPILE)
    mine = stored(fake)
    other = mine.read_bytes()
    fake.run(COMPILE.replace("sm_80", "sm_86"))
    (theirs,) = set(fake.cache.iterdir()) - {mine}
    theirs.write_bytes(other)
    assert fake.run(COMPILE.replace("sm_80", "sm_86")) == "False"


def test_a_file_that_others_may_write_is_not_taken(fake):
    fake.run(COMPILE)
    for mode in 0o620, 0o602, 0o666:
        stored(fake).chmod(mode)
        assert fake.run(COMPILE) == "False"
    stored(fake).chmod(0o644)
    assert fake.run(COMPILE) == "True"


def test_a_link_is_not_followed(fake, tmp_path):
    fake.run(COMPILE)
    file = stored(fake)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert fake.run(COMPILE) == "False"
    assert not file.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which root alone can")
def test_files_and_folders_of_another_user(fake):
    fake.run(COMPILE)
    os.chown(stored(fake), 12345, 12345)
    assert fake.run(COMPILE) == "False"
    assert stored(fake).stat().st_uid == os.geteuid()
    os.chown(fake.cache, 12345, 12345)
    assert fake.run(f"{STATE}; {COMPILE}").splitlines() == [
        f"{fake.cache} is another user's; set STRIATE_CACHE_DIR",
        "False",
    ]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777, 0o701])
def test_a_folder_that_is_open_is_not_used(fake, mode):
    fake.run(COMPILE)
    fake.cache.chmod(mode)
    why, cached = fake.run(f"{STATE}; {COMPILE}").splitlines()
    assert why == f"{fake.cache} is open to other users; run chmod 700 on it"
    assert cached == "False"
    fake.cache.chmod(0o700)
    assert fake.run(COMPILE) == "True"


def test_folders_that_are_none(fake, tmp_path):
    fake.cache.parent.mkdir()
    fake.cache.symlink_to(tmp_path)
    assert fake.run(f"{STATE}; {COMPILE}").splitlines() == [f"{fake.cache} is no folder", "False"]
    file = tmp_path / "file"
    file.write_text("")
    why, cached = fake.run(f"{STATE}; {COMPILE}", STRIATE_CACHE_DIR=str(file)).splitlines()
    assert why == f"{file}/cuda: Not a directory; set STRIATE_CACHE_DIR" and cached == "False"


def test_where_it_lies(fake, tmp_path):
    folder = "print(_C.cuda_cache()['folder'], _C.cache_folder())"
    places = {"STRIATE_CACHE_DIR": "a", "XDG_CACHE_HOME": "b", "HOME": "c"}
    told = {name: str(tmp_path / value) for name, value in places.items()}
    ends = ["a", "b/striate", "c/.cache/striate"]
    for end in ends:
        assert fake.run(folder, **told) == f"{tmp_path}/{end}/cuda {tmp_path}/{end}"
        told[next(n for n, value in told.items() if value)] = None
    assert fake.run(folder, **told).split()[1].endswith("/.cache/striate")  # the system's record


def test_a_full_disk_is_no_error(fake):
    out = fake.run(f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
del os.environ["FAKE_LOG"]
{COMPILE}
""")
    assert out == "False" and not list(fake.cache.iterdir())


def test_the_key_is_all_that_matters_to_the_result(fake, tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    kernel, header, inner = (folder / name for name in ("k_cuda.cu", "a.cuh", "b.cuh"))
    kernel.write_text('# include "a.cuh"\n#ifdef ELSEWHERE\n#include "none.h"\n#endif\n')
    header.write_text('  #  include "b.cuh"\n#include <not_ours.h>\n// #include "c.cuh"\n')
    inner.write_text('#pragma once\n#include "a.cuh"\n')  # round, as a guard would end it
    (folder / "c.cuh").write_text("")

    def cached(**variables):
        code = "print(_C.cuda_compile('k_cuda.cu', 'sm_80')['cached'])"
        return fake.run(code, STRIATE_CUDA_SOURCES=str(folder), **variables) == "True"

    assert not cached() and cached()
    headers = [call for _, call in fake.calls("header")]
    assert headers == ["header a.cuh", "header b.cuh"]
    for file in kernel, header, inner:
        file.write_text(file.read_text() + "\n")
        assert not cached() and cached()
    assert not cached(FAKE_NVRTC="12.5") and cached(FAKE_NVRTC="12.5")
    (folder / "c.cuh").write_text("// nobody includes it")
    assert cached()


def test_checksums_are_sha_256(fake, tmp_path):
    """Of bodies of all sizes around a block's, 64 bytes."""
    sources = tmp_path / "sources"
    sources.mkdir()
    for n in range(130):
        (sources / f"k{n}.cu").write_text("x" * n)
    fake.run(
        "for n in range(130): _C.cuda_compile(f'k{n}.cu', 'sm_80')",
        STRIATE_CUDA_SOURCES=str(sources),
    )
    sizes = set()
    for file in fake.cache.iterdir():
        head, _, body = file.read_bytes().partition(b"\n")
        assert head.split()[2].decode() == hashlib.sha256(body).hexdigest()
        sizes.add(len(body) % 64)
    assert sizes == set(range(64))
