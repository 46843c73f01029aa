#!/usr/bin/env bash
set -eu
# shellcheck source=scripts/set_up.sh
. "$(dirname "$0")/set_up.sh"

help=$(
  cat <<'TEXT'
usage: scripts/demo.sh [--az] [--trace] [COMMAND ...]

Runs COMMAND, by default the sample, with no Azure account: a stand-in for Azure
on this machine answers it, and is gone when COMMAND ends. Nothing leaves this machine.

--az      with the Azure CLI signed in there too, so that the whole tutorial can be walked;
          where there is no az on the PATH, one is installed, which takes a minute, once
--trace   shows each request and its answer on standard error; values, tokens and client
          secrets never appear in it

scripts/demo.sh                the sample
scripts/demo.sh --az bash      a shell in which Azure is the stand-in

The first run makes .venv and installs what is needed.
TEXT
)
options=()
while [ $# -gt 0 ]; do
  case $1 in
  --az | --trace) options+=("$1") && shift ;;
  -*) help_or_fail "$help" "$1" ;;
  *) break ;;
  esac
done

set_up
case " ${options[*]-} " in *' --az '*) set_up_az ;; esac
[ $# -gt 0 ] || set -- python "$root/kv_secrets.py"
exec python "$root/tests/stand_in" ${options[@]+"${options[@]}"} "$@"
