"""The Azure CLI, as the demo has it: ``python az.py AZ ARGUMENTS ...`` runs az with these arguments.

AZ is az's program, or this very Python if it has the Azure CLI. To sign somebody in, az would open a
browser, and that would leave this machine. So it is told to use a code, which the stand-in accepts.
"""

import os
import runpy
import subprocess
import sys

# With these, az login opens no browser.
WITHOUT_BROWSER = {"--service-principal", "--identity", "-i", "--username", "-u", "--use-device-code"}
HELP = {"--help", "-h"}

if __name__ == "__main__":
    az = sys.argv.pop(1)
    if sys.argv[1:2] == ["login"] and not (WITHOUT_BROWSER | HELP) & set(sys.argv):
        sys.argv.append("--use-device-code")
    if az == sys.executable:
        runpy.run_module("azure.cli", run_name="__main__", alter_sys=True)
    elif os.name == "nt":
        sys.exit(subprocess.call([az, *sys.argv[1:]]))
    else:
        os.execv(az, [az, *sys.argv[1:]])
