#!/bin/sh
# The firewall's safety on the host.
#   arm SECONDS      keep a copy of the firewall as it is; a timer puts it back, also after a reboot, unless disarmed
#   apply FILE       run the commands of FILE while the timer runs
#   disarm           all is well: no timer; the copy stays as the original when it is the first
#   forget           the same, and there is no original any more
#   original         put the original back (called by FILE)
#   revert           put the copy back (called by the timer)
set -eu
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(dirname "$(readlink -f "$0")")
armed=$here/armed
original=$here/original
unit=veloz-firewall-revert
units=/etc/systemd/system
# A run of commands is over before the timer ends, so nothing is written after its revert.
apply_seconds=15

die() { echo "$1" >&2; exit 1; }
locked() { exec 9>/run/veloz-firewall.lock; flock -w 5 9 || "$@"; }
settle() { find "$@" -exec sync {} +; }
in_time() { [ -e "$armed" ] || die "the timer has put the former firewall back: it took too long"; }

# $1: iptables or ip6tables. Rules of others in the one chain that the block of after.rules empties.
others() {
  # Asking for a table makes it; so all that there is.
  "$1-save" 2>/dev/null | sed -n '/^\*security/,/^COMMIT/{/ -j veloz-docker$/d;/^-A FORWARD /p}'
}

# Those of before the change that are not there now; the block has only what can be loaded at boot.
give_back() {
  for tool in iptables ip6tables; do
    [ -e "$armed/$tool.others" ] || continue
    now=$(others $tool)
    while read -r rule; do
      printf '%s\n' "$now" | grep -qxF -- "$rule" || printf '*security\n%s\nCOMMIT\n' "$rule" | $tool-restore -n || true
    done <"$armed/$tool.others"
  done
}

# $1: where the copy is to be. ufw's files and rules, policies, rules of others, the sysctls that ufw sets.
save() {
  rm -rf "$1" "$1.new"
  mkdir -p "$1.new"
  cp -a /etc/ufw "$1.new/ufw"
  cp -a /etc/default/ufw "$1.new/default"
  ufw show added >"$1.new/added"
  for tool in iptables ip6tables; do
    $tool -S >"$1.new/$tool" 2>/dev/null || true
    others $tool >"$1.new/$tool.others"
  done
  systemctl is-enabled ufw >"$1.new/enabled" 2>/dev/null || true
  keys=$(sed -n 's/^ *\([a-z][a-z0-9_/.-]*\) *=.*/\1/p' /etc/ufw/sysctl.conf 2>/dev/null || true)
  # shellcheck disable=SC2086
  if [ -n "$keys" ]; then sysctl -e $keys >"$1.new/sysctl" 2>/dev/null || true; fi
  settle "$1.new"
  mv "$1.new" "$1"
  sync "$here"
}

# $1: iptables or ip6tables. All that ufw and we have there, at once; ufw's own way of stopping leaves its chains and takes seconds.
clear_rules() {
  has=$($1 -S)
  {
    echo '*filter'
    echo "$has" | sed -n 's/^-A \(\(INPUT\|FORWARD\|OUTPUT\) -j ufw.*\)/-D \1/p'
    echo "$has" | sed -n 's/^-N \(ufw.*\)$/-F \1/p'
    echo "$has" | sed -n 's/^-N \(ufw.*\)$/-X \1/p'
    echo COMMIT
  } | "$1-restore" -n
  if "$1-save" | grep -q '^:veloz-docker '; then
    while $1 -t security -D FORWARD -j veloz-docker; do :; done
    $1 -t security -F veloz-docker && $1 -t security -X veloz-docker || true
  fi
}

# $1: a copy, $2: iptables or ip6tables. Its policies; but Docker that came since the copy was made has its own for what is
# forwarded, which is then to be as it is, $3.
policies() {
  if grep -q '^-N DOCKER' "$1/$2" || ! $2 -S | grep -q '^-N DOCKER'; then forward=''; else forward=$3; fi
  sed -n 's/^-P //p' "$1/$2" | while read -r chain policy; do
    if [ "$chain" = FORWARD ]; then policy=${forward:-$policy}; fi
    $2 -P "$chain" "$policy" || true
  done
}

restore() {
  for hook in before after; do [ ! -x /etc/ufw/$hook.init ] || /etc/ufw/$hook.init stop || true; done
  for tool in iptables ip6tables; do
    forward=$($tool -S FORWARD | sed -n 's/^-P FORWARD //p')
    clear_rules $tool || { /lib/ufw/ufw-init force-stop; clear_rules $tool; } || true
    policies "$1" $tool "$forward"
  done 2>/dev/null
  rm -rf /etc/ufw.veloz
  cp -a "$1/ufw" /etc/ufw.veloz
  rm -rf /etc/ufw
  mv /etc/ufw.veloz /etc/ufw
  cp -a "$1/default" /etc/default/ufw
  if grep -q '^-N ufw6\{0,1\}-user-input' "$1/iptables"; then /lib/ufw/ufw-init start quiet || true; fi
  give_back
  if [ -s "$1/sysctl" ]; then sysctl -e -q -p "$1/sysctl" || true; fi
  if [ "$(cat "$1/enabled")" = enabled ]; then was=enable; else was=disable; fi
  systemctl --no-reload $was ufw >/dev/null 2>&1 || true
  settle /etc/ufw /etc/default/ufw
}

stop_timer() {
  systemctl disable $unit.timer >/dev/null 2>&1 || true
  systemctl stop $unit.timer || true
  rm -f $units/$unit.timer $units/$unit.service
  sync $units
  systemctl daemon-reload
}

arm() {
  locked die "another run is changing this firewall"
  if [ -e "$armed" ]; then
    [ ! -e $units/$unit.timer ] || die "another run has changed this firewall; within half a minute it is confirmed or undone"
    rm -rf "$armed" # the host went down before there was a timer, so before any change
  fi
  save "$armed"
  cat >$units/$unit.service <<EOF
[Unit]
Description=Put the former firewall back
[Service]
Type=oneshot
ExecStart=/bin/sh $here/guard.sh revert
EOF
  cat >$units/$unit.timer <<EOF
[Unit]
Description=Put the former firewall back unless the new one is confirmed
[Timer]
OnActiveSec=$1
AccuracySec=100ms
[Install]
WantedBy=timers.target
EOF
  sync $units/$unit.timer $units/$unit.service
  systemctl daemon-reload
  if systemctl enable --now $unit.timer 2>/dev/null; then
    sync $units/timers.target.wants
    return
  fi
  stop_timer
  rm -rf "$armed"
  die "systemd did not start the timer that would undo a wrong rule, so nothing was changed"
}

apply() {
  locked die "another run is changing this firewall"
  in_time
  status=0
  timeout -k 1 $apply_seconds sh -eu "$1" || status=$?
  case $status in
    0) ;;
    124 | 137) die "the host did not get through the commands in $apply_seconds s: it is too busy, try again later" ;;
    *) exit $status ;;
  esac
  give_back
}

disarm() {
  locked die "the former firewall is being put back"
  in_time
  # First the copy: a timer without one does nothing, a copy without a timer would be in the way.
  if [ -e "$original" ]; then rm -rf "$armed"; else mv "$armed" "$original"; fi
  sync "$here"
  stop_timer
}

revert() {
  locked true
  [ -e "$armed" ] || { stop_timer; exit 0; }
  restore "$armed"
  rm -rf "$armed"
  stop_timer
}

case $1 in
  arm) arm "$2" ;;
  apply) apply "$2" ;;
  disarm) disarm ;;
  forget) disarm; rm -rf "$original" ;;
  original) restore "$original" ;;
  revert) revert ;;
  *) die "what? $1" ;;
esac
