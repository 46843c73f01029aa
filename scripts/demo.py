"""Run the sample, or another command, without an Azure account.

While it runs, a stand-in on this machine takes the place of Azure.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys

import environments

EPILOG = """
Every start is a fresh start. What is sent to Azure does not leave this machine.

python3 scripts/demo.py                 the sample
python3 scripts/demo.py --az bash       a shell in which Azure is the stand-in

The first run installs 54 MB in the folder .demo.
"""


def main():
    parser = argparse.ArgumentParser(
        usage="python3 scripts/demo.py [--az] [--trace] [COMMAND ...]",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    az_help = "start with an empty Azure, and with the Azure CLI; if it is not on the PATH, it is installed"
    parser.add_argument("--az", action="store_true", help=f"{az_help} (730 MB, 1 to 2 minutes, once)")
    parser.add_argument("--trace", action="store_true", help="show each request and its answer")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.az and not options.command:
        parser.error("--az needs a COMMAND, such as bash")

    sample = environments.requirements_in("requirements.txt")
    needed = sample + environments.requirements_in("tests/stand_in/requirements.txt")
    python = environments.make("demo", needed, "what the demo needs (54 MB, some seconds)")
    environment = environments.plain_environment()
    command = [python, "-I", environments.ROOT / "tests/stand_in"]
    if options.trace:
        command.append("--trace")
    if options.az:
        command += ["--az", find_az()]
        # No package index can be reached from there.
        packages = environments.download("packages", sample, python)
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": packages.as_uri()}
    if not options.command:
        command += ["--again", this_command()]
    command += options.command or ["python", environments.ROOT / "kv_secrets.py"]
    environments.start(python, command, environment)


def this_command():
    if os.name == "nt":
        return subprocess.list2cmdline(["py", *sys.argv])
    return shlex.join(["python3", *sys.argv])


def find_az():
    """The az on the PATH, or the Python that has one."""
    requirements = environments.requirements_in("tests/az-requirements.txt")
    size = "the Azure CLI (730 MB, 1 to 2 minutes)"
    return shutil.which("az") or environments.make("az", requirements, size)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
