#!/usr/bin/env bash
# Installs the Debian packages named as arguments that are not there yet; needs root or sudo only where one is missing.
set -euo pipefail

explain() {
    echo "$1 These Debian packages are needed and missing:" >&2
    echo "    ${missing[*]}" >&2
    echo "Install them (on Debian and Ubuntu: apt-get install ${missing[*]}) and run the command again." >&2
    exit 1
}

missing=()
for package in "$@"; do
    # Debian 13 and Ubuntu 24.04 renamed some libraries to NAMEt64; apt still understands the old names.
    state=$(dpkg-query --show --showformat '${db:Status-Status}\n' "$package" "${package}t64" 2>/dev/null || true)
    grep -qx installed <<<"$state" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || explain "There is no apt-get here."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || explain "You are not root and there is no sudo."
    as_root=(sudo)
    # Without a terminal nobody can type a password.
    [ -t 0 ] || as_root+=(--non-interactive)
    "${as_root[@]}" true || explain "sudo was refused."
fi

echo "Installing Debian packages: ${missing[*]}" >&2
"${as_root[@]}" apt-get update --quiet
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
