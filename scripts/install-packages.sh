#!/usr/bin/env bash
# Installs the Debian packages named, as root or by sudo, without starting the services they bring.
#
# usage: scripts/install-packages.sh PACKAGE...
set -euo pipefail

if (($# == 0)); then
    echo "usage: $0 PACKAGE..." >&2
    exit 2
fi
if ! command -v apt-get >/dev/null; then
    echo "$0: no apt-get here; please install by hand: $*" >&2
    exit 1
fi
if ((EUID != 0)); then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        exec sudo -n bash "$0" "$@"
    fi
    echo "$0: root is needed: sudo apt-get install $*" >&2
    exit 1
fi

# Debian starts a service as soon as it is installed unless this file says no (101); nginx would
# take port 80.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
