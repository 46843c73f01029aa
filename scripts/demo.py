"""Run a command while a local simulator (the stand-in) answers instead of Azure.

python3 scripts/demo.py                  run the sample
python3 scripts/demo.py python my.py     run your own program
python3 scripts/demo.py --az bash        open a shell for the whole tutorial

Every start is a fresh start, and no request to Azure leaves this machine. The
first run installs 52 MB in the folder .demo.
"""

import os
import sys

sys.path.insert(
    0, os.path.dirname(os.path.abspath(__file__))
)  # With python3 -I, this folder is not on the path.
import environments  # isort: skip (It checks first which Python this is.)

import argparse
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path


def main():
    usage = "python3 scripts/demo.py [--az] [--trace] [COMMAND ...]"
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage=usage, description=__doc__, formatter_class=style)
    az_help = "start without a vault, and with the Azure CLI (installed if it is missing: 392 MB)"
    parser.add_argument("--az", action="store_true", help=az_help)
    parser.add_argument("--trace", action="store_true", help="show each request and its answer")
    parser.add_argument("COMMAND", nargs=argparse.REMAINDER, help="what to run; put options before it")
    options = parser.parse_args()
    if options.az and not options.COMMAND:
        parser.error("--az needs a COMMAND, such as bash")
    if options.COMMAND and options.COMMAND[0].endswith(".py"):
        parser.error(f"to run a program, put python before it: python {options.COMMAND[0]}")

    python = environments.make_demo()
    command = [python, "-I", environments.ROOT / "scripts/stand_in"]
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    environment = environments.ENVIRONMENT | {"PATH": path, "STAND_IN_AZ": ""}
    if options.trace:
        command.append("--trace")
    if options.az:
        command.append("--empty")
        az = find_az() or environments.make_azure_cli()
        environment |= {"STAND_IN_AZ": str(az), **packages(python)}
    if Path(shutil.which("az", path=path) or "").parent != python.parent:
        sys.exit(f"The az in {python.parent} cannot be run, and another one could connect to Azure itself.")
    return command + (options.COMMAND or ["python", environments.ROOT / "kv_secrets.py"]), environment


def find_az():
    """The az of the demo's shell that this is run in, or the reader's, if it uses AZURE_CONFIG_DIR.

    One in a container, or Windows' az in WSL, does not get our settings, and would sign in to Azure itself.
    """
    if os.environ.get("STAND_IN_AZ"):
        return os.environ["STAND_IN_AZ"]
    az = shutil.which("az")
    if az is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        # It would check for updates, so that nothing listens at this proxy.
        settings = {"AZURE_CONFIG_DIR": folder, "HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}
        settings["AZURE_CORE_COLLECT_TELEMETRY"] = "no"
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            environment = environments.ENVIRONMENT | settings
            subprocess.run([az, "config", "get"], env=environment, timeout=60, **quiet)
        return az if any(Path(folder).iterdir()) else None


def packages(python):
    """The settings that let pip install the sample's packages where no package index can be reached."""

    def download(new):
        arguments = ["-m", "pip", "download", "--quiet", "--dest", new, *environments.SAMPLE]
        environments.run(new.parent, python, *arguments)

    folder = environments.put_together("packages", f"{environments.SAMPLE} {sys.version}", download)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder.as_uri()}


if __name__ == "__main__":
    environments.start(main)
