#!/usr/bin/env bash
# usage: scripts/cleanup.sh [--yes] [--purge]
#
# Deletes the resource group RESOURCE_GROUP, by default KeyVault-PythonQS-rg,
# and everything in it, with the Azure CLI. A deleted vault stays recoverable
# for some days, and its name stays reserved.
#
# --yes      do not ask
# --purge    also purge the vaults of the group that the question names, so that
#            their names are free and their secrets are gone for good; with
#            --yes, only the vault KEY_VAULT_NAME

[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -euo pipefail
# shellcheck source=scripts/az.sh
. "$(dirname "$0")/az.sh"

command=$(printf '%q ' "$0" "$@")
yes=false purge=false
for argument in "$@"; do
  case $argument in
  --yes | -y) yes=true ;;
  --purge) purge=true ;;
  --help | -h) show_help && exit ;;
  *) wrong_usage "Unknown argument: $argument" ;;
  esac
done
group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}

trap 'say "" "Stopped. Nothing was deleted."; exit 130' INT

# The deleted vaults of the group, a line each: the name, and until when it stays reserved.
list_deleted() {
  az keyvault list-deleted --resource-type vault \
    --query '[].[name, properties.vaultId, properties.scheduledPurgeDate]' |
    awk -F '\t' -v group="$group" '
      split($2, path, "/") && tolower(path[5]) == tolower(group) { print $1 "\t" substr($3, 1, 10) }'
}

# What there is to delete.
subscription=$(az account show --query '[name, id]')
say "Subscription: ${subscription/$'\n'/, }"
group_exists=$(az group exists --name="$group")
vaults=''
if [ "$group_exists" = true ]; then
  resources=$(az resource list --resource-group="$group" --query '[].[name, type]')
  vaults=$(az keyvault list --resource-group="$group" --resource-type vault --query '[].name')
  say "In the resource group $group:" "${resources:-nothing}"
else
  say "There is no resource group $group."
fi

# What there is to purge. With --yes, nobody has seen the names, so it is what KEY_VAULT_NAME says.
to_purge=''
if $purge; then
  deleted=$(list_deleted)
  if ! $yes; then to_purge=$vaults; fi
  all_vaults=$(cut -f 1 <<<"$vaults"$'\n'"$deleted")
  if [ -n "${KEY_VAULT_NAME-}" ] && contains "$all_vaults" "$KEY_VAULT_NAME"; then
    contains "$to_purge" "$KEY_VAULT_NAME" || to_purge+=${to_purge:+$'\n'}$KEY_VAULT_NAME
  fi
  if [ -n "$to_purge" ]; then
    say 'To be purged, with all their secrets, for good:' "$to_purge"
  else
    say "There is nothing to purge: KEY_VAULT_NAME does not name a vault of $group."
  fi
fi

if ! $yes && [ "$group_exists$to_purge" != false ]; then
  if [ ! -t 0 ]; then
    say 'Nothing was deleted, because there is no terminal to ask on. To delete without being asked:' \
      "$command--yes"
    exit 1
  fi
  printf 'Delete all of this? (y/n): ' >&2
  read -r answer || answer=''
  case $answer in
  [Yy] | [Yy][Ee][Ss]) ;;
  *) say 'Nothing was deleted.' && exit 1 ;;
  esac
fi

trap 'say "" "Stopped. Azure may still be deleting. To see what is left:" "$command"; exit 130' INT
if [ "$group_exists" = true ]; then
  say "Deleting the resource group $group ..."
  az group delete --name="$group" --yes --output none
  say "Deleted the resource group $group."
fi

deleted=$(list_deleted)
status=0
while IFS=$'\t' read -r name date; do
  if [ -z "$name" ]; then continue; fi
  if contains "$to_purge" "$name"; then
    say "Purging the vault $name ..."
    if az keyvault purge --name="$name" --output none; then
      say "Purged the vault $name."
      continue
    fi
    status=1
  fi
  say "The vault name $name stays reserved until $date."
done <<<"$deleted"
exit $status
