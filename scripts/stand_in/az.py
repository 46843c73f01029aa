"""The Azure CLI, as the demo has it: ``python az.py ARGUMENTS ...`` runs az with these arguments.

STAND_IN_AZ in the environment is az's program, or a Python that has the Azure CLI. To sign in, az
would open a browser, which would connect to Azure itself. So it is told to use a device code, which the
stand-in accepts.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

# With these, az login opens no browser.
WITHOUT_BROWSER = {"--service-principal", "--identity", "-i", "--username", "-u", "--use-device-code"}
HELP = {"--help", "-h"}

if __name__ == "__main__":
    az, arguments = os.environ.pop("STAND_IN_AZ", ""), sys.argv[1:]
    if not az:
        on_windows = r"py scripts\demo.py --az powershell"
        print("az: not found. To get the Azure CLI in the demo, start it with --az:", file=sys.stderr)
        print(on_windows if os.name == "nt" else "python3 scripts/demo.py --az bash", file=sys.stderr)
        sys.exit(127)
    if arguments[:1] == ["login"] and not (WITHOUT_BROWSER | HELP) & set(arguments):
        arguments.append("--use-device-code")
    command = [az]
    if Path(az).stem.startswith("python"):
        # What is compiled when it is first imported would show warnings that the installed az does not show.
        command += ["-I", "-W", "ignore::SyntaxWarning", "-m", "azure.cli"]
    if os.name == "nt":
        signal.signal(signal.SIGINT, lambda *_: None)  # The Azure CLI decides what Ctrl-C means.
        sys.exit(subprocess.call(command + arguments))
    os.execv(az, command + arguments)
