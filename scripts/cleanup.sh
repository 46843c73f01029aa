#!/usr/bin/env bash
# Deletes the resource group of the tutorial, after naming what is in it and asking, and tells which
# names its deleted vaults keep.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0" 2>/dev/null || printf '%s' "$0")")/common.sh"
trap 'say "" "Stopped. Nothing was deleted."; exit 130' INT

help='usage: scripts/cleanup.sh [--yes] [--purge]

Deletes the resource group RESOURCE_GROUP, or KeyVault-PythonQS-rg if that is
not set, and everything in it, with the Azure CLI.

--yes     do not ask
--purge   also purge the vault KEY_VAULT_NAME, if it was in that group: its
          name is free then, and its secrets are gone for good'
yes=false
purge=false
for argument in "$@"; do
  case $argument in
  --yes | -y) yes=true ;;
  --purge) purge=true ;;
  --help | -h) printf '%s\n' "$help" && exit ;;
  *) unknown_argument "$argument" ;;
  esac
done

group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
vault=${KEY_VAULT_NAME-}
check_resource_group "$group"
if $purge && [ -n "$vault" ]; then check_vault_name "$vault"; fi
find_account

if [ "$(ask_az group exists --name="$group")" = true ]; then
  say "In the resource group $group:"
  ask_az resource list --resource-group="$group" --query '[].[name, type]' --output tsv |
    awk -F '\t' '{ printf "  %-26s %s\n", $1, $2 }' >&2
  if ! $yes; then
    [ -t 0 ] || fail 'Nothing was deleted, as there is no terminal to ask on. To delete without being asked:' "$again --yes"
    printf 'Delete %s and everything in it? (y/n): ' "$group" >&2
    read -r answer || answer=''
    case $(lower "$answer") in
    y | yes) ;;
    *) fail 'Nothing was deleted.' ;;
    esac
  fi
  trap 'say "" "Stopped. Azure may go on deleting the resource group. To see what is left, run this again:" "$again"; exit 130' INT
  say "Deleting the resource group $group ..."
  if ! try_az group delete --name="$group" --yes; then
    show_az_words
    if grep -q ScopeLocked "$az_words"; then
      say 'A lock keeps it from being deleted. To remove the lock:'
      ask_az lock list --resource-group="$group" --query '[].name' --output tsv |
        sed "s/.*/az lock delete --resource-group='$group' --name='&'/" >&2
      fail 'Then run this again:' "$again"
    fi
    explain_az_words
    exit 1
  fi
  say "Resource group $group: deleted."
else
  say "There is no resource group $group."
fi

say 'Looking for deleted vaults ...'
if ! deleted=$(try_az keyvault list-deleted --resource-type vault --output tsv \
  --query '[].[name, properties.vaultId, properties.scheduledPurgeDate]'); then
  show_az_words
  fail 'The deleted vaults cannot be listed, so a vault of this group may keep its name. To list them later:' \
    'az keyvault list-deleted --resource-type vault'
fi
purged=false
status=0
while IFS=$'\t' read -r name path until; do
  if [ "$(lower "$(printf '%s' "$path" | cut -d / -f 5)")" != "$(lower "$group")" ]; then
    continue
  fi
  if $purge && [ "$(lower "$name")" = "$(lower "$vault")" ]; then
    purged=true
    say "Purging the vault $name ..."
    if try_az keyvault purge --name "$name"; then
      say "Vault $name: purged."
      continue
    fi
    show_az_words
    say "The vault $name was not purged."
    status=1
  fi
  say "The vault name $name stays taken until ${until%%T*}. To purge the vault and free the name now:" \
    "az keyvault purge --name $name"
done <<<"$deleted"
if $purge && ! $purged; then
  say "No deleted vault ${vault:-(KEY_VAULT_NAME is not set)} of $group was found to purge."
fi
exit $status
