#!/usr/bin/env bash
set -eu
# shellcheck source=scripts/set_up.sh
. "$(dirname "$0")/set_up.sh"

if [ "${1-}" = --help ] || [ "${1-}" = -h ]; then
  cat <<'TEXT'
usage: scripts/demo.sh [COMMAND ...]

Runs COMMAND, by default the sample, with no Azure account: a stand-in for Azure
on this machine answers it, and is gone when COMMAND ends. Nothing leaves this machine.

  scripts/demo.sh                        the sample
  scripts/demo.sh bash                   a shell in which Azure is the stand-in

The first run makes .venv and installs what is needed.
TEXT
  exit
fi

set_up
[ $# -gt 0 ] || set -- python "$root/kv_secrets.py"
exec python "$root/tests/stand_in" "$@"
