#!/usr/bin/env bash
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

help=$(
  cat <<'TEXT'
usage: eval "$(scripts/provision.sh)"

Makes what the sample needs, with the Azure CLI: a resource group, a vault, and an access policy.
What is there already is used. On standard output is what eval takes, and nothing else.

KEY_VAULT_NAME    the vault; a new name is made up where it is not set
RESOURCE_GROUP    the resource group; KeyVault-PythonQS-rg where it is not set
LOCATION          where a new resource group is made; eastus where it is not set
AZURE_CLIENT_ID   the service principal that may use the secrets; where it is not set,
                  that is whoever is signed in to az
TEXT
)
[ $# -eq 0 ] || help_or_fail "$help" "$1"

vault=${KEY_VAULT_NAME:-kv-quickstart-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')}
group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
location=${LOCATION:-eastus}

# Who is to use the secrets. Whoever makes the vault for another keeps all permissions, as az has it.
check_vault_name "$vault"
signed_in=$(signed_in) || exit
for_self=''
case "${AZURE_CLIENT_ID-}" in '' | "${signed_in#* }") for_self=1 ;; esac
case "$for_self$signed_in" in
"1user "*) object_id=$(az ad signed-in-user show --query id --output tsv) ;;
*) object_id=$(az ad sp show --id "${AZURE_CLIENT_ID:-${signed_in#* }}" --query id --output tsv) ;;
esac

# The vault's name must be free, or that of a vault which will do.
vault_group=$(az keyvault list --resource-type vault --query '[].[name, resourceGroup]' --output tsv |
  named "$vault" | cut -f 2)
if [ -z "$vault_group" ]; then
  # Who may not list the deleted vaults learns from the making of the vault.
  deleted=$(az keyvault list-deleted --resource-type vault --output tsv 2>/dev/null \
    --query '[].[name, properties.vaultId, properties.location]' | named "$vault") || deleted=''
  if [ -n "$deleted" ]; then
    old_group=$(printf '%s' "$deleted" | cut -f 2 | cut -d / -f 5)
    say "The name $vault is taken by a vault that was deleted and not purged. Choose a different name," \
      'or recover that vault with all its secrets, or purge it for good:'
    if [ "$(az group exists --name "$old_group")" != true ]; then
      say "az group create --name '$old_group' --location $(printf '%s' "$deleted" | cut -f 3)"
    fi
    fail "az keyvault recover --name $vault" "az keyvault purge --name $vault"
  fi
elif [ "$(lower "$vault_group")" != "$(lower "$group")" ]; then
  fail "The name $vault is taken by a vault in another resource group, $vault_group." \
    'Choose a different name, or use that resource group:' "export RESOURCE_GROUP='$vault_group'"
else
  rbac_vault=$(az keyvault show --name "$vault" --resource-group "$group" --output tsv \
    --query "properties.enableRbacAuthorization && id || ''")
  if [ -n "$rbac_vault" ]; then
    fail "The vault $vault goes by roles (RBAC), not by access policies. It was not changed." \
      'Choose a different name, or give the role that would do instead:' \
      "az role assignment create --role 'Key Vault Secrets Officer' --assignee $object_id --scope '$rbac_vault'"
  fi
fi

if [ "$(az group exists --name "$group")" = true ]; then
  say "Resource group $group: found."
else
  az group create --name "$group" --location "$location" --output none
  say "Resource group $group: made in $location."
fi

if [ -n "$vault_group" ]; then
  say "Vault $vault: found."
else
  az keyvault create --name "$vault" --resource-group "$group" --enable-rbac-authorization false \
    --retention-days 7 ${for_self:+--no-self-perms} --output none
  say "Vault $vault: made."
fi

granted=$(az keyvault show --name "$vault" --resource-group "$group" --output tsv \
  --query "properties.accessPolicies[?objectId=='$object_id'].permissions.secrets[]" | tr 'A-Z\n' 'a-z ')
missing=''
for permission in delete get list set; do
  case " $granted" in
  *" $permission "* | *' all '*) ;;
  *) missing="$missing $permission" ;;
  esac
done
if [ -z "$missing" ]; then
  say "Access policy for $object_id: found."
else
  # With what is granted already: set-policy replaces it. Both are lists of words.
  # shellcheck disable=SC2086
  az keyvault set-policy --name "$vault" --resource-group "$group" --object-id "$object_id" \
    --secret-permissions $granted $missing --output none
  say "Access policy for $object_id:$missing on secrets."
fi

printf "export KEY_VAULT_NAME='%s'\n" "$vault"
