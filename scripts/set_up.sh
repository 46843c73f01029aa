# shellcheck shell=bash
# Sourced by demo.sh and test.sh: they keep what they install in the folder .demo, and nowhere else.

# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Settings of the reader's that would change what is installed or run. Those that say where packages
# come from, such as PIP_INDEX_URL and HTTPS_PROXY, stay.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE BASH_ENV ENV
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_REQUIRE_VIRTUALENV PIP_NO_DEPS PIP_REQUIREMENT

# Print the command of a Python that can create a virtual environment.
find_python() {
  local candidate without_venv=
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python py; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
    without_venv=$candidate
  done
  [ -z "$without_venv" ] ||
    fail "Python is installed ($without_venv), but its venv module is not." \
      'To install it on Debian and Ubuntu:' 'sudo apt install python3-venv'
  fail 'There is no Python 3.10 or newer on the PATH.' \
    'To install one, see https://www.python.org/downloads/. On Debian and Ubuntu:' \
    'sudo apt install python3 python3-venv'
}

# programs FOLDER: where a virtual environment keeps its programs: Scripts on Windows, bin elsewhere.
programs() {
  if [ -d "$1/Scripts" ]; then printf '%s/Scripts' "$1"; else printf '%s/bin' "$1"; fi
}

# is_good FOLDER REQUIREMENTS MODULE ...: whether the environment is complete, is still where it was
# created, and has the modules.
is_good() {
  local folder=$1 requirements=$2
  shift 2
  [ "$(cat "$folder/made-for.txt" 2>/dev/null)" = "$folder"$'\n'"$requirements" ] &&
    "$(programs "$folder")/python" -I -c '
import sys
from importlib.util import find_spec
sys.exit(any(not (found := find_spec(name)) or not found.origin for name in sys.argv[1:]))' "$@" 2>/dev/null
}

# make_environment NAME PYTHON REQUIREMENTS SIZE MODULE ...: .demo/NAME, a virtual environment with what
# REQUIREMENTS, a text for pip, asks for, unless it exists. An empty PYTHON is looked for.
#
# It is created under another name and moved into place when it is complete, so that two can do this
# at once and nothing half made is ever used.
make_environment() {
  local folder=$root/.demo/$1 python=$2 requirements=$3 size=$4 outdated=false new programs
  shift 4
  is_good "$folder" "$requirements" "$@" && return
  [ -n "$python" ] || python=$(find_python) || exit
  new=$folder.new.$$
  mkdir -p "$root/.demo"
  trap 'rm -rf "$new"; say "" "Stopped. Nothing half made is left."; exit 130' INT
  trap 'rm -rf "$new" "$az_words"' EXIT
  remove_abandoned "$folder"
  if [ -e "$folder" ]; then outdated=true; fi
  say "Installing what is needed into .demo/$(basename "$folder"), once: $size ..."
  "$python" -m venv "$new" >&2 ||
    fail 'The virtual environment was not created; the reason is above. Then run this again:' "$again"
  programs=$(programs "$new")
  printf '%s\n' "$requirements" >"$new/requirements.txt"
  run_pip "$programs/python" install "$new"
  # Scripts name their Python by its path.
  "$programs/python" -I - "$programs" "$new" "$folder" <<'PYTHON'
import os, pathlib, sys
programs, new, folder = map(os.fsencode, sys.argv[1:])
for script in pathlib.Path(sys.argv[1]).iterdir():
    if script.is_file() and script.read_bytes()[:2] == b"#!":
        script.write_bytes(script.read_bytes().replace(new, folder))
PYTHON
  printf '%s\n' "$folder" "$requirements" >"$new/made-for.txt"
  # Only what was broken before is replaced, not what someone else has put there meanwhile.
  if $outdated && is_good "$folder" "$requirements" "$@"; then outdated=false; fi
  put_in_place "$new" "$folder" "$outdated"
  trap - INT
  trap 'rm -f "$az_words"' EXIT
  is_good "$folder" "$requirements" "$@" ||
    fail "The packages in $folder are incomplete. Remove that folder, and run this again:" "$again"
}

# put_in_place NEW FOLDER OUTDATED: rename NEW to FOLDER, in place of an OUTDATED one (true or false).
# If someone else was faster, theirs stays.
put_in_place() {
  if $3; then mv "$2" "$1.old" 2>/dev/null || true; fi
  mv -n "$1" "$2" 2>/dev/null || true
  # mv puts a folder into one that exists.
  rm -rf "$1" "$1.old" "${2:?}/$(basename "$1")"
}

# remove_abandoned FOLDER: what runs that were killed have left beside it.
remove_abandoned() {
  local left
  for left in "$1".new.*; do
    left=${left%.old}
    if [ -e "$left" ] && ! kill -0 "${left##*.}" 2>/dev/null; then rm -rf "$left" "$left.old"; fi
  done
}

# run_pip PYTHON COMMAND FOLDER OPTION ...: "pip install" or "pip download" what FOLDER/requirements.txt
# asks for. On a terminal, pip shows its progress.
run_pip() {
  local python=$1 command=$2 folder=$3
  shift 3
  set -- "$@" --disable-pip-version-check --retries 2 --log "$folder/pip.log"
  [ -t 2 ] || set -- "$@" --quiet --quiet --progress-bar off
  if "$python" -I -m pip "$command" "$@" --requirement "$folder/requirements.txt" >&2; then
    rm -f "$folder/pip.log"
    return
  fi
  if grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError|Max retries exceeded' "$folder/pip.log"; then
    fail 'There is no network, or pip cannot reach its package index.' \
      'Only the first run needs it. Connect, and run this again:' "$again"
  fi
  fail 'pip could not install the packages; the reason is above. Then run this again:' "$again"
}

set_up() {
  make_environment sample '' "$(cat "$root/requirements.txt" "$root/tests/requirements.txt")" \
    '120 MB, some seconds' azure.identity azure.keyvault.secrets trustme jwt pexpect pytest
  VIRTUAL_ENV=$root/.demo/sample
  PATH=$(programs "$VIRTUAL_ENV"):$PATH
  export VIRTUAL_ENV PATH
}

# Let pip install the sample's packages in the tutorial, though no network can be reached there.
set_up_packages() {
  local folder=$root/.demo/packages new=$root/.demo/packages.new.$$ outdated=false
  if [ "$(cat "$folder/requirements.txt" 2>/dev/null)" != "$(cat "$root/requirements.txt")" ]; then
    remove_abandoned "$folder"
    if [ -e "$folder" ]; then outdated=true; fi
    mkdir -p "$new"
    trap 'rm -rf "$new"; say "" "Stopped. Nothing half made is left."; exit 130' INT
    cp "$root/requirements.txt" "$new"
    run_pip "$(command -v python)" download "$new" --dest "$new"
    put_in_place "$new" "$folder" "$outdated"
    trap - INT
  fi
  # In this form, a path with a space is one path.
  PIP_FIND_LINKS=file://$(printf '%s' "$folder" | sed 's/%/%25/g; s/ /%20/g')
  export PIP_NO_INDEX=1 PIP_FIND_LINKS
}

# Put the Azure CLI on the PATH if there is none. Its libraries are older than those of the sample, so
# that it needs an environment of its own.
set_up_az() {
  command -v az >/dev/null && return
  local folder=$root/.demo/az
  make_environment az '' "$(cat "$root/tests/az-requirements.txt")" 'the Azure CLI, 730 MB, about a minute' azure.cli.__main__
  # pip's own az does not start where the path has a space.
  mkdir -p "$folder/command"
  # shellcheck disable=SC2016 # These variables are the new script's.
  printf '#!/bin/sh\nexec "$(dirname "$0")/../%s/python" -I -m azure.cli "$@"\n' "$(basename "$(programs "$folder")")" \
    >"$folder/command/az.$$"
  chmod +x "$folder/command/az.$$"
  mv -f "$folder/command/az.$$" "$folder/command/az"
  export PATH=$PATH:$folder/command
}
