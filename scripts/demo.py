"""Run a command while a local simulator (the stand-in) answers instead of Azure.

python3 scripts/demo.py                  run the sample
python3 scripts/demo.py python my.py     run your own program
python3 scripts/demo.py --az bash        open a shell for the whole tutorial

Every start is a fresh start, and no request to Azure leaves this machine. The
first run installs 54 MB in the folder .demo.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (to say so to whoever has an older one)
    message = "Python 3.10 or newer is required, and this is Python {}.{}. To install it, see {}."
    sys.exit(message.format(*sys.version_info[:2], "https://www.python.org/downloads/"))
try:
    import ensurepip  # noqa: F401 (Debian and Ubuntu package it apart from Python, as python3-venv)
except ImportError:
    sys.exit("Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv")

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = (ROOT / "requirements.txt").read_text(encoding="utf-8")
STAND_IN = (ROOT / "scripts/stand_in/requirements.txt").read_text(encoding="utf-8")
DEMO = ("demo", SAMPLE + STAND_IN, "azure.identity, azure.keyvault.secrets, jwt, trustme", "the demo (54 MB)")
AZURE_CLI = ("az", "azure-cli==2.91.0", "azure.cli", "the Azure CLI (730 MB)")
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"
# The az beside it, for sh and for cmd.
AZ_PROGRAMS = {
    "az": '#!/bin/sh\nexec "${0%/*}/python" -I "${0%/*}/../../../scripts/stand_in/az.py" "$@"\n',
    "az.cmd": '@"%~dp0python" -I "%~dp0..\\..\\..\\scripts\\stand_in\\az.py" %*\n',
}
# The reader's settings for Python, and for pip install --user, are not for a virtual environment.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
ENVIRONMENT |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def main():
    usage = "python3 scripts/demo.py [--az] [--trace] [COMMAND ...]"
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage=usage, description=__doc__, formatter_class=style)
    az_help = "start without a vault, and with the Azure CLI (installed if it is missing: 730 MB)"
    parser.add_argument("--az", action="store_true", help=az_help)
    parser.add_argument("--trace", action="store_true", help="show each request and its answer")
    parser.add_argument("COMMAND", nargs=argparse.REMAINDER, help="what to run; options stand before it")
    options = parser.parse_args()
    if options.az and not options.COMMAND:
        parser.error("--az needs a COMMAND, such as bash")

    python = make(*DEMO)
    command = [python, "-I", ROOT / "scripts/stand_in"]
    az = os.environ.get("STAND_IN_AZ") or shutil.which("az")
    if options.trace:
        command.append("--trace")
    if options.az:
        command.append("--empty")
        az = az or make(*AZURE_CLI)
        # No package index can be reached from there.
        download = ["-m", "pip", "download", "--quiet", *SAMPLE.split(), "--dest"]
        packages = put_together("packages", SAMPLE + sys.version, lambda new: run(python, *download, new))
        ENVIRONMENT.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=packages.as_uri())
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    if Path(shutil.which("az", path=path) or "").parent != python.parent:
        sys.exit(f"The az in {python.parent} cannot be run. Another one could connect to Azure itself.")
    ENVIRONMENT.update(PATH=path, STAND_IN_AZ=str(az or ""))
    return command + (options.COMMAND or ["python", ROOT / "kv_secrets.py"])


def make(name, requirements, imports, what, only_look=False):
    """The Python of a virtual environment. If it is missing, it is installed, and called ``what``."""

    def install(new):
        print(f"Installing {what} in .demo, once ...", file=sys.stderr)
        run(sys.executable, "-m", "venv", new)
        # An empty --target overrides the one in a pip.conf.
        run(new / PYTHON, "-m", "pip", "install", "--quiet", "--target=", *requirements.split())
        run(new / PYTHON, "-c", f"import {imports}")
        for program, text in AZ_PROGRAMS.items():
            (new / PYTHON).with_name(program).write_text(text, encoding="utf-8")
            (new / PYTHON).with_name(program).chmod(0o755)

    contents = f"{sys.version} {sys.base_prefix} {requirements} {AZ_PROGRAMS}"
    return put_together(name, contents, None if only_look else install) / PYTHON


def put_together(name, contents, assemble):
    """The folder in .demo for these contents. If it is missing, it is assembled under another name."""
    folder = ROOT / ".demo" / f"{name}-{hashlib.sha256(contents.encode()).hexdigest()[:8]}"
    if assemble and not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=folder.parent) as new:
            assemble(Path(new, name))
            with contextlib.suppress(OSError):  # Another terminal may have been faster.
                Path(new, name).rename(folder)
    return folder


def run(python, *arguments):
    """Run Python. If it fails, what it has printed is shown, and the process ends."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    ended = subprocess.run([python, "-I", *arguments], env=ENVIRONMENT, errors="replace", **pipes)
    if ended.returncode:
        sys.exit(f"{ended.stdout}Search README.md, Troubleshooting, for this message.")


def start(main):
    """Become the command that a main function returns."""
    try:
        command = [os.fspath(word) for word in main()]
        if os.name == "nt":  # There, the shell would not wait for a process that another has become.
            sys.exit(subprocess.call(command, env=ENVIRONMENT))
        os.execve(command[0], command, ENVIRONMENT)
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    start(main)
