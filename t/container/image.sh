#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image.sh WORK: makes what is missing of
#   WORK/base.tar     a Debian 12, as the image that Containerfile begins with
#   WORK/docker.json  Docker's default seccomp profile, out of a package of Debian
#   WORK/apt          where this machine's apt takes packages from
set -eu
work=$1
codename=bookworm
profile=usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C.UTF-8
export LC_ALL PATH

# Debian's own lines of this machine's apt; others' packages have no place here.
sources()
{
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
        'Origin: Debian' 'Created-By: Packages' \
        | awk -v name="$codename" '$2 ~ "^" name && $3 == "main"' | sort -u
}

make_apt()
{
    rm -rf "$work/apt"
    mkdir -p "$work/apt"
    sources | sed 's/^/deb /' >"$work/apt/sources.list"
    apt-config dump --format '%f "%v";%n' Acquire::http Acquire::https \
        Acquire::Check-Valid-Until >"$work/apt/90machine"
}

make_base()
{
    uri=$(sources | awk -v name="$codename" '$2 == name { print $1; exit }')
    [ -n "$uri" ] || { echo "apt knows no Debian $codename" >&2; exit 1; }
    rm -rf --one-file-system "$work/base"
    debootstrap --variant=minbase "$codename" "$work/base" "$uri" >&2
    ! mountpoint -q "$work/base/proc" || umount "$work/base/proc"
    tar -C "$work/base" --exclude='./var/cache/apt/archives/*.deb' \
        -cf "$work/base.tar.new" .
    rm -rf --one-file-system "$work/base"
    mv "$work/base.tar.new" "$work/base.tar"
}

make_profile()
{
    rm -rf "$work/deb"
    mkdir "$work/deb"
    # By a name that apt's own unprivileged user need not be able to write to.
    (cd "$work/deb" \
        && apt-get -q -o APT::Sandbox::User=root download \
            golang-github-docker-docker-dev >&2 \
        && dpkg-deb -x golang-github-docker-docker-dev_*.deb .)
    cp "$work/deb/$profile" "$work/docker.json"
    rm -rf "$work/deb"
}

mkdir -p "$work"
make_apt
[ -f "$work/base.tar" ] || make_base
[ -f "$work/docker.json" ] || make_profile
