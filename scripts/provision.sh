#!/usr/bin/env bash
# usage: eval "$(scripts/provision.sh [--rbac] [--object-id ID])"
#
# Creates a resource group and a vault with the Azure CLI, grants permission to
# use the secrets in the vault, and sets KEY_VAULT_NAME. Existing resources are
# reused, and no permission is taken away, so rerunning is safe.
#
# --rbac            create a vault that uses roles (Azure RBAC); without it, a
#                   new vault uses access policies, as in the tutorial
# --object-id ID    create nothing; grant the permission to the user, service
#                   principal, or managed identity with this object ID
#
# KEY_VAULT_NAME    the vault; if it is not set, a new name is generated
# RESOURCE_GROUP    where to create the vault; by default, KeyVault-PythonQS-rg
# LOCATION          the region; by default, the resource group's, or eastus
# AZURE_CLIENT_ID   the service principal that gets the permission; if it is not
#                   set, whoever is signed in to the Azure CLI gets it

[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -euo pipefail
# shellcheck source=scripts/az.sh
. "$(dirname "$0")/az.sh"

command=$(printf ' %q' "$0" "$@")
command="eval \"\$(${command# })\""
rbac=false only_grant=false
while [ $# -gt 0 ]; do
  case $1 in
  --rbac) rbac=true ;;
  --object-id)
    [ -n "${2-}" ] || wrong_usage '--object-id needs an ID.'
    only_grant=true object_id=$2
    : "${KEY_VAULT_NAME:?is not set}"
    shift
    ;;
  --help | -h) show_help >&2 && exit ;; # On standard output, eval would run it.
  *) wrong_usage "Unknown argument: $1" ;;
  esac
  shift
done
if [ -t 1 ]; then
  wrong_usage 'Run it with eval, so that it can set KEY_VAULT_NAME:' "$command"
fi

vault=${KEY_VAULT_NAME:-kv-quickstart-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')}
group=${RESOURCE_GROUP:-KeyVault-PythonQS-rg}
stopped() {
  say '' 'Stopped. To continue with the same vault:' "export KEY_VAULT_NAME=$vault" "$command"
  exit 130
}
trap stopped INT

# The object ID of whoever gets the permission.
principal_type=ServicePrincipal
if $only_grant; then
  principal_type=''
elif [ -n "${AZURE_CLIENT_ID-}" ]; then
  object_id=$(az ad sp show --id="$AZURE_CLIENT_ID" --query id)
else
  # Whoever is signed in is named in their token, even if they may not look themselves up.
  token=$(az account get-access-token --query accessToken)
  claims=$(cut -d . -f 2 <<<"$token" | tr -- '-_' '+/' | sed 's/$/==/' | base64 --decode 2>/dev/null || true)
  object_id=$(sed -n 's/.*"oid": *"\([^"]*\)".*/\1/p' <<<"$claims")
  user_type=$(az account show --query user.type)
  if [ "$user_type" = user ]; then principal_type=User; fi
fi

# A vault is used wherever in the subscription it is.
vaults=$(az keyvault list --resource-type vault --query '[].name')
if $only_grant || contains "$vaults" "$vault"; then
  say "Using the vault $vault."
else
  group_exists=$(az group exists --name="$group")
  if [ "$group_exists" = false ]; then
    say "Creating the resource group $group ..."
    az group create --name="$group" --location="${LOCATION:-eastus}" --output none
  fi

  say "Creating the vault $vault in $group ..."
  # Whoever creates a vault for a service principal gets all permissions in it, too. Whoever creates
  # it for themselves gets those of the tutorial, below.
  own_vault=true
  if [ -n "${AZURE_CLIENT_ID-}" ]; then own_vault=false; fi
  if ! az keyvault create --name="$vault" --resource-group="$group" ${LOCATION:+"--location=$LOCATION"} \
    --enable-rbac-authorization "$rbac" --no-self-perms "$own_vault" --retention-days 7 --output none; then
    deleted=$(az keyvault list-deleted --resource-type vault --query '[].name')
    if contains "$deleted" "$vault"; then
      say 'Choose a different name. Or, to recover the deleted vault with its secrets:' \
        "az keyvault recover --name $vault" 'Or, to purge it, with its secrets, for good:' \
        "az keyvault purge --name $vault"
    fi
    exit 1
  fi
fi

uses_roles=$(az keyvault show --name="$vault" --query properties.enableRbacAuthorization)
if contains "$uses_roles" true; then
  vault_id=$(az keyvault show --name="$vault" --query id)
  roles=$(az role assignment list --assignee-object-id="$object_id" --scope="$vault_id" --include-inherited \
    --fill-principal-name false --query '[].roleDefinitionName')
  if contains "$roles" 'Key Vault Secrets Officer' || contains "$roles" 'Key Vault Administrator'; then
    say "$object_id already has a role for secrets."
  else
    az role assignment create --role='Key Vault Secrets Officer' --assignee-object-id="$object_id" \
      ${principal_type:+"--assignee-principal-type=$principal_type"} --scope="$vault_id" --output none
    say "Assigned to $object_id: Key Vault Secrets Officer." 'It can take some minutes to take effect.'
  fi
else
  if $rbac; then say '--rbac changes nothing: this vault uses access policies.'; fi
  granted=$(az keyvault show --name="$vault" \
    --query "properties.accessPolicies[?objectId=='$object_id'].permissions.secrets[]")
  missing=''
  for permission in delete get list set; do
    contains "$granted" "$permission" || contains "$granted" all || missing+=" $permission"
  done
  if [ -z "$missing" ]; then
    say "$object_id already has the permissions."
  else
    # set-policy replaces what is granted, so it is named again. These are lists of words.
    # shellcheck disable=SC2086
    az keyvault set-policy --name="$vault" --object-id="$object_id" \
      --secret-permissions $granted $missing --output none
    say "Granted to $object_id:$missing." 'It can take some minutes to take effect.'
  fi
fi

printf 'export KEY_VAULT_NAME=%q\n' "$vault"
