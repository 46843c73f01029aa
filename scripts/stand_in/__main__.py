"""Run a command with the stand-in for Azure in Azure's place: ``python scripts/stand_in COMMAND``."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

if not __package__:
    # Run as a folder, as above: Python has put the folder itself on the path, not its parent.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# Signals that ask a program to end. Windows has no SIGHUP.
ENDING = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}

if __name__ == "__main__":
    # Before the imports, which take a moment.
    for number in ENDING:
        signal.signal(number, lambda number, _: sys.exit(128 + number))

from stand_in import StandIn
from stand_in.trace import Trace

# A reader's startup file could lead a shell out of the stand-in, so none is read.
NO_START_UP_FILE = {
    "bash": ["--noprofile", "--norc"],
    "zsh": ["-f"],
    "fish": ["--no-config"],
    "powershell": ["-NoProfile"],
    "pwsh": ["-NoProfile"],
    "cmd": ["/D"],
}


def main(arguments=None):
    """Run the command on this terminal and return its exit status, 128 + n for signal n."""
    parser = argparse.ArgumentParser(prog="stand_in", description=__doc__)
    parser.add_argument("--empty", action="store_true", help="start without a vault or a service principal")
    parser.add_argument("--trace", action="store_true", help="show each request on standard error")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args(arguments)
    if not options.command:
        parser.error("a COMMAND is required")
    with StandIn() as stand_in:
        # As the tutorial creates it.
        stand_in.vault.retention_days = 7
        prompt = {"PROMPT": "(stand-in) $G "} if os.name == "nt" else {"PS1": "(stand-in) $ "}
        environment = stand_in.environment() | prompt
        if options.empty:
            stand_in.reset()
            for name in ("KEY_VAULT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
                del environment[name]
        if options.trace:
            if os.name == "nt":
                os.system("")  # An older console shows colors only after this.
            stand_in.log.trace = Trace(sys.stderr)
        program, *rest = options.command
        return run([program, *NO_START_UP_FILE.get(Path(program).stem.lower(), []), *rest], environment)


def run(command, environment):
    """Run a command until it ends, passing on the signals that ask it to end."""
    # By itself, Windows looks for the command beside the Python that runs this, and only for an .exe file.
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    if os.name == "nt" and Path(program).stem.lower() == "bash" and is_of_wsl(program):
        print("bash: This is the bash of WSL, which would not use the stand-in.", file=sys.stderr)
        print("Use powershell or cmd instead, or start the demo in Git Bash or in WSL.", file=sys.stderr)
        return 126
    # The terminal sends Ctrl-C to the command as well, and the command decides what it means.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen([program, *command[1:]], env=environment)
    except OSError as problem:
        print(f"{command[0]}: {problem.strerror}", file=sys.stderr)
        return 127 if isinstance(problem, FileNotFoundError) else 126
    for number in ENDING - {signal.SIGINT}:
        signal.signal(number, lambda number, _: process.send_signal(number))
    status = process.wait()
    return status if status >= 0 else 128 - status


def is_of_wsl(program):
    """Whether a program is where Windows and the Microsoft Store put theirs."""
    return Path(program).parent.name.lower() in ("system32", "sysnative", "windowsapps")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:  # For example, the temporary folder cannot be written.
        sys.exit(str(error))
