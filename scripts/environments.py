"""Virtual environments in the folder .demo, for demo.py and test.py.

The name of an environment's folder tells what is in it, by a hash. So none is ever changed: other
requirements, or another Python, mean another folder. Because the folder may be moved, everything in it
is run as ``python -m ...``.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (to say so to whoever has an older one)
    sys.exit(
        "Python 3.10 or newer is required, and this is Python {}.{}. To install it, see "
        "https://www.python.org/downloads/.".format(*sys.version_info)
    )
try:
    import ensurepip  # noqa: F401 (Debian and Ubuntu package it apart from Python, as python3-venv)
    import venv  # noqa: F401
except ImportError:
    sys.exit("Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv")

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
# Settings that change what Python and pip do. Those that say where packages come from are kept.
CHANGES = re.compile("PYTHON|PIP_(USER|TARGET|PREFIX|ROOT|PYTHON|REQUIRE|NO_DEPS|DRY_RUN)")


def plain_environment():
    """The environment variables without the reader's settings for Python."""
    return {name: value for name, value in os.environ.items() if not CHANGES.match(name)}


def make(name, requirements, size, python=sys.executable):
    """The path of the Python in an environment, which is made if it is not there yet.

    ``requirements`` are words for pip, ``size`` is what to say of them, ``python`` is the Python that
    the environment is for. Ends the process with pip's own words if something cannot be installed.
    """
    identify = "import sys, sysconfig; print(sys.version, sys.base_prefix, sysconfig.get_platform())"
    folder = named(name, run([python, "-I", "-c", identify]), *requirements)

    def install(new):
        run([python, "-m", "venv", str(new)])
        pip(python_of(new), "install", *requirements)

    if not starts(folder):
        print(f"Installing {size} in .demo, once ...", file=sys.stderr)
        put_in_place(folder, starts, install)
        print("Installed.", file=sys.stderr)
    return python_of(folder)


def download(name, requirements, python):
    """The path of a folder with packages for an environment's Python, so that pip finds them offline."""
    folder = named(name, python.parent.parent.name, *requirements)
    if not folder.exists():
        put_in_place(folder, Path.exists, lambda new: pip(python, "download", "--dest", new, *requirements))
    return folder


def named(name, *contents):
    return FOLDER / f"{name}-{hashlib.sha256(repr(contents).encode()).hexdigest()[:8]}"


def python_of(folder):
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def starts(folder):
    """Whether an environment is there, and the Python that it was made from is still there, too."""
    try:
        return subprocess.call([python_of(folder), "-I", "-c", ""], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def put_in_place(folder, is_good, make_at):
    """Make a folder under another name, and rename it when it is complete."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=FOLDER, ignore_cleanup_errors=True) as new:
        new = Path(new)
        make_at(new / "made")
        if folder.exists() and not is_good(folder):
            folder.rename(new / "broken")
        try:
            (new / "made").rename(folder)
        except OSError:
            # Unless someone else, who made the same, was faster.
            if not is_good(folder):
                raise


def pip(python, command, *arguments):
    run([python, "-I", "-m", "pip", command, "--quiet", "--disable-pip-version-check", *arguments])


def run(command):
    """What a command prints. If it fails, that is shown, and the process ends."""
    # A pip configuration file of the reader's can ask for what no virtual environment has.
    environment = plain_environment() | {"PIP_USER": "0"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    ended = subprocess.run(command, env=environment, encoding="utf-8", errors="replace", **pipes)
    if ended.returncode:
        sys.exit(f"{ended.stdout}Look up the words above in README.md, under Troubleshooting.")
    return ended.stdout


def requirements_in(*paths):
    """What requirements files of the project ask for, as words for pip."""
    return [word for path in paths for word in (ROOT / path).read_text(encoding="utf-8").split()]


def start(python, command, environment):
    """Become a command in an environment: its ``python`` is the first on the PATH."""
    path = os.pathsep.join([str(python.parent), environment.get("PATH", os.defpath)])
    environment = environment | {"PATH": path}
    command = [os.fspath(word) for word in command]
    if os.name == "nt":  # There, the shell would not wait for a process that another has become.
        sys.exit(subprocess.call(command, env=environment))
    os.execve(command[0], command, environment)
