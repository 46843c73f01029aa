#!/usr/bin/env bash
# usage: eval "$(scripts/provision.sh [--rbac])"
#
# Creates a resource group and a key vault, grants access to its secrets, and
# sets KEY_VAULT_NAME. Running it again finishes what was interrupted.
#
# --rbac            create a vault that uses roles instead of access policies
# KEY_VAULT_NAME    the vault; by default, always the same name for the same
#                   subscription, resource group, and identity
# RESOURCE_GROUP    the resource group; by default, KeyVault-PythonQS-rg
# LOCATION          the region; by default, the resource group's, or eastus
# AZURE_CLIENT_ID   the service principal that gets access; by default, you

set -euo pipefail
trap 'exit 130' INT # Where az handles Ctrl-C itself, bash would go on.
export MSYS_NO_PATHCONV=1
exec 3>&1 >&2 # Only the last line is for eval.

if [ -t 3 ] || [[ -n $* && $* != --rbac ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
  [ "$*" = --help ] && exit
  exit 2
fi
if [ "$*" = --rbac ]; then rbac=true; else rbac=false; fi

# ask EXPRESSION COMMAND: what an expression finds in the answer of an az command.
ask() {
  local query="join('', ['found: ', to_string($1)])" # Other lines may stand there, too.
  az "${@:2}" --query "$query" --output tsv | tr -d '\r' | sed -n 's/^found: //p'
}

subscription=$(ask "join(' ', [id, name])" account show)
if [ -n "${AZURE_CLIENT_ID-}" ]; then
  principal_type=ServicePrincipal no_self_perms=false
  identity=$(ask "join(' ', [id, displayName])" ad sp show --id="$AZURE_CLIENT_ID")
else
  principal_type=User no_self_perms=true
  identity=$(ask "join(' ', [id, userPrincipalName])" ad signed-in-user show)
fi
object_id=${identity%% *}
echo "Subscription: ${subscription#* } (${subscription%% *})"
echo "Identity: ${identity#* } (${object_id:?az did not answer})"

group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
group_exists=$(ask @ group exists --resource-group="$group")
if [ "$group_exists" = false ]; then
  echo "Creating the resource group $group ..."
  az group create --resource-group="$group" --location="${LOCATION:-eastus}" --output none
fi

shopt -s nocasematch # Azure ignores the case of names and IDs.
checksum=$(LC_ALL=C tr '[:upper:]' '[:lower:]' <<<"${subscription%% *} $group $object_id" | cksum)
vault=${KEY_VAULT_NAME:-kv-quickstart-${checksum%% *}}
vaults=$(ask '[].name' keyvault list --resource-group="$group" --resource-type vault)
if [[ $vaults != *"\"$vault\""* ]]; then
  echo "Creating the vault $vault ..."
  az keyvault create --name="$vault" --resource-group="$group" ${LOCATION:+"--location=$LOCATION"} \
    --enable-rbac-authorization "$rbac" --no-self-perms "$no_self_perms" --retention-days 7 --output none
fi

echo "Granting access to the vault $vault ..."
is_rbac=$(ask properties.enableRbacAuthorization keyvault show --name="$vault" --resource-group="$group")
if [ "$is_rbac" != true ]; then
  if $rbac; then echo 'This vault uses access policies: --rbac has no effect.'; fi
  policies=$(ask 'properties.accessPolicies[].objectId' keyvault show --name="$vault" --resource-group="$group")
  if [[ ${policies:?az did not answer} != *"$object_id"* ]]; then
    az keyvault set-policy --name="$vault" --resource-group="$group" --object-id="$object_id" \
      --secret-permissions delete get list set --output none
  fi
else
  scope=$(ask id keyvault show --name="$vault" --resource-group="$group")
  az role assignment create --role='Key Vault Secrets Officer' --scope="$scope" \
    --assignee-object-id="$object_id" --assignee-principal-type="$principal_type" --output none
fi
printf 'export KEY_VAULT_NAME=%q\n' "$vault" >&3
