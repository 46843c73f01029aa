"""Run a command with the stand-in for Azure in Azure's place: ``python tests/stand_in COMMAND``."""

import os
import signal
import sys

# What asks a program to end. Windows knows no SIGHUP.
ENDING = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


def stop(number, _):
    """End at once, while there is nothing to clean up."""
    os.write(2, b"\nStopped.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    # From the start, since importing what follows takes a moment.
    for number in ENDING:
        signal.signal(number, stop)

import argparse
import subprocess
from pathlib import Path

if not __package__:
    # Run as a folder, as above: Python has put the folder itself on the path, not its parent.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stand_in import StandIn, shell
from stand_in.trace import Trace


def main(arguments=None):
    """Run the command on this terminal and return its exit status, 128 + n for signal n."""
    parser = argparse.ArgumentParser(prog="stand_in", description=__doc__)
    parser.add_argument("--az", action="store_true", help="sign in to the Azure CLI there, too")
    parser.add_argument("--trace", action="store_true", help="show each request on standard error")
    parser.add_argument("--empty", action="store_true", help="start without a vault")
    parser.add_argument("--again", metavar="LINE", help="what to type after COMMAND has failed")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args(arguments)
    if not options.command:
        parser.error("which command?")
    for number in ENDING:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with StandIn() as stand_in:
        # As the tutorial creates it.
        stand_in.vault.retention_days = 7
        environment = stand_in.environment()
        if options.empty:
            stand_in.state.vaults.clear()
            stand_in.state.groups.clear()
            del environment["KEY_VAULT_NAME"]
        if options.az:
            try:
                stand_in.sign_in_to_az(stand_in.state.admin)
            except (OSError, subprocess.CalledProcessError):
                sys.exit(
                    "The Azure CLI could not be signed in. Does it work, and is it up to date?\naz version"
                )
        if options.trace:
            stand_in.log.trace = Trace(sys.stderr)
        command, environment = shell.prepare(options.command, environment, stand_in.folder)
        status = run(command, environment)
    if options.again and status in (1, 2):
        print(f"In this demonstration, the command to run again is:\n{options.again}", file=sys.stderr)
    return status


def run(command, environment):
    """Run a command until it ends, passing on the signals that ask it to end."""
    # The terminal sends Ctrl-C to the command as well, and the command decides what it means.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as problem:
        print(f"{command[0]}: {problem.strerror}", file=sys.stderr)
        return 127 if isinstance(problem, FileNotFoundError) else 126
    for number in ENDING - {signal.SIGINT}:
        signal.signal(number, lambda number, _: process.send_signal(number))
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
