#!/usr/bin/env bash
# usage: eval "$(scripts/provision.sh [--rbac])"
#
# Creates a resource group and a key vault, grants access to its secrets, and
# sets KEY_VAULT_NAME. Running it again finishes what was interrupted.
#
# --rbac            create a vault that uses roles instead of access policies
# Environment variables:
# KEY_VAULT_NAME    the vault; if not set, a vault in the resource group that
#                   is named kv-quickstart-..., or else a new one
# RESOURCE_GROUP    the resource group; if not set, KeyVault-PythonQS-rg. In a
#                   shared subscription: export RESOURCE_GROUP=anna-rg
# LOCATION          the region; if not set, the resource group's, or eastus
# AZURE_CLIENT_ID   the service principal to give access to; if not set, you

set -euo pipefail
trap 'exit 130' INT # Where az handles Ctrl-C itself, bash would go on.
trap '[ $? = 0 ] || [ -t 3 ] || echo false >&3' EXIT # The caller's eval fails, too.
export MSYS_NO_PATHCONV=1
exec 3>&1 >&2 # Descriptor 3 is for eval.

if [ -t 3 ] || [[ -n $* && $* != --rbac ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
  if [ "$*" = --help ]; then exit 0; else exit 2; fi
fi
if [ "$*" = --rbac ]; then rbac=true; else rbac=false; fi
get() { az "$@" --output tsv | tr -d '\r'; }

subscription=$(get account show --query "join(' ', [name, id])")
echo "Subscription: ${subscription:?az did not answer}"
if [ -n "${AZURE_CLIENT_ID-}" ]; then
  principal_type=ServicePrincipal
  identity=$(get ad sp show --id="$AZURE_CLIENT_ID" --query "join(' ', [displayName, id])")
else
  principal_type=User
  identity=$(get ad signed-in-user show --query "join(' ', [userPrincipalName, id])")
fi
echo "Identity: ${identity:?az did not answer}"
object_id=${identity##* }

group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
group_exists=$(get group exists --resource-group="$group")
if [ "${group_exists:?az did not answer}" = false ]; then
  echo "Creating the resource group $group ..."
  az group create --resource-group="$group" --location="${LOCATION:-eastus}" --output none
fi

shopt -s nocasematch # Azure ignores the case of names and IDs.
vaults=$(get keyvault list --resource-group="$group" --resource-type vault --query 'to_string([].name)')
vault=kv-quickstart-$RANDOM$RANDOM
if [[ ${vaults:?az did not answer} =~ \"(kv-quickstart-[^\"]*)\" ]]; then vault=${BASH_REMATCH[1]}; fi
vault=${KEY_VAULT_NAME:-$vault}
if [[ $vaults != *"\"$vault\""* ]]; then
  echo "Creating the vault $vault ..."
  az keyvault create --name="$vault" --resource-group="$group" ${LOCATION:+"--location=$LOCATION"} \
    --enable-rbac-authorization "$rbac" --retention-days 7 --output none
elif [ -n "${LOCATION-}" ]; then
  echo "The vault $vault exists: LOCATION has no effect."
fi

echo "Granting access to the vault $vault ..."
policies="properties.accessPolicies[?!applicationId].join(' ', [objectId, permissions.secrets || ['']][])"
access=$(get keyvault show --name="$vault" --resource-group="$group" \
  --query "[to_string(properties.enableRbacAuthorization), $policies][]")
if [[ ${access:?az did not answer} = true* ]]; then
  scope=$(get keyvault show --name="$vault" --resource-group="$group" --query id)
  az role assignment create --role='Key Vault Secrets Officer' --scope="${scope:?az did not answer}" \
    --assignee-object-id="$object_id" --assignee-principal-type="$principal_type" --output none
  echo 'A new role can take a few minutes to take effect.'
elif [[ $access != *"$object_id all"* ]]; then
  # set-policy replaces the permissions of an identity, so those that it has are named, too.
  if [[ $access =~ $object_id([a-z ]*) ]]; then granted=${BASH_REMATCH[1]}; else granted=; fi
  # shellcheck disable=SC2086 # Each permission is a word.
  az keyvault set-policy --name="$vault" --resource-group="$group" --object-id="$object_id" \
    --secret-permissions delete get list set $granted --output none
fi
if $rbac && [[ $access != true* ]]; then echo 'This vault uses access policies: --rbac has no effect.'; fi
printf 'export KEY_VAULT_NAME=%q\n' "$vault" >&3
