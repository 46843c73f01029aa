#!/usr/bin/env bash
# Runs the sample, or another command, with a stand-in for Azure on this machine in Azure's place.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -eu
# shellcheck source=scripts/set_up.sh
. "$(dirname "$(readlink -f "$0" 2>/dev/null || printf '%s' "$0")")/set_up.sh"
stop_on_ctrl_c

help=$(
  cat <<'TEXT'
usage: scripts/demo.sh [--az] [--trace] [COMMAND ...]

Runs COMMAND, or the sample if there is none, without an Azure account: while
it runs, a stand-in for Azure on this machine answers it. Every start is a
fresh start. What is sent to Azure does not leave this machine.

--az      for the whole tutorial: Azure is empty, and the Azure CLI is signed
          in to it; if there is no az on the PATH, it is installed (730 MB,
          about a minute, once)
--trace   show each request and its answer on standard error, without values,
          tokens, and client secrets

scripts/demo.sh                the sample
scripts/demo.sh --az bash      a shell in which Azure is the stand-in

The first run installs packages (120 MB, some seconds) in the folder .demo.
TEXT
)
options=()
while [ $# -gt 0 ]; do
  case $1 in
  --az | --trace) options+=("$1") && shift ;;
  --help | -h | help) printf '%s\n' "$help" && exit ;;
  -*) unknown_argument "$1" ;;
  *) break ;;
  esac
done

set_up
case " ${options[*]-} " in
*' --az '*)
  set_up_az
  set_up_packages
  # The tutorial, which COMMAND is for, creates its own vault.
  [ $# -eq 0 ] || options+=(--empty)
  ;;
esac
if [ $# -eq 0 ]; then
  options+=(--again "$again")
  set -- python "$root/kv_secrets.py"
fi
rm -f "$az_words"
exec python "$root/tests/stand_in" ${options[@]+"${options[@]}"} "$@"
