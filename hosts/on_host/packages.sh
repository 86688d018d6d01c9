#!/bin/sh
# apt on the host: what was foreseen, and nothing else; or the way back.
#   packages.sh install "Inst NAME⏎Remv NAME…, sorted" NAME…
#   packages.sh back "NAME… to purge" "NAME=VERSION… to come back" "NAME… of these that were there for others' sake"
# Its last line says what went wrong.
# shellcheck disable=SC2046,SC2086,SC2116 # lists of names are meant to be taken apart
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/sbin:/usr/bin:/bin

# Nobody is there to answer questions; files that somebody changed stay as they are, also of what is removed; downloads are not kept.
apt() {
  apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 -o APT::Keep-Downloaded-Packages=false \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}

would() {
  apt -s "$@" | sed -n 's/^\(Inst\|Remv\) \([^ ]*\).*/\1 \2/p; s/^Purg \([^ ]*\).*/Remv \1/p' | sort
}

# Of a machine that went down while dpkg was at work.
mend() {
  [ -z "$(ls /var/lib/dpkg/updates)" ] || dpkg --configure -a
}

# The time-out above is not for the lock of the lists, which apt-daily and cloud-init have in a machine's first minutes.
lists() {
  for _ in $(seq 60); do
    said=$(apt update 2>&1)
    echo "$said"
    case $said in *"Could not get lock"*) sleep 5 ;; *) return 0 ;; esac
  done
}

forward() {
  expected=$1 && shift
  mend && lists
  if [ "$(would install "$@")" != "$expected" ]; then
    echo "apt would do something else than it said before; make tune again looks anew"
    return 1
  fi
  apt install "$@" && stay "$@"
}

# apt marks what it is about to remove; one that was ended leaves the mark.
stay() {
  [ $# = 0 ] || printf '%s install\n' "$@" | dpkg --set-selections
}

# The versions of then where there still are such.
wanted() {
  for pair in $1; do
    if apt -s install "$pair" >/dev/null 2>&1; then echo "$pair"; else echo "${pair%%=*}"; fi
  done
}

back() {
  purge=$1 restore=$2 automatic=$3
  minus=$(for name in $purge; do echo "$name-"; done)
  clean() { apt --purge install "$@"; }
  mend
  want=$(wanted "$restore")
  if ! clean -s $want $minus >/dev/null 2>&1; then
    lists
    want=$(wanted "$restore")
  fi
  others=$(would --purge install $want $minus | sed -n 's/^Remv //p' | grep -vxF "$(printf '%s\n' $purge -)")
  if [ -n "$others" ]; then
    sorry "$(echo $others) would have to go too"
  elif said=$(clean $want $minus 2>&1); then
    echo "$said"
    stay $(names) && { [ -z "$automatic" ] || apt-mark auto $automatic; }
  else
    echo "$said"
    sorry "$(echo "$said" | grep '^E:' | head -n 1)"
  fi
}

names() {
  for pair in $restore; do echo "${pair%%=*}"; done | paste -sd " "
}

sorry() {
  left=${purge:+"$purge stays"}${purge:+${restore:+" and "}}${restore:+"$(names) is not back"}
  echo "$1: $left. When that is mended: make untune again, or by hand: apt-get --purge install $(names) $minus"
  return 1
}

case $1 in
  install) shift && forward "$@" ;;
  back) shift && back "$@" ;;
esac
