#!/usr/bin/env bash
# Runs every check: ruff, shellcheck, and the tests.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -eu
# shellcheck source=scripts/set_up.sh
. "$(dirname "$(readlink -f "$0" 2>/dev/null || printf '%s' "$0")")/set_up.sh"
stop_on_ctrl_c

if [ "${1-}" = --help ] || [ "${1-}" = -h ] || [ "${1-}" = help ]; then
  cat <<'TEXT'
usage: scripts/test.sh [PYTEST ARGUMENTS ...]

Runs every check: ruff, shellcheck, and the tests. PYTEST ARGUMENTS select
tests, for example: scripts/test.sh -k demo

--long tries many more fuzzed inputs and answers, and a longer load; it takes
about 15 minutes more, and prints how many cases it tried. A case that fails is
printed as a command that runs it again.

The good runs of the sample are tested on every Python from 3.10 to 3.14 that
is on the PATH or under pyenv, and with the oldest packages that
requirements.txt allows; with --every-python, all that the sample does. The
first run installs all that in the folder .demo, with the Azure CLI if there is
no az on the PATH.
TEXT
  exit
fi

set_up
cd "$root"
sample_modules=(azure.identity azure.keyvault.secrets)
for version in 3.10 3.11 3.12 3.13 3.14; do
  for python in "$(command -v "python$version")" "${PYENV_ROOT:-${HOME-}/.pyenv}/versions/$version".*/bin/python; do
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      make_environment "$version" "$python" "$(cat requirements.txt)" "the sample on Python $version, 50 MB" \
        "${sample_modules[@]}"
      break
    fi
  done
done
make_environment oldest python "$(sed 's/~=/==/' requirements.txt)" 'the oldest packages, 50 MB' "${sample_modules[@]}"
set_up_az
(set_up_packages)

ruff check --quiet --config tests/ruff.toml .
ruff format --check --quiet --diff --config tests/ruff.toml .
shellcheck --external-sources scripts/*.sh .ci/run
rm -f "$az_words"
exec python -m pytest -c tests/pytest.ini --rootdir . --numprocesses 4 "$@"
