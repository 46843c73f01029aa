#!/usr/bin/env bash
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

help='usage: scripts/cleanup.sh [--yes] [--purge]

Deletes the resource group RESOURCE_GROUP, KeyVault-PythonQS-rg where that is not set, with all
that is in it, with the Azure CLI.

--yes     does not ask
--purge   also purges the vault KEY_VAULT_NAME, which was in that group: its name is free then,
          and its secrets are gone for good'
yes='' purge=''
for argument in "$@"; do
  case $argument in
  --yes | -y) yes=1 ;;
  --purge) purge=1 ;;
  *) help_or_fail "$help" "$argument" ;;
  esac
done

group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
vault=${KEY_VAULT_NAME-}
signed_in >/dev/null || exit

if [ "$(az group exists --name "$group")" = true ]; then
  say "In the resource group $group:"
  az resource list --resource-group "$group" --query '[].[name, type]' --output tsv | sed 's/^/  /' >&2
  az group delete --name "$group" ${yes:+--yes} ||
    fail "The resource group $group was not deleted. To do it without a question:" "$0 --yes"
  say "Resource group $group: deleted."
else
  say "There is no resource group $group."
fi

deleted=$(az keyvault list-deleted --resource-type vault --output tsv \
  --query '[].[name, properties.vaultId, properties.scheduledPurgeDate]') ||
  fail "Whether a name stays taken by a deleted vault is not known. Ask for it later:" \
    'az keyvault list-deleted --resource-type vault'
purged=''
while IFS=$'\t' read -r name path until; do
  if [ "$(lower "$(printf '%s' "$path" | cut -d / -f 5)")" != "$(lower "$group")" ]; then
    continue
  elif [ -n "$purge" ] && [ "$(lower "$name")" = "$(lower "$vault")" ]; then
    az keyvault purge --name "$name" </dev/null
    say "Vault $name: purged."
    purged=1
  else
    say "The name of the vault $name stays taken until ${until%%T*}. This purges it at once:" \
      "az keyvault purge --name $name"
  fi
done <<<"$deleted"
if [ -n "$purge" ] && [ -z "$purged" ]; then
  say "There is no vault ${vault:-(KEY_VAULT_NAME is not set)} to purge that was in $group."
fi
