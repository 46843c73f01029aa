# shellcheck shell=bash
# Sourced by provision.sh and cleanup.sh: the Azure CLI, whatever the reader's settings for it are.

# So that az prints plain values, and no command is about another group or region than it names.
export AZURE_CORE_OUTPUT=tsv AZURE_DEFAULTS_GROUP='' AZURE_DEFAULTS_LOCATION=''

# On Windows, az ends its lines with a carriage return, and Git Bash takes an argument that begins with
# a slash for a path.
az() {
  MSYS_NO_PATHCONV=1 command az "$@" </dev/null | tr -d '\r'
}

say() {
  printf '%s\n' "$@" >&2
}

# The comment at the top of the script.
show_help() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

wrong_usage() {
  say "$@" 'For help:' "$(printf '%q' "$0") --help"
  exit 2
}

# contains LINES LINE: whether one of the lines is this one, whatever its case.
contains() {
  grep -qixF -- "$2" <<<"$1"
}
