"""What every command shares: files whole or not at all, one line for each fault, progress, no work that goes on."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from narrowfloat import cache, places, shell, tools

PYTHON = sys.executable


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_files_are_written_into_a_new_folder(tmp_path):
    paths = shell.write_all(tmp_path / "a" / "b", {"x": "one\n", "y": b"\x00"})
    assert paths == [tmp_path / "a" / "b" / "x", tmp_path / "a" / "b" / "y"]
    assert everything(tmp_path / "a" / "b") == {"x": b"one\n", "y": b"\x00"}


@pytest.mark.parametrize("fails", ["x", "y", "z"])
def test_all_files_are_written_or_none(fails, tmp_path):
    """Something that is no file stands in the way of one of them."""
    for name, old in (("x", "old"), ("y", "old")):
        (tmp_path / name).write_text(old)
    (tmp_path / fails).unlink(missing_ok=True)
    (tmp_path / fails / "inside").mkdir(parents=True)
    before = everything(tmp_path)
    with pytest.raises(OSError):
        shell.write_all(tmp_path, {"x": "new", "y": "new", "z": "new"})
    assert everything(tmp_path) == before


def test_folders_are_not_left_when_nothing_could_be_written(tmp_path):
    with pytest.raises(OSError):
        shell.write_all(tmp_path / "a" / "b", {"x": "one", "no/folder": "two"})
    assert not list(tmp_path.iterdir())


def test_written_file_keeps_its_mode_and_what_links_to_it(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    shell.write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_device_is_written_to_and_not_replaced(tmp_path):
    before = Path("/dev/null").stat().st_mode
    shell.write("/dev/null", "text")
    assert Path("/dev/null").stat().st_mode == before
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        shell.write("/dev/full", "text")


# A shell makes its background jobs ignore interrupts, which a process of a test inherits.
HEED = "import signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)"


def command(work, **options):
    """Run a command of its own whose work is the statement `work`."""
    program = f"{HEED}\nfrom narrowfloat import shell, tools\ndef work():\n  {work}\nsys.exit(shell.run('it', work))"
    return subprocess.Popen([PYTHON, "-c", program], stderr=subprocess.PIPE, text=True, **options)


def finished(process):
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize(
    "work, status, line",
    [
        ("raise ValueError('wrong\\n  input')", 2, "it: wrong input\n"),
        ("raise tools.ToolError('no tool')", 2, "it: no tool\n"),
        ("open('/no/such')", 2, "it: /no/such: No such file or directory\n"),
        ("raise KeyboardInterrupt", 130, "it: interrupted\n"),
        ("import no_such_module", 2, "it: the Python package no_such_module is missing\n"),
        ("return 1", 1, ""),
        ("return", 0, ""),
    ],
)
def test_fault_is_one_line_and_a_status(work, status, line):
    assert finished(command(work)) == (status, line)


def test_full_disk_behind_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        for work in ("print('text')", "print('text' * 10**5)"):
            status, line = finished(command(work, stdout=full))
            assert status == 2 and re.fullmatch(r"it: standard output or \S+: No space left on device\n", line)


def test_closed_standard_output_is_one_line_and_no_file_takes_its_place(tmp_path):
    program = "import sys; from narrowfloat import shell; sys.exit(shell.run('it', lambda: open('made', 'w') and 0))"
    line = f'{PYTHON} -c "{program}" >&-'
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "it: standard output is closed: send it to /dev/null instead\n")
    assert not list(tmp_path.iterdir())


def test_closed_pipe_is_silent():
    process = command("[print('text' * 1000) for _ in range(10**5)]", stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGPIPE


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_is_one_line_and_ends_every_tool(number, status, tmp_path):
    """Two threads wait for tools, which have started others."""
    script = tmp_path / "tool"
    script.write_text(f"#!/bin/sh\nsleep 300 &\necho $! >> {tmp_path}/started\nwait\n")
    script.chmod(0o755)
    work = (
        f"tool = tools.Tool('it', ('{script}',), '')\n"
        "  with shell.Workers() as pool: [pool.submit(tool.run, []) for _ in range(9)][0].result()"
    )
    process = command(work)
    wait_for(
        lambda: (tmp_path / "started").exists() and len((tmp_path / "started").read_text().split()) >= min(os.cpu_count(), 9)
    )
    process.send_signal(number)
    assert finished(process) == (status, "it: interrupted\n")
    for pid in map(int, (tmp_path / "started").read_text().split()):
        wait_for(lambda pid=pid: not is_running(pid))


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_silence_is_broken_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(shell, "_SILENCE", 0.05)
    with shell.Progress("it", "counting", 4) as progress:
        progress.advance(3)
        progress.tell(now="the fourth")
        time.sleep(0.4)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2 and lines[-1] == "it: counting: 3 of 4, 0:00 min, the fourth"


def test_table_is_not_cut_where_there_is_no_terminal(capsys):
    from rich.table import Table

    shell.console().print(Table(*(f"a rather long heading, number {number}" for number in range(20))))
    printed = capsys.readouterr().out
    assert all(f"a rather long heading, number {number}" in printed for number in range(20))


def test_outputs_are_tried_without_a_trace(tmp_path):
    assert shell.output_file(str(tmp_path / "new.json")) == tmp_path / "new.json"
    assert shell.output_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert not list(tmp_path.iterdir())
    for text in (str(tmp_path), str(tmp_path / "no" / "file.json"), "/proc/file.json"):
        with pytest.raises(Exception, match="cannot write"):
            shell.output_file(text)
    (tmp_path / "file").touch()
    for text in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "/proc/folder"):
        with pytest.raises(Exception, match="cannot write"):
            shell.output_folder(text)


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    return tmp_path


def test_kept_value_is_made_once(build):
    assert cache.value("kind", ["part", 1], lambda: [1, {"a": None}]) == [1, {"a": None}]
    assert cache.value("kind", ["part", 1], lambda: pytest.fail("made again")) == [1, {"a": None}]
    assert cache.value("kind", ["part", 2], lambda: 2) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b'{"digest": "0", "value": 7}', b"\xff"])
def test_damaged_value_is_made_anew(damage, build):
    cache.value("kind", ["part"], lambda: 7)
    (path,) = build.rglob("*.json")
    path.write_bytes(damage)
    assert cache.value("kind", ["part"], lambda: 8) == 8
    assert cache.value("kind", ["part"], lambda: 9) == 8


def make(text, calls):
    def fill(folder):
        calls.append(text)
        (folder / "file").write_text(text)

    return fill


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: (kept / "file").write_text("tex"),
        lambda kept: (kept / "file").unlink(),
        lambda kept: (kept / "other").touch(),
        lambda kept: (kept / "stamp.json").write_text("{"),
        lambda kept: (kept / "stamp.json").unlink(),
    ],
)
def test_damaged_folder_is_made_anew(damage, build):
    calls = []
    kept = cache.folder("kind", ["part"], make("text", calls))
    assert cache.folder("kind", ["part"], make("text", calls)) == kept and len(calls) == 1
    damage(kept)
    assert cache.folder("kind", ["part"], make("text", calls)) == kept and len(calls) == 2
    assert (kept / "file").read_text() == "text"
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name]


def test_folder_that_cannot_be_made_leaves_nothing(build):
    def fail(folder):
        (folder / "file").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.folder("kind", ["part"], fail)
    assert not list((build / "kind").iterdir())


def test_two_at_once_make_one_folder(build):
    calls, folders = [], []
    both = threading.Barrier(2)

    def fill(folder):
        both.wait(10)
        make("text", calls)(folder)

    threads = [threading.Thread(target=lambda: folders.append(cache.folder("kind", ["part"], fill))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders[0] == folders[1] and (folders[0] / "file").read_text() == "text"


def test_build_folder_is_that_of_the_checkout_or_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("NARROWFLOAT_BUILD", raising=False)
    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(root / "tests")
    assert places.build_folder("a", "b") == root / "build" / "a" / "b"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert places.build_folder("a") == tmp_path / "cache" / "narrowfloat" / "a"
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/cache")
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path))
    assert places.build_folder() == tmp_path / f"narrowfloat-{os.getuid()}"
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    (tmp_path / "narrowfloat-12345").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        places.build_folder()


def test_missing_tool_names_what_brings_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for tool, line in (
        (tools.ICARUS, "Icarus Verilog is missing: sudo apt-get install iverilog"),
        (tools.STA, "OpenSTA is missing: sudo apt-get install opensta"),
        (tools.Tool("It", ("no-such-tool",), "pip install it", chosen_by="IT"), "pip install it, or set IT to another one"),
    ):
        with pytest.raises(tools.ToolError, match=line):
            tool.find()
        assert line in tool.missing()


def test_tool_that_fails_or_takes_too_long_is_one_line(tmp_path):
    for text, line in (
        ("echo first; echo 'an ERROR: this'; exit 3", "It: an ERROR: this"),
        ("exit 3", "It: exit status 3"),
        ("sleep 60", "It did not finish in 0.5 s"),
    ):
        script = tmp_path / "it"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        with pytest.raises(tools.ToolError) as caught:
            tools.Tool("It", (str(script),), "").run([], seconds=0.5 if "sleep" in text else 60)
        assert str(caught.value) == line


def test_errors_name_the_file_that_was_meant(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}'"):
        shell.write_all(tmp_path, {"x": "text"})
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}'"):
        shell.write(tmp_path / "x", "text")
    assert not list(tmp_path.iterdir())


def test_webassembly_has_a_cache_where_the_home_folder_cannot_be_written(tmp_path, monkeypatch):
    for name in ("YOWASP_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    monkeypatch.setenv("HOME", "/proc/none")
    tools._variables.cache_clear()
    assert tools.start("env", ["env"]).stdout.count(f"YOWASP_CACHE_DIR={tmp_path}/yowasp\n") == 1
    monkeypatch.setenv("HOME", str(tmp_path))
    tools._variables.cache_clear()
    assert "YOWASP_CACHE_DIR" not in tools.start("env", ["env"]).stdout
    tools._variables.cache_clear()
