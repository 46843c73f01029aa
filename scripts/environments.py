"""Virtual environments in the folder .demo, each named after what is in it, so that none is ever changed."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (to say so to whoever has an older one)
    message = "Python 3.10 or later is required, and this is Python {}.{}. To install it, see {}."
    sys.exit(message.format(*sys.version_info[:2], "https://www.python.org/downloads/"))
try:
    import ensurepip  # noqa: F401 (Debian and Ubuntu package it apart from Python, as python3-venv)
except ImportError:
    sys.exit("Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv")

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"
# The reader's settings for Python, and for pip install --user, are not for a virtual environment.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name == "PYTHONUTF8" or not name.startswith("PYTHON")
}
ENVIRONMENT |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def requirements(file):
    """The lines of a requirements file, without its comments."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


SAMPLE = requirements("requirements.txt")
STAND_IN = requirements("scripts/stand_in/requirements.txt")
DEMO_IMPORTS = "azure.identity, azure.keyvault.secrets, jwt, trustme"
# The az of the demo stands beside its Python, for sh and for cmd. Git Bash does not translate the path of az.py
# for a script that sets MSYS_NO_PATHCONV.
AZ_PROGRAMS = {
    "az": """#!/bin/sh
folder=${0%/*}
if command -v cygpath >/dev/null; then folder=$(cygpath -w "$folder"); fi
exec "${0%/*}/python" -I "$folder/../../../scripts/stand_in/az.py" "$@"
""",
    "az.cmd": '@"%~dp0python" -I "%~dp0..\\..\\..\\scripts\\stand_in\\az.py" %*\n',
}


def make_demo():
    """The Python that has what the sample and the stand-in need."""
    return make("demo", SAMPLE + STAND_IN, DEMO_IMPORTS, "the demo (52 MB)", AZ_PROGRAMS)


def make_azure_cli(only_look=False):
    """The Python that has the Azure CLI."""
    what = "the Azure CLI (392 MB, 1 to 3 minutes)"
    return make("az", ["azure-cli==2.91.0"], "azure.cli", what, only_look=only_look)


def make(name, packages, imports, what, programs=None, only_look=False):
    """The Python of a virtual environment. If it is missing, it is installed, and called ``what``."""
    programs = programs or {}

    def install(new):
        print(f"Installing {what} in .demo, once ...", file=sys.stderr)
        run(new.parent, sys.executable, "-m", "venv", new)
        # An empty --target overrides the one in a pip.conf. What is never imported need not be compiled.
        options = ["--quiet", "--no-compile", "--target="]
        run(new.parent, new / PYTHON, "-m", "pip", "install", *options, *packages)
        run(new.parent, new / PYTHON, "-c", f"import {imports}")
        for program, text in programs.items():
            (new / PYTHON).with_name(program).write_text(text, encoding="utf-8", newline="")
            (new / PYTHON).with_name(program).chmod(0o755)

    contents = f"{sys.version} {sys.base_prefix} {packages} {programs}"
    return put_together(name, contents, None if only_look else install) / PYTHON


def put_together(name, contents, assemble):
    """The folder in .demo for these contents. If it is missing, it is assembled under another name first."""
    folder = FOLDER / f"{name}-{hashlib.sha256(contents.encode()).hexdigest()[:8]}"
    if folder.exists() or assemble is None:
        return folder
    FOLDER.mkdir(exist_ok=True)
    with only_one_at_a_time():
        if not folder.exists():  # Another terminal may have been faster.
            with tempfile.TemporaryDirectory(prefix="new-", dir=FOLDER, ignore_cleanup_errors=True) as new:
                assemble(Path(new, name))
                rename(Path(new, name), folder)
        # No other installation is running, and the pip of one that was killed may have gone on until now.
        for left_by_a_kill in FOLDER.glob("new-*"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
    return folder


@contextlib.contextmanager
def only_one_at_a_time():
    """Wait until no other process assembles anything in .demo."""
    with open(FOLDER / "lock", "w") as file:
        wait_for(lambda: lock(file) or time.sleep(1))
        yield


def lock(file):
    """Whether this process has locked the file; it is unlocked when it is closed."""
    with contextlib.suppress(BlockingIOError, PermissionError):
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def rename(old, new, seconds=10):
    """Rename a folder. On Windows, antivirus programs and OneDrive open new files, and prevent it for a while."""
    while True:
        try:
            return old.rename(new)
        except PermissionError:
            if seconds == 0:
                raise
        seconds -= 1
        time.sleep(1)


def run(folder, python, *arguments):
    """Run Python, with its temporary files in a folder. If it fails, show what it has printed, and exit."""
    process = subprocess.Popen(
        [python, "-I", *arguments],
        env=ENVIRONMENT | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)),
        errors="replace",
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
    )

    def output_of_ended_process():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=2)
        return None

    with process:
        try:
            output, _ = wait_for(output_of_ended_process)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        sys.exit(f"{output}Search README.md, Troubleshooting, for this message.")


def wait_for(look):
    """What a function returns once that is true. Meanwhile, a terminal shows a dot for each look."""
    dots = 0
    while not (found := look()):
        if sys.stderr.isatty():
            print(".", end="", file=sys.stderr, flush=True)
            dots += 1
    if dots:
        print(file=sys.stderr)
    return found


def start(main):
    """Become the command that a main function returns, in the environment that it returns."""
    try:
        command, environment = main()
        command = [os.fspath(word) for word in command]
        if os.name != "nt":
            os.execve(command[0], command, environment)
        # On Windows, the shell would not wait for a process that another has become.
        signal.signal(signal.SIGINT, lambda *_: None)  # The command decides what Ctrl-C means.
        sys.exit(subprocess.call(command, env=environment))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    except OSError as error:
        sys.exit(str(error))
