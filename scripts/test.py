"""Run every check: ruff, shellcheck, and the tests.

usage: python3 scripts/test.py [PYTEST ARGUMENTS ...]

With a path, -k, or -m, only these tests run, with what is installed already.
--long tries many more fuzzed inputs and answers.
--live creates vaults in your subscription, tries them, and deletes them.
"""

import os
import sys

sys.path.insert(
    0, os.path.dirname(os.path.abspath(__file__))
)  # With python3 -I, this folder is not on the path.
import environments


def main():
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        sys.exit(print(__doc__))
    if os.name == "nt":
        sys.exit("The tests need Linux, macOS, or WSL.")
    os.chdir(environments.ROOT)
    is_selection = any(
        one.startswith(("-k", "-m", "--live")) or os.path.exists(one.partition("::")[0]) for one in arguments
    )
    environments.make_demo()
    packages = (
        environments.SAMPLE + environments.STAND_IN + environments.requirements("tests/requirements.txt")
    )
    imports = "hypothesis, pexpect, xdist"
    python = environments.make(
        "tests", packages, imports, "what the tests need (120 MB)", environments.AZ_PROGRAMS
    )
    az = environments.make_azure_cli(only_look=is_selection)
    environment = dict(environments.ENVIRONMENT)
    if "--live" in arguments:
        arguments += ["--capture=no", "tests/test_live.py"]
    else:
        environment["PATH"] = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
        environment["STAND_IN_AZ"] = str(az if az.exists() else "")
    if not is_selection:
        # Downloads the packages for the shell of the demo.
        environments.run(environments.FOLDER, sys.executable, "scripts/demo.py", "--az", "az", "version")
        environment["INSTALL"] = "1"
        arguments.append("--numprocesses=4")
    return [python, "-m", "pytest", *arguments], environment


if __name__ == "__main__":
    environments.start(main)
