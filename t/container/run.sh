#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SOURCE: builds the image of conf/container and tests it as
# conf/doc/container.md tells to use it. Prints TAP; ends with 77 where
# something it needs is missing. Images, containers, mounts and the network are
# its own and gone afterwards; only the base is kept, in BUILD/t/container/work.
# DOCKER_SECCOMP names another version of Docker's default profile.
set -eu
build=$1
source=$(CDPATH='' cd -- "$2" && pwd)
work=$build/t/container/work
PATH=$PATH:/usr/sbin:/sbin
export PATH

missing=
for tool in apt-get debootstrap podman crun newuidmap nsenter unshare curl \
            ip ps; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ "$(id -u)" = 0 ] || missing="$missing root"
[ -f /usr/share/containers/seccomp.json ] || missing="$missing podman-profile"
if [ -n "$missing" ]; then
    echo "1..0 # SKIP missing:$missing (./bootstrap check-container gets it)"
    exit 77
fi

mkdir -p "$work"
sh "$source/t/container/image.sh" "$work"
[ -z "${DOCKER_SECCOMP-}" ] || cp "$DOCKER_SECCOMP" "$work/docker.json"
# Short: conmon's sockets have their names in there.
PYEXEC_STORE=$(mktemp -d /tmp/pyxXXXXXX)
export PYEXEC_STORE
inside=
end()
{
    # unshare(1) ignores whatever can be ignored.
    [ -z "$inside" ] || { kill -s KILL "$inside"; wait "$inside"; } 2>/dev/null || :
    rm -rf --one-file-system "$PYEXEC_STORE"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 0711 "$PYEXEC_STORE"
rm -f "$work/tap"
# Mounts and ports are those of the test's own namespaces, and all processes end
# with it; the build alone gets this machine's network, through that file.
: >"$PYEXEC_STORE/net"
unshare --mount --propagation private sh -ec '
    mount --bind /proc/self/ns/net "$PYEXEC_STORE/net"
    # crun knows no machine with both versions mounted; it makes no group.
    [ ! -d /sys/fs/cgroup/unified ] || mount -t cgroup2 none /sys/fs/cgroup
    # Process 1 is a shell, which reaps.
    exec unshare --net --pid --fork --kill-child --mount-proc \
        sh -c "python3 -B \"\$3\" \"\$1\" \"\$2\"; exit \$?" "$@"
    ' sh sh "$work" "$source" "$source/t/container/check.py" >"$work/tap" &
inside=$!
wait "$inside" || echo "# it ended with status $?" >&2
inside=
cat "$work/tap"
# A plan that is kept, and no failure.
awk '/^ok/ { ran++ }
     /^not ok/ { ran++; failed++ }
     /^1\.\./ { planned = substr($0, 4) }
     END { exit ran == 0 || failed > 0 || ran != planned }' "$work/tap"
