#!/usr/bin/env bash
set -eu
# shellcheck source=scripts/set_up.sh
. "$(dirname "$0")/set_up.sh"

if [ "${1-}" = --help ] || [ "${1-}" = -h ]; then
  cat <<'TEXT'
usage: scripts/test.sh [PYTEST ARGUMENTS ...]

Runs every check: ruff, shellcheck and the tests. PYTEST ARGUMENTS choose among the tests,
for example: scripts/test.sh -k demo

The sample's good runs are tested on every Python from 3.10 to 3.14 that is on the PATH or
under pyenv, and with the oldest packages that requirements.txt allows; with --every-python
all that the sample does is. The first run makes .venv, one more for each of those, and one for
the Azure CLI where there is no az on the PATH.
TEXT
  exit
fi

set_up
cd "$root"
for version in 3.10 3.11 3.12 3.13 3.14; do
  for python in "$(command -v "python$version")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      make_environment "$root/.venv-$version" "$python" "$(cat requirements.txt)"
      break
    fi
  done
done
set_up_az
make_environment "$root/.venv-oldest" python "$(sed 's/~=/==/' requirements.txt)"

ruff check --quiet --config tests/ruff.toml .
ruff format --check --quiet --diff --config tests/ruff.toml .
shellcheck --external-sources scripts/*.sh .ci/run
exec python -m pytest -c tests/pytest.ini --rootdir . --numprocesses 4 "$@"
