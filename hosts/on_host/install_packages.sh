#!/bin/sh
# Install packages of the distribution, none that is only recommended: install_packages NAME…
# Also where an installation before was cut off in the middle. Nothing is written to the connection meanwhile: with a reader that
# went away dpkg would die of it.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
said=$(mktemp) updated=$(mktemp)
trap 'rm -f "$said" "$updated"' EXIT

# unattended-upgrades may be at work. What an administrator has is not taken away for ours.
apt() {
    apt-get -y -q --no-remove -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

install() { apt --fix-broken install --no-install-recommends "$@" >"$said" 2>&1; }

# A source that has nothing of ours may be away. The time-out above is not for the lock of the lists, which apt-daily and
# cloud-init have in a machine's first minutes.
for _ in $(seq 60); do
    apt update >"$updated" 2>&1 || true
    grep -q 'Could not get lock' "$updated" || break
    sleep 5
done
install "$@" && exit 0
if grep -q 'dpkg was interrupted' "$said"; then
    dpkg --force-confdef --force-confold --configure -a >>"$said" 2>&1 || true
    install "$@" && exit 0
fi
removed=$(sed -n '/will be REMOVED:/,/^[^ ]*[0-9] upgraded/s/^  *//p' "$said" | tr '\n' ' ')
if [ -n "$removed" ]; then
    echo "veloz: apt would take away ${removed% } for $*; take them away yourself if they are not wanted, then run this again" >&2
    exit 1
fi
grep -E '^(E|dpkg): |No space left' "$said" | tail -n 2 >&2
fetched=$(grep -E '^(E|W|Err)[: ]' "$updated" | grep -v 'have been ignored' | tail -n 1 || true)
[ -z "$fetched" ] || echo "apt-get update said: $fetched" >&2
echo "veloz: apt cannot install $*: look at /etc/apt, the way to its mirror, and at df -h; then run this again" >&2
exit 1
