#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image.sh BUILD WORK KERNEL.deb: makes what run.sh boots, in WORK: kernel,
# initrd.gz and root.img, an ext4 image of this machine's own packages and of
# the built tree. Needs no privilege and installs nothing.
set -eu
build=$1
work=$2
kernel_deb=$3
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
umask 022

# What the guest runs, with all that it depends on.
packages='base-files base-passwd bash coreutils dash findutils gawk grep
    hostname libc-bin make mawk media-types mount netbase perl procps sed tar
    util-linux apache2-bin libapache2-mod-perl2 libwww-perl libcmocka0
    libpython3.11-testsuite python3-numpy python3-pandas python3-requests
    python3-jsonschema libjansson4 libseccomp2 libevent-2.1-7
    libevent-core-2.1-7 libpython3.11'
# apxs, which Apache::Test asks; without its compilers.
alone='apache2-dev'
# What the initrd loads to find the image.
modules='virtio_pci virtio_blk ext4'

list_packages()
{
    # shellcheck disable=SC2086
    apt-cache depends --recurse --installed --no-recommends --no-suggests \
        --no-conflicts --no-breaks --no-replaces --no-enhances $packages \
        | sed -n 's/^\([a-z0-9][^ <]*\)$/\1/p' | sort -u
}

# All files, by the names that they have with /bin and its like in /usr.
list_files()
{
    # Virtual packages have none, and xargs says so.
    # shellcheck disable=SC2086
    { { list_packages; printf '%s\n' $alone; } | xargs dpkg-query -L 2>/dev/null || :; } | sed -E 's,^/(bin|sbin|lib|lib32|lib64|libx32)/,/usr/\1/,' | sort -u \
        | grep -Ev '^/usr/share/(doc|man|info|locale|lintian)/' \
        | while read -r file; do
            if [ -L "$file" ] || [ -f "$file" ]; then
                printf '%s\n' "${file#/}"
            fi
        done
}

make_root()
{
    root=$work/root
    rm -rf "$root"
    mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" \
        "$root/usr/lib64" "$root/dev" "$root/proc" "$root/sys" "$root/run" \
        "$root/tmp" "$root/var/tmp" "$root/root" "$root/home" "$root/etc" \
        "$root/pyexec"
    for name in bin sbin lib lib64; do
        ln -s "usr/$name" "$root/$name"
    done
    list_files >"$work/files"
    tar -C / -cf - --no-recursion -T "$work/files" | tar -C "$root" -xf -
    # Made by the packages' scripts, not part of them.
    for file in /etc/alternatives /etc/ld.so.cache /etc/passwd /etc/group \
                /etc/nsswitch.conf; do
        cp -a "$file" "$root/etc/"
    done
    find /usr/lib /usr/bin -xtype f -type l -lname '/etc/alternatives/*' \
        | sed 's,^/,,' >"$work/links"
    tar -C / -cf - --no-recursion -T "$work/links" | tar -C "$root" -xf -
    printf '127.0.0.1 localhost pyexec-guest\n' >"$root/etc/hosts"
    printf 'pyexec-guest\n' >"$root/etc/hostname"
    tar -C "$build" -cf - --exclude=./.git --exclude=./t/logs \
        --exclude=./t/kernel/work --exclude=./t/conf/apache_test_config.pm \
        --exclude=./t/state . | tar -C "$root/pyexec" -xf -
    cp "$here/guest.sh" "$here/helper.sh" "$here"/*.py "$root/pyexec/t/kernel/"
    chmod 0755 "$root/pyexec/t/kernel/helper.sh"
    chmod -R u+rwX,go+rX "$root/pyexec"
    used=$(du -sk "$root" | cut -f1)
    rm -f "$work/root.img"
    mke2fs -q -t ext4 -O ^has_journal -m 0 -N 200000 -E root_owner=0:0 \
        -d "$root" "$work/root.img" "$((used + used / 4 + 300000))k"
    rm -rf "$root"
}

make_kernel()
{
    rm -rf "$work/deb"
    dpkg-deb -x "$kernel_deb" "$work/deb"
    version=$(ls "$work/deb/lib/modules" 2>/dev/null) \
        || version=$(ls "$work/deb/usr/lib/modules")
    [ -d "$work/deb/lib" ] || ln -s usr/lib "$work/deb/lib"
    depmod -b "$work/deb" "$version"
    cp "$work/deb/boot/vmlinuz-$version" "$work/kernel"
}

make_initrd()
{
    initrd=$work/initrd
    rm -rf "$initrd"
    mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/proc" "$initrd/root" \
        "$initrd/modules"
    cp "$(command -v busybox)" "$initrd/bin/busybox"
    ln -s busybox "$initrd/bin/sh"
    # In the order in which they must be loaded.
    for module in $modules; do
        modprobe -d "$work/deb" -S "$version" -D "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' \
        >"$work/modules"
    : >"$initrd/modules/order"
    while read -r file; do
        cp "$file" "$initrd/modules/"
        basename "$file" >>"$initrd/modules/order"
    done <"$work/modules"
    cat >"$initrd/init" <<'END'
#!/bin/sh
b=/bin/busybox
$b mount -t devtmpfs none /dev
$b mount -t proc none /proc
while read -r module; do
    case $module in
    *.xz) $b unxz "/modules/$module" && module=${module%.xz} ;;
    esac
    $b insmod "/modules/$module"
done </modules/order
$b mount -t ext4 /dev/vda /root || {
    echo 'Bail out! no root file system' >/dev/ttyS1
    $b poweroff -f
}
$b mount --move /dev /root/dev
exec $b switch_root /root /bin/sh /pyexec/t/kernel/guest.sh
END
    chmod 0755 "$initrd/init"
    (cd "$initrd" && find . | cpio -o -H newc -R 0:0 --quiet) \
        | gzip -1 >"$work/initrd.gz"
    rm -rf "$initrd" "$work/deb"
}

mkdir -p "$work"
make_kernel
make_initrd
make_root
printf '%s\n' "$version" >"$work/version"
