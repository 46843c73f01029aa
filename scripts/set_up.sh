# shellcheck shell=bash
# Read by the other scripts, not run. set_up makes .venv, with what the sample and its tests need,
# and puts it first on the PATH. What there is to tell is told on standard error.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

# Print the command of a Python that can make the environment.
find_python() {
  local candidate without_venv=
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
    without_venv=$candidate
  done
  [ -z "$without_venv" ] ||
    fail "Python is here ($without_venv), but its venv module, which this needs, is not." \
      'Install that, on Debian and Ubuntu with:' \
      'sudo apt install python3-venv'
  fail 'There is no Python 3.10 or newer on the PATH, which this needs.' \
    'Install one from https://www.python.org/downloads/, on Debian and Ubuntu with:' \
    'sudo apt install python3 python3-venv'
}

# make_environment FOLDER PYTHON REQUIREMENTS: a virtual environment with what REQUIREMENTS, a text
# of pip's, asks for. It is made once, and again when that changes or when its Python is gone.
# An empty PYTHON is found.
make_environment() {
  local folder=$1 python=$2 requirements=$3
  if [ "$(cat "$folder/requirements.txt" 2>/dev/null)" = "$requirements" ] &&
    "$folder/bin/python" -c '' 2>/dev/null; then
    return
  fi
  [ -n "$python" ] || python=$(find_python) || exit
  say "Making $folder, once ..."
  if ! "$python" -m venv --clear "$folder" >&2 ||
    ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
      --requirement /dev/stdin <<<"$requirements" >&2; then
    fail "$folder could not be made; the reason stands above." \
      'If it is the network, mend that. Then run the same command again.'
  fi
  printf '%s\n' "$requirements" >"$folder/requirements.txt"
}

set_up() {
  make_environment "$root/.venv" '' "$(cat "$root/requirements.txt" "$root/tests/requirements.txt")"
  export VIRTUAL_ENV=$root/.venv PATH=$root/.venv/bin:$PATH
}

# Put the Azure CLI on the PATH, where there is none: its own libraries are older than the sample's,
# so that it needs an environment of its own.
set_up_az() {
  command -v az >/dev/null && return
  if [ ! -f "$root/.venv-az/requirements.txt" ]; then
    say 'The Azure CLI takes a minute, and 730 MB.'
  fi
  make_environment "$root/.venv-az" '' "$(cat "$root/tests/az-requirements.txt")"
  export PATH=$PATH:$root/.venv-az/bin
}
