#!/usr/bin/env bash
# Creates the resource group, the vault, and the permission that the sample needs, whatever of them
# is missing. Standard output is made for eval; all else goes to standard error.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$(readlink -f "$0" 2>/dev/null || printf '%s' "$0")")/common.sh"
stop_on_ctrl_c

help=$(
  cat <<'TEXT'
usage: eval "$(scripts/provision.sh [--rbac])"

Creates what the sample needs, with the Azure CLI: a resource group, a vault,
and the permission to use its secrets. What exists is used. The output is one
line, which sets KEY_VAULT_NAME.

--rbac            create a vault that uses roles (Azure RBAC); by default, it
                  uses access policies, as in the tutorial, unless a policy of
                  your organization forbids them

KEY_VAULT_NAME    the vault; if it is not set, a new name is made up
RESOURCE_GROUP    the resource group; KeyVault-PythonQS-rg if it is not set
LOCATION          where the vault is created; if it is not set, where its
                  resource group is, and eastus for a new resource group
AZURE_CLIENT_ID   the service principal that gets the permission; if it is
                  not set, whoever is signed in to the Azure CLI
TEXT
)
uses_roles=false
for argument in "$@"; do
  case $argument in
  --rbac) uses_roles=true ;;
  --help | -h)
    # Standard output may go to eval.
    if [ -t 1 ]; then printf '%s\n' "$help"; else say "$help"; fi
    exit
    ;;
  *) unknown_argument "$argument" ;;
  esac
done
again="eval \"\$($again)\""

vault=${KEY_VAULT_NAME:-kv-quickstart-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')}
group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
location=${LOCATION-}
check_vault_name "$vault"
check_resource_group "$group"
[[ $location =~ ^[A-Za-z0-9\ ]*$ ]] ||
  fail 'LOCATION is not the name of a region. For example:' 'export LOCATION=westeurope'
[[ ${AZURE_CLIENT_ID-} =~ ^([0-9A-Fa-f-]{36})?$ ]] ||
  fail 'AZURE_CLIENT_ID is not the ID of an application. To work without a service principal:' \
    'unset AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_TENANT_ID'
find_account

# The object ID of whoever gets the permission. A token names whoever is signed in, so that Microsoft
# Graph need not be asked.
for_self=true
case ${AZURE_CLIENT_ID-} in '' | "$user_name") ;; *) for_self=false ;; esac
if $for_self; then
  object_id=$(ask_az account get-access-token --query accessToken --output tsv | cut -d . -f 2 |
    tr -- '-_' '+/' | sed 's/$/==/' | { base64 -d 2>/dev/null || true; } |
    sed -n 's/.*"oid": *"\([0-9a-f-]*\)".*/\1/p')
else
  object_id=$(ask_az ad sp show --id "$AZURE_CLIENT_ID" --query id --output tsv)
fi
[ -n "$object_id" ] || fail 'The object ID of whoever is signed in is not known. Sign in again:' 'az login'
principal_type=ServicePrincipal
if $for_self && [ "$user_type" = user ]; then principal_type=User; fi

# The name must be free, or that of a vault in the resource group.
vault_group=$(ask_az keyvault list --resource-type vault --query '[].[name, resourceGroup]' --output tsv |
  named "$vault" | cut -f 2)
if [ -n "$vault_group" ] && [ "$(lower "$vault_group")" != "$(lower "$group")" ]; then
  fail "The vault $vault is in another resource group, $vault_group." \
    'Choose a different name, or use that resource group:' "export RESOURCE_GROUP='$vault_group'"
fi
if [ -z "$vault_group" ]; then
  # If you are not allowed to list deleted vaults, creating the vault shows whether there is one.
  deleted=$(try_az keyvault list-deleted --resource-type vault --output tsv \
    --query '[].[name, properties.vaultId, properties.location]' | named "$vault") || deleted=''
  if [ -n "$deleted" ]; then
    old_group=$(printf '%s' "$deleted" | cut -f 2 | cut -d / -f 5)
    say "The name $vault belongs to a deleted vault that is not purged. Choose a different name." \
      'To recover that vault with all its secrets:'
    if [ "$(ask_az group exists --name="$old_group")" != true ]; then
      say "az group create --name '$old_group' --location $(printf '%s' "$deleted" | cut -f 3)"
    fi
    fail "az keyvault recover --name $vault" 'To purge it for good:' "az keyvault purge --name $vault"
  fi
fi

if [ "$(ask_az group exists --name="$group")" = true ]; then
  say "Resource group $group: exists."
else
  ask_az group create --name="$group" --location "${location:-eastus}" --output none
  say "Resource group $group: created in ${location:-eastus}."
fi

# create_vault OPTION ...: the vault, with the options that both models of permission share. Whoever
# creates it for someone else keeps all permissions in it, as az does it.
create_vault() {
  local options=(--name "$vault" --resource-group="$group" --retention-days 7 --output none)
  [ -z "$location" ] || options+=(--location "$location")
  try_az keyvault create "${options[@]}" "$@"
}
if [ -n "$vault_group" ]; then
  say "Vault $vault: exists."
else
  say "Creating the vault $vault ..."
  own_permissions=()
  if $for_self; then own_permissions=(--no-self-perms); fi
  if ! $uses_roles && ! create_vault --enable-rbac-authorization false ${own_permissions[@]+"${own_permissions[@]}"}; then
    show_az_words
    if ! grep -q RequestDisallowedByPolicy "$az_words"; then
      explain_az_words
      exit 1
    fi
    say 'A policy of your organization forbids this. Trying a vault that uses roles ...'
    uses_roles=true
  fi
  if $uses_roles && ! create_vault --enable-rbac-authorization true; then
    show_az_words
    explain_az_words
    exit 1
  fi
  say "Vault $vault: created."
fi

vault_facts=$(ask_az keyvault show --name "$vault" --resource-group="$group" --output tsv \
  --query '[id, properties.enableRbacAuthorization]')
vault_id=${vault_facts%%$'\n'*}
if [ "$(lower "${vault_facts##*$'\n'}")" = true ]; then
  roles=$(ask_az role assignment list --assignee-object-id "$object_id" --scope "$vault_id" --include-inherited \
    --fill-role-definition-name true --fill-principal-name false --query '[].roleDefinitionName' --output tsv)
  case $'\n'$roles$'\n' in
  *$'\nKey Vault Secrets Officer\n'* | *$'\nKey Vault Administrator\n'*)
    say "Role for $object_id: exists."
    ;;
  *)
    ask_az role assignment create --role 'Key Vault Secrets Officer' --assignee-object-id "$object_id" \
      --assignee-principal-type "$principal_type" --scope "$vault_id" --output none
    say "Role for $object_id: Key Vault Secrets Officer. It takes a few minutes to take effect."
    ;;
  esac
else
  granted=$(ask_az keyvault show --name "$vault" --resource-group="$group" --output tsv \
    --query "properties.accessPolicies[?objectId=='$object_id'].permissions.secrets[]" | tr 'A-Z\n' 'a-z ')
  missing=()
  for permission in delete get list set; do
    case " $granted " in
    *" $permission "* | *' all '*) ;;
    *) missing+=("$permission") ;;
    esac
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "Access policy for $object_id: exists."
  else
    # set-policy replaces what is granted, so that it must be named again. $granted is a list of words.
    # shellcheck disable=SC2086
    ask_az keyvault set-policy --name "$vault" --resource-group="$group" --object-id "$object_id" \
      --secret-permissions $granted "${missing[@]}" --output none
    say "Access policy for $object_id: ${missing[*]} on secrets."
  fi
fi

printf "export KEY_VAULT_NAME='%s'\n" "$vault"
