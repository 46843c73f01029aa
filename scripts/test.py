"""Run every check: ruff, shellcheck, and the tests.

usage: python3 scripts/test.py [PYTEST ARGUMENTS ...]

With a path, -k, or -m, only these tests run, with what is installed already.
--long tries more fuzzed input and answers, and a longer load (15 minutes).
--live creates a vault in your subscription, tries it, and deletes it.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # With python3 -I, it is not there.
import demo

TESTS = (demo.ROOT / "tests/requirements.txt").read_text(encoding="utf-8")


def main():
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        sys.exit(print(__doc__))
    os.chdir(demo.ROOT)
    selects = ("-k", "-m", "--case", "--live")
    is_selection = any(one.startswith(selects) or os.path.exists(one.partition("::")[0]) for one in arguments)
    demo.make(*demo.DEMO)
    needed = demo.SAMPLE + demo.STAND_IN + TESTS
    python = demo.make("tests", needed, "hypothesis, pexpect, xdist", "what the tests need (120 MB)")
    az = demo.make(*demo.AZURE_CLI, only_look=is_selection)
    if "--live" in arguments:
        arguments += ["--capture=no", "tests/test_live.py"]
    else:
        path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
        demo.ENVIRONMENT.update(PATH=path, STAND_IN_AZ=str(az if az.exists() else ""))
    if not is_selection:
        demo.run(sys.executable, "scripts/demo.py", "--az", "az", "version")  # Downloads packages.
        demo.ENVIRONMENT["INSTALL"] = "1"
        arguments.append("--numprocesses=4")
    return [python, "-m", "pytest", *arguments]


if __name__ == "__main__":
    demo.start(main)
