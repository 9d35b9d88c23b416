#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# root.sh WORK DEBS SOURCE: makes what is missing of
#   WORK/base    a Debian 12 with httpd and what the packages in DEBS depend on
#   WORK/build   a layer above it (overlayfs) with what building SOURCE needs
# Both are kept for the next time. Packages come from wherever this machine's
# apt takes its own. Mounts are made in a namespace that ends with this script.
set -eu
[ "${PYEXEC_ROOT_NS-}" = yes ] || PYEXEC_ROOT_NS=yes exec unshare --mount \
    --propagation private sh "$0" "$@"
work=$1 debs=$2 source=$3
codename=bookworm
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export LC_ALL PATH DEBIAN_FRONTEND

# Debian's own lines of this machine's apt; others' packages have no place here.
sources()
{
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
        'Origin: Debian' 'Created-By: Packages' \
        | awk -v name="$codename" '$2 ~ "^" name && $3 == "main"' | sort -u
}

# apt of "$1", a root with what it needs mounted, without starting services.
in_root()
{
    root=$1
    shift
    mount -t proc proc "$root/proc"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    chroot "$root" "$@" </dev/null
    rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
    umount "$root/proc"
}

make_base()
{
    new=$work/base.new
    uri=$(sources | awk -v name="$codename" '$2 == name { print $1; exit }')
    [ -n "$uri" ] || { echo "apt knows no Debian $codename" >&2; exit 1; }
    rm -rf --one-file-system "$new"
    debootstrap --variant=minbase "$codename" "$new" "$uri" >&2
    ! mountpoint -q "$new/proc" || umount "$new/proc"
    sources | sed 's/^/deb /' >"$new/etc/apt/sources.list"
    apt-config dump --format '%f "%v";%n' Acquire::http Acquire::https \
        Acquire::Check-Valid-Until >"$new/etc/apt/apt.conf.d/90machine" 2>/dev/null
    mkdir "$new/root/debs"
    cp "$debs"/*.deb "$new/root/debs/"
    # Ours come later, and have to be all that is missing then.
    in_root "$new" sh -ec '
        apt-get -q update
        apt-get -q -y --no-install-recommends install systemd systemd-sysv python3-pip \
            dbus procps iproute2 apache2 curl logrotate ca-certificates
        names=$(apt-get -s install /root/debs/*.deb \
                | sed -n "s/^Inst \([^ ]*\) .*/\1/p" \
                | grep -v -e "^pyexecd" -e "^libapache2-mod-pyexec")
        apt-get -q -y install $names
        apt-get -q clean' >&2
    rm -rf "$new/root/debs"
    # These units are about the machine, not about what runs in here.
    for unit in sys-kernel-debug.mount sys-kernel-tracing.mount \
                sys-kernel-config.mount sys-fs-fuse-connections.mount \
                dev-hugepages.mount systemd-sysctl.service \
                systemd-modules-load.service systemd-udevd.service \
                systemd-logind.service apt-daily.timer \
                apt-daily-upgrade.timer dpkg-db-backup.timer \
                e2scrub_all.timer fstrim.timer logrotate.timer; do
        ln -sf /dev/null "$new/etc/systemd/system/$unit"
    done
    rm -f "$new"/var/log/apache2/*
    mv "$new" "$work/base"
}

make_build()
{
    new=$work/build.new
    rm -rf --one-file-system "$new" "$work/build.ovl" "$work/build.root"
    mkdir "$new" "$work/build.ovl" "$work/build.root"
    mount -t overlay overlay -o \
        "lowerdir=$work/base,upperdir=$new,workdir=$work/build.ovl" \
        "$work/build.root"
    mkdir -p "$work/build.root/root/source/debian"
    cp "$source/conf/debian/control" "$source/conf/debian/changelog" \
        "$source/conf/debian/rules" "$work/build.root/root/source/debian/"
    in_root "$work/build.root" sh -ec '
        apt-get -q update
        apt-get -q -y --no-install-recommends install build-essential \
            fakeroot xz-utils
        apt-get -q -y --no-install-recommends build-dep /root/source
        apt-get -q clean' >&2
    rm -rf "$work/build.root/root/source"
    umount "$work/build.root"
    rm -rf "$work/build.ovl" "$work/build.root"
    mv "$new" "$work/build"
}

mkdir -p "$work"
[ -d "$work/base" ] || { rm -rf --one-file-system "$work/build"; make_base; }
[ -d "$work/build" ] || make_build
