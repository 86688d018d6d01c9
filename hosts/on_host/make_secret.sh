#!/bin/sh
# A secret of 256 random bits that nobody sees: make_secret FILE OWNER. One that is there stays, its owner and mode put right.
set -eu
umask 077
file=$1 owner=$2
if [ ! -s "$file" ]; then
    new=$file.new
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$new"
    [ "$(wc -c <"$new")" = 64 ]
    sync "$new"
    mv "$new" "$file"
fi
chown "$owner:$owner" "$file"
chmod 0400 "$file"
