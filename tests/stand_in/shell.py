"""An interactive shell in which Azure remains the stand-in, whatever the reader's start-up file sets."""

import shlex
from pathlib import Path

# In the shell's own language, after the reader's start-up file; bash and zsh share it.
AFTERWARDS = """
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
unset CURL_CA_BUNDLE SSL_CERT_DIR PYTHONPATH PYTHONHOME CDPATH KEY_VAULT_NAME
for name in $(env | sed -En 's/^(AZURE_[A-Z_]*|IDENTITY_[A-Z]*|MSI_[A-Z]*|IMDS_[A-Z]*)=.*/\\1/p'); do
  unset "$name"
done
unalias az python python3 2>/dev/null
unset -f az python python3 2>/dev/null
{exports}
export PATH={programs}:"$PATH"
hash -r

# A browser would leave this machine, so that az signs in with a code, which the stand-in accepts.
az() {{
  case "$*" in
  login | 'login --tenant '* | 'login --scope '*) command az "$@" --use-device-code ;;
  *) command az "$@" ;;
  esac
}}
printf '%s\\n' "Azure is a stand-in on this machine here, and you are signed in to it. To leave: exit" >&2
"""
PROMPT = "(stand-in for Azure) "
BASH = """
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
{afterwards}
mark_prompt() {{ case $PS1 in *"{prompt}"*) ;; *) PS1="{prompt}$PS1" ;; esac; }}
# Last, since another command there may set the prompt anew. Since bash 5.1 it can be an array.
if [ "${{BASH_VERSINFO[0]}}${{BASH_VERSINFO[1]}}" -ge 51 ]; then
  PROMPT_COMMAND+=(mark_prompt)
else
  PROMPT_COMMAND="${{PROMPT_COMMAND:-:}}"$'\n'mark_prompt
fi
mark_prompt
"""
ZSH = """
ZDOTDIR={zdotdir}
if [ -f "$ZDOTDIR/.zshrc" ]; then . "$ZDOTDIR/.zshrc"; fi
{afterwards}
mark_prompt() {{ case $PS1 in *"{prompt}"*) ;; *) PS1="{prompt}$PS1" ;; esac; }}
precmd_functions+=(mark_prompt)
"""


def prepare(command, environment, folder):
    """The command and the environment to start it in.

    For an interactive bash or zsh, which reads the reader's start-up file, that file is read and what
    leads to the stand-in is set again: ``folder`` takes the start-up files that do so. Everything else
    comes back as it is.
    """
    name, options = Path(command[0]).name, set(command[1:])
    if name not in ("bash", "zsh") or not options <= {"-i", "-l", "--login"}:
        return command, environment
    exports = "\n".join(
        f"export {key}={shlex.quote(value)}"
        for key, value in environment.items()
        if key in _names(environment)
    )
    programs = shlex.quote(environment["PATH"])
    afterwards = AFTERWARDS.format(exports=exports, programs=programs)
    folder = Path(folder)
    if name == "bash":
        start_up = folder / "bashrc"
        start_up.write_text(BASH.format(afterwards=afterwards, prompt=PROMPT))
        return [command[0], "--rcfile", str(start_up), "-i"], environment
    zdotdir = environment.get("ZDOTDIR") or environment.get("HOME") or "/"
    (folder / ".zshrc").write_text(
        ZSH.format(afterwards=afterwards, prompt=PROMPT, zdotdir=shlex.quote(zdotdir))
    )
    return [command[0], "-i"], environment | {"ZDOTDIR": str(folder)}


def _names(environment):
    """The names of what leads to the stand-in."""
    led = ("AZURE_", "KEY_VAULT_NAME", "HTTPS_PROXY", "http_proxy", "REQUESTS_CA_BUNDLE")
    return [key for key in environment if key.startswith((*led, "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"))]
