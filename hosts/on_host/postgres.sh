#!/bin/sh
# A cluster of PostgreSQL as it is to be, whatever it was doing: checksums of its pages, and running with the files that are there.
# Usage: postgres VERSION CLUSTER DATA
# Nothing is written to the connection: who was cut off may have left this at work, and it ends in good order.
set -eu
cd /
version=$1 cluster=$2 data=$3
unit=postgresql@$version-$cluster.service
programs=/usr/lib/postgresql/$version/bin

control() { LC_ALL=C "$programs/pg_controldata" -D "$data" | sed -n "s/^$1: *//p"; }

systemctl unmask --quiet --runtime "$unit" # of one that was killed below
case $(control 'Data page checksum version') in
0)
    systemctl stop "$unit"
    case $(control 'Database cluster state') in
    'shut down') ;;
    *) # it was killed; only it itself puts its files in order
        systemctl start "$unit"
        systemctl stop "$unit"
        ;;
    esac
    # Two that write there destroy data: nobody starts it meanwhile, whoever asks systemd for it.
    trap 'systemctl unmask --quiet --runtime "$unit"' EXIT
    systemctl mask --quiet --runtime "$unit"
    runuser -u postgres -- "$programs/pg_checksums" --enable -D "$data" >/dev/null
    systemctl unmask --quiet --runtime "$unit"
    ;;
'') echo "veloz: $data says nothing of checksums; look at: pg_controldata -D $data" >&2 && exit 1 ;;
esac
systemctl restart "$unit"
