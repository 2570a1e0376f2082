"""What every command shares: one line for whatever goes wrong, files written whole or not at all, progress, tables.

This is a leaf: it needs the standard library and rich, and every layer may import it.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from narrowfloat import tools
from narrowfloat.tools import ToolError

# The longest time without a word where there is no terminal, in seconds.
_SILENCE = 10


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors are one line."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message):
        raise ValueError(f"{message}; {self.prog} --help says what there is")


def run(name, work):
    """The exit status of the command `name`, which is what ``work()`` returns, or that of what goes wrong.

    Wrong input, a missing or failing tool and files that cannot be read or written give one line on standard error and
    status 2, an interrupt one line and 130. A reader that closes the pipe ends the command without a word, with 141.
    """
    _open_standard_streams()
    with _terminable():
        try:
            if sys.stdout is None:
                raise ValueError("standard output is closed: send it to /dev/null instead")
            status = work() or 0
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            _forget_output()
            return 128 + signal.SIGPIPE
        except KeyboardInterrupt as interrupt:
            number = interrupt.args[0] if interrupt.args else signal.SIGINT
            message, status = "interrupted", 128 + number
        except (ValueError, ToolError) as error:
            message, status = str(error), 2
        except ModuleNotFoundError as error:
            message, status = f"the Python package {error.name} is missing", 2
        except OSError as error:
            message, status = _spell(error), 2
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):
        _forget_output()
    say(name, message)
    return status


def say(name, message):
    """Tell of the command `name` one line on standard error, if anybody reads that."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"{name}: {' '.join(message.split())}", file=sys.stderr, flush=True)


def _open_standard_streams():
    """Give each standard stream that was closed a place, so that no file that is opened later is taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text


@contextmanager
def _terminable():
    """SIGTERM counts as an interrupt meanwhile."""

    def stop(number, frame):
        raise KeyboardInterrupt(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _spell(error):
    """An OSError in one line. Python names no file where writing to an open one fails."""
    place = error.filename if error.filename is not None else f"standard output or {tempfile.gettempdir()}"
    return f"{place}: {error.strerror or error}"


def _forget_output():
    """Let what waits to be printed go nowhere, as Python would try again at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write(path, content):
    """Write text or bytes to the file `path`, whole or not at all. What is no regular file, like /dev/stdout, is written to.

    Raises
    ------
    OSError
        It cannot be written; the error names `path`.
    """
    path = Path(path)
    with _named(path):
        if _is_special(path):
            path.write_bytes(_bytes(content))
        else:
            real = path.resolve()
            write_all(real.parent, {real.name: content})


def write_all(folder, files):
    """Write `files`, contents by name, into `folder`, which is made if missing: all of them or none. Returns their paths.

    Raises
    ------
    OSError
        They cannot be written. What was there before is there again.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with _named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
                _place(Path(unfinished), folder, files)
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise
    return [folder / name for name in files]


def _place(unfinished, folder, files):
    for name, content in files.items():
        new = unfinished / name
        new.write_bytes(_bytes(content))
        with suppress(FileNotFoundError):
            new.chmod((folder / name).stat().st_mode & 0o777)
    placed = []
    try:
        for name in files:
            target, before = folder / name, unfinished / f"{name}.before"
            with suppress(FileNotFoundError):
                os.link(target, before)
            placed.append((target, before))
            (unfinished / name).replace(target)
    except BaseException:
        for target, before in placed:
            if before.exists():
                before.replace(target)
            elif not (unfinished / target.name).exists():
                target.unlink(missing_ok=True)
        raise


def _bytes(content):
    return content.encode() if isinstance(content, str) else content


def _is_special(path):
    return path.exists() and not path.is_file() and not path.is_dir() or path.absolute().is_relative_to("/dev")


@contextmanager
def _named(path):
    """Name `path` in an OSError that names no file or one of ours that is unfinished."""
    try:
        yield
    except OSError as error:
        if error.filename is None or ".unfinished-" in str(error.filename):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


def output_file(text):
    """The path of a file to write, once it is certain that it can be written; for `type` of an option.

    Raises
    ------
    argparse.ArgumentTypeError
        It cannot.
    """
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: it is a folder")
    if _is_special(path):
        return path
    parent = path.resolve().parent
    if not parent.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: there is no folder {str(parent)!r}")
    _try(parent, text)
    return path


def output_folder(text):
    """The path of a folder to write into, which may not be there yet, once it is certain that it can be written.

    Raises
    ------
    argparse.ArgumentTypeError
        It cannot.
    """
    path = Path(text)
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write into {text!r}: {str(nearest)!r} is no folder")
    _try(nearest, text)
    return path


def _try(folder, text):
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from None


def console():
    """A rich console on standard output, which cuts no table short where there is no terminal."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self):
            raise BrokenPipeError  # for `run`; rich would end the process

    return Output(width=None if sys.stdout.isatty() else 1000)


class Progress:
    """How far a command is, on standard error: a bar on a terminal, elsewhere a line about every ten seconds.

    Parameters
    ----------
    name : str
        The command's.
    doing : str
    total : int
        When it is done.
    """

    def __init__(self, name, doing, total):
        self._name, self._doing, self._total = name, doing, total
        self._done, self._now = 0, ""
        self._started = time.monotonic()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._bar = None

    def __enter__(self):
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[now]}"), console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._doing, total=self._total, now="")
        else:
            threading.Thread(target=self._talk, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()
        if self._bar:
            self._bar.stop()

    def advance(self, count=1):
        """Of `total` so much more is done. Any thread may say so."""
        with self._lock:
            self._done += count
        self._show()

    def tell(self, doing=None, now=None):
        """What the command does now, and on what. Any thread may say so."""
        self._doing = self._doing if doing is None else doing
        self._now = self._now if now is None else now
        self._show()

    def _show(self):
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=self._doing, now=self._now)

    def _talk(self):
        while not self._over.wait(_SILENCE):
            seconds = round(time.monotonic() - self._started)
            done = f"{self._done} of {self._total}" if self._total < 1000 else f"{self._done / self._total:.0%}"
            words = ", ".join(filter(None, (f"{self._doing}: {done}", f"{seconds // 60}:{seconds % 60:02} min", self._now)))
            say(self._name, words)


class Workers(ThreadPoolExecutor):
    """Threads, as many as there are cores, of which none goes on, nor a tool that one has started, when the work ends early.

    A job runs tools by `narrowfloat.tools`, or ends by itself before long.
    """

    def __init__(self):
        super().__init__(os.cpu_count())
        self._futures = []

    def submit(self, *arguments):
        """As `ThreadPoolExecutor.submit`."""
        self._futures.append(super().submit(*arguments))
        return self._futures[-1]

    def __exit__(self, kind, *_):
        self.shutdown(wait=kind is None, cancel_futures=True)
        while not all(future.done() for future in self._futures):
            tools.stop()
            time.sleep(0.05)
