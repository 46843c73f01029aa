"""Python is checked by ruff, and shell by shellcheck."""

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

RUFF = [sys.executable, "-m", "ruff"]
SHELLCHECK = ["shellcheck", "scripts/provision.sh", ".ci/run"]


@pytest.mark.parametrize(
    "command", [[*RUFF, "check"], [*RUFF, "format", "--diff"], SHELLCHECK], ids=["check", "format", "shell"]
)
def test_there_is_nothing_to_say(command):
    if not shutil.which(command[0]):
        pytest.skip(f"There is no {command[0]}.")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stdout + ended.stderr
