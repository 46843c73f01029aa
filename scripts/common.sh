# shellcheck shell=bash
# Read by the other scripts, not run.

say() {
  printf '%s\n' "$@" >&2
}

fail() {
  say "$@"
  exit 1
}

# help_or_fail HELP ARGUMENT: print HELP where that is asked for; any other ARGUMENT is a mistake.
help_or_fail() {
  if [ "$2" = --help ] || [ "$2" = -h ]; then
    printf '%s\n' "$1"
    exit
  fi
  say "What is $2? This tells what it takes:" "$0 --help"
  exit 2
}

check_vault_name() {
  local LC_ALL=C
  if ! [[ $1 =~ ^[A-Za-z](-?[A-Za-z0-9])*$ ]] || [ ${#1} -lt 3 ] || [ ${#1} -gt 24 ]; then
    fail 'KEY_VAULT_NAME is not the name of a vault: 3 to 24 letters, digits and single hyphens,' \
      'with a letter first and no hyphen last. Set it to such a name:' 'export KEY_VAULT_NAME=your-vault'
  fi
}

# Print who is signed in to az: "user" or "servicePrincipal", and a name.
signed_in() {
  command -v az >/dev/null ||
    fail 'The Azure CLI, az, is not installed, or not on the PATH. Here is how to install it:' \
      'https://learn.microsoft.com/cli/azure/install-azure-cli'
  az account show --query "join(' ', [user.type, user.name])" --output tsv 2>/dev/null ||
    fail 'Nobody is signed in to the Azure CLI. Sign in:' 'az login'
}

lower() {
  printf '%s' "$1" | tr '[:upper:]' '[:lower:]'
}

# From lines of fields with tabs between them, print those whose first one is NAME, whatever its case.
named() {
  awk -F '\t' -v name="$1" 'tolower($1) == tolower(name)'
}
