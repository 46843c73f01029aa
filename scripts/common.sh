# shellcheck shell=bash
# Sourced by the other scripts: messages, and the Azure CLI.

# An exported CDPATH makes cd print. Git Bash rewrites an argument that begins with a slash.
unset CDPATH
export MSYS_NO_PATHCONV=1

# What to type to run the script again as it was run.
script=$(printf '%q' "$0")
again=$script
for argument in "$@"; do again+=" $(printf '%q' "$argument")"; done

say() {
  printf '%s\n' "$@" >&2
}

fail() {
  say "$@"
  exit 1
}

stop_on_ctrl_c() {
  trap 'say "" Stopped.; exit 130' INT
}

# unknown_argument ARGUMENT: a usage error, as for every command line.
unknown_argument() {
  say "Unknown argument: $1. For help:" "$script --help"
  exit 2
}

check_vault_name() {
  local LC_ALL=C
  if ! [[ $1 =~ ^[A-Za-z](-?[A-Za-z0-9])*$ ]] || [ ${#1} -lt 3 ] || [ ${#1} -gt 24 ]; then
    fail 'KEY_VAULT_NAME is not a valid vault name.' \
      'A name has 3 to 24 letters, digits, and single hyphens, starting with a letter and not ending with a' \
      'hyphen. Choose one:' 'export KEY_VAULT_NAME=your-vault'
  fi
}

check_resource_group() {
  # Letters and digits of every language are allowed, so that bytes above ASCII are left to Azure.
  if [ -n "$(printf '%s' "$1" | LC_ALL=C tr -d 'A-Za-z0-9_.()\200-\377-' | od -An -c)" ]; then
    fail 'RESOURCE_GROUP is not a valid name for a resource group.' \
      'A name has letters, digits, hyphens, underscores, periods, and parentheses. Choose one:' \
      'export RESOURCE_GROUP=your-group'
  fi
}

lower() {
  printf '%s' "$1" | tr '[:upper:]' '[:lower:]'
}

# named NAME: of lines with fields between tabs, those whose first field is NAME, whatever its case.
named() {
  awk -F '\t' -v name="$1" 'tolower($1) == tolower(name)'
}

# What az says on standard error, in a file, so that it can be shown and looked at.
az_words=$(mktemp)
trap 'rm -f "$az_words"' EXIT

# try_az ARGUMENT ...: an az command. Its output comes without the carriage returns of az on Windows.
try_az() {
  az "$@" 2>"$az_words" </dev/null | tr -d '\r'
}

# ask_az ARGUMENT ...: the same, for a command that must succeed. If it fails, az's own words are
# shown, then what they mean, as far as that is known, and the exit status is 1.
ask_az() {
  try_az "$@" && return
  show_az_words
  explain_az_words
  exit 1
}

show_az_words() {
  # Of a traceback, the last line tells what went wrong.
  if grep -q '^Traceback' "$az_words"; then
    say "az $(grep -v '^ ' "$az_words" | tail -n 1)"
  else
    grep -v '^WARNING' "$az_words" >&2 || true
  fi
}

explain_az_words() {
  case $(cat "$az_words") in
  *MissingSubscriptionRegistration*)
    say 'The subscription is not registered for Key Vault yet. To register it:' \
      'az provider register --namespace Microsoft.KeyVault --wait'
    ;;
  *RequestDisallowedByAzure*)
    say 'Your subscription cannot use this region. To list the regions:' \
      'az account list-locations --query "[].name" --output tsv' \
      'To choose another one:' 'export LOCATION=westeurope'
    ;;
  *RequestDisallowedByPolicy*)
    say 'An Azure Policy of your organization forbids this. Ask an administrator what it allows.'
    ;;
  *AuthorizationFailed*resourcegroups/write*)
    say 'You are not allowed to create a resource group. To list those that exist:' \
      'az group list --query "[].name" --output tsv' \
      'To use one of them:' 'export RESOURCE_GROUP=your-group'
    ;;
  *AuthorizationFailed*)
    say 'You are not allowed to do this. Ask an administrator for the role that the action needs.'
    ;;
  *Authorization_RequestDenied* | *'Insufficient privileges'*)
    say 'You are not allowed to look up the service principal in AZURE_CLIENT_ID.' \
      'It can look itself up. To sign in to the Azure CLI as that service principal:' \
      "az login --service-principal --username \"\$AZURE_CLIENT_ID\" --password \"\$AZURE_CLIENT_SECRET\" --tenant \"\$AZURE_TENANT_ID\""
    ;;
  *AADSTS* | *'az login'*)
    say 'Sign in again:' 'az login'
    ;;
  esac
  say 'Then run this again:' "$again"
}

# Set subscription, subscription_id, user_type ("user" or "servicePrincipal") and user_name.
find_account() {
  command -v az >/dev/null ||
    fail 'The Azure CLI, az, is not installed, or not on the PATH. To install it:' \
      'https://learn.microsoft.com/cli/azure/install-azure-cli'
  say 'Looking up the subscription ...'
  local account tenant_id
  if ! account=$(try_az account show --output tsv --query '[name, id, tenantId, user.type, user.name]'); then
    show_az_words
    fail 'The Azure CLI has no subscription to work in. To sign in:' 'az login' \
      'If your account has no subscription, the sample can still use an existing vault. To sign in for that:' \
      'az login --allow-no-subscriptions'
  fi
  {
    read -r subscription
    read -r subscription_id
    read -r tenant_id
    # shellcheck disable=SC2034 # provision.sh reads it.
    read -r user_type
    read -r user_name
  } <<<"$account"
  if [ "$subscription_id" = "$tenant_id" ]; then
    fail "The account $user_name has no subscription, which a vault needs. To get one:" \
      'https://azure.microsoft.com/free/'
  fi
  say "Subscription: $subscription ($subscription_id), as $user_name."
}
