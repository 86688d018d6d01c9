#!/bin/sh
# Make a release of an uploaded archive, beside the one that runs; nothing of that is touched.
# Usage: install_release ARCHIVE RELEASE LOCK ENGINE
#   RELEASE, LOCK, ENGINE: digests of the archive, of the locked requirements, of the engine's sources.
# Where there is a folder wheels/ beside the releases, libraries are taken from it and no package index is asked.
# What is built is kept by its digest: libraries in venvs/, engines in engines/, tools to build with in tools/.
set -eu
umask 022
archive=$1 release=$2 lock=$3 engine=$4
root=${VELOZ_ROOT:-/opt/veloz}
keep=3

say() { printf 'veloz: %s\n' "$*" >&2; }

fetched() {
    "$@" || {
        say "libraries cannot be fetched: let the host reach its package index (images.build_args: HTTPS_PROXY, PIP_INDEX_URL)," \
            "or put wheels into $root/wheels; df -h $root shows whether there is room"
        exit 1
    }
}

for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name
        break
    fi
done
[ -n "${python:-}" ] || { say "there is no Python 3.11 or newer with venv; install python3-venv"; exit 1; }
tag=$("$python" -c 'import sys; print("py%d.%d.%d" % sys.version_info[:3])')

new=$root/releases/.new-$release
rm -rf "$new"
mkdir -p "$new" "$root/venvs" "$root/tools" "$root/engines"
trap 'rm -rf "$new"' EXIT
tar -xzf "$archive" -C "$new" --no-same-owner

# The host's own authorities are believed, as by every other program on it.
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
if [ -d "$root/wheels" ]; then
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$root/wheels" UV_NO_INDEX=1 UV_FIND_LINKS="$root/wheels"
fi

tools=$root/tools/$lock-$tag
if [ ! -e "$tools/.done" ]; then
    rm -rf "$tools"
    "$python" -m venv "$tools"
    sed -n '/^uv==/,/[^\\]$/p' "$new/requirements.lock" >"$tools/uv.lock"
    # pip checks the installer's hash, the installer all others.
    fetched "$tools/bin/python" -m pip install --quiet --require-hashes --no-deps -r "$tools/uv.lock"
    fetched "$tools/bin/uv" pip install --quiet --python "$tools/bin/python" --require-hashes \
        -c "$new/requirements.lock" -r "$new/pyproject.toml" --extra host
    sync -f "$tools" # what is marked as done is on the disk, also when the power goes
    touch "$tools/.done"
fi

venv=$root/venvs/$lock-$tag
if [ ! -e "$venv/.done" ]; then
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv"
    fetched "$tools/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes \
        -c "$new/requirements.lock" -r "$new/pyproject.toml" --extra app
    sync -f "$venv"
    touch "$venv/.done"
fi

built=$root/engines/$engine
if [ ! -x "$built/veloz_engine" ]; then
    # Its C++ runtime is linked in, so that it needs no more of the host than the C library.
    (cd "$new/engine" && PATH="$tools/bin:$PATH" && cmake --preset release -DBUILD_TESTING=OFF &&
        cmake --build --preset release --target veloz_engine) >"$root/engines/build.log" 2>&1 ||
        { tail -n 20 "$root/engines/build.log" >&2; say "the engine cannot be built, see $root/engines/build.log"; exit 1; }
    mkdir -p "$built.new"
    strip -o "$built.new/veloz_engine" "$new/engine/build/release/veloz_engine"
    rm -rf "$built" "$new/engine/build"
    sync -f "$built.new"
    mv "$built.new" "$built"
fi

ln -s "$venv" "$new/venv"
ln -s "$tools" "$new/tools"
ln -s "$built" "$new/bin"
(cd "$new" && venv/bin/python -m compileall -q app stacks hosts && venv/bin/python -c 'import app.application')
greeting=$("$new/bin/veloz_engine" </dev/null | head -n 1)
case $greeting in
    *'"type":"ready"'*) ;;
    *) say "the engine does not start: $greeting"; exit 1 ;;
esac
chmod -R u=rwX,go=rX "$new"
rm -rf "$root/releases/$release"
sync -f "$new"
mv -T "$new" "$root/releases/$release"
touch "$root/releases/$release"
rm -f "$archive"

# The newest stay, and always the one that runs.
current=$(basename "$(readlink -f "$root/current" 2>/dev/null || true)")
# shellcheck disable=SC2012  # they are named by digests
ls -1t "$root/releases" | tail -n "+$((keep + 1))" | while read -r old; do
    [ "$old" = "$current" ] || rm -rf "${root:?}/releases/$old"
done
for kind in venv tools bin; do
    case $kind in venv) folder=venvs ;; tools) folder=tools ;; bin) folder=engines ;; esac
    for one in "$root/$folder"/*/; do
        one=${one%/}
        used=no
        for held in "$root"/releases/*/; do
            [ "$(readlink "$held$kind" 2>/dev/null || true)" != "$one" ] || used=yes
        done
        [ "$used" = yes ] || rm -rf "$one"
    done
done
