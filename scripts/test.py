"""Run every check: ruff, shellcheck, and the tests.

usage: python3 scripts/test.py [PYTEST ARGUMENTS ...]

PYTEST ARGUMENTS select tests, such as -k demo. --long tries many more fuzzed
inputs and answers, and a longer load; it takes about 15 minutes more.

The sample runs on each Python from 3.10 on that is on the PATH or under pyenv,
and with the oldest packages that requirements.txt allows. The first run
installs all that the tests need in the folder .demo, with the Azure CLI.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import environments

RUFF = ["--quiet", "--config", "tests/ruff.toml", "."]


def main():
    if sys.argv[1:] in (["--help"], ["-h"]):
        sys.exit(print(__doc__))
    os.chdir(environments.ROOT)
    sample = environments.requirements_in("requirements.txt")
    stand_in = environments.requirements_in("tests/stand_in/requirements.txt")
    needed = sample + stand_in + environments.requirements_in("tests/requirements.txt")
    python = environments.make("tests", needed, "what the tests need (120 MB)")

    oldest = [word.replace("~=", "==") for word in sample]
    pythons = {"oldest": environments.make("oldest", oldest, "the sample's oldest packages (50 MB)")}
    for version, other in other_pythons().items():
        size = f"the sample on Python {version} (50 MB)"
        pythons[version] = environments.make(version, sample, size, other)
    # What the demo needs, so that the tests of the demo need no network.
    demo = environments.make("demo", sample + stand_in, "what the demo needs (54 MB)")
    environments.download("packages", sample, demo)
    az = environments.make(
        "az", environments.requirements_in("tests/az-requirements.txt"), "the Azure CLI (730 MB)"
    )

    check(python, "-m", "ruff", "check", *RUFF)
    check(python, "-m", "ruff", "format", "--check", "--diff", *RUFF)
    check(python.parent / "shellcheck", "--external-sources", *Path("scripts").glob("*.sh"), ".ci/run")
    environment = environments.plain_environment() | {
        "SAMPLE_PYTHONS": json.dumps({version: str(path) for version, path in pythons.items()}),
        "STAND_IN_AZ": str(az),
    }
    tests = ["-m", "pytest", "-c", "tests/pytest.ini", "--rootdir", ".", "--numprocesses", "4"]
    environments.start(python, [python, *tests, *sys.argv[1:]], environment)


def other_pythons():
    """The interpreters of other versions that can make an environment, by their versions."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = {}
    for minor in range(10, 20):
        version = f"3.{minor}"
        candidates = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")]
        for python in filter(None, candidates):
            say = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info))"
            ended = subprocess.run([python, "-I", "-c", say], capture_output=True, text=True)
            if ended.stdout.strip() == version != "{}.{}".format(*sys.version_info):
                found.setdefault(version, python)
    return found


def check(*command):
    status = subprocess.call(command, env=environments.plain_environment())
    if status:
        sys.exit(status)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
