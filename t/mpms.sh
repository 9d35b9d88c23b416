#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs server tests with other MPMs, each in a server root of its own below
# t/mpms: links to what was built and written, and its own configuration, logs
# and results.
#
#   mpms.sh "MPM..." [options and tests of t/TEST...]
#
# In the build directory; srcdir (where the source is) and PERL from outside.
set -u
: "${PERL:=perl}" "${srcdir:=.}"
mpms=$1
shift
build=$(pwd -P)
source=$(cd "$srcdir" && pwd -P) || exit 99
status=0

# What is written to is copied, and the tests, which Apache::Test does not find
# behind links; all else is a link, a relative one, for the tree may be copied.
make_root()
{
    rm -rf "$1" && mkdir -p "$1/t/conf" || return
    for entry in .libs pyexecd pyexec-zygote; do
        ln -s "../../../$entry" "$1/$entry" || return
    done
    for entry in lib data corpus probe soak htdocs openapi.py python tools unit \
        upgrade; do
        ln -s "../../../$entry" "$1/t/$entry" || return
    done
    cp -Rp t/TEST t/base.conf t/http t/sandbox t/cluster "$1/t/" \
        && cp -p t/conf/extra.conf.in "$1/t/conf/"
}

for mpm in $mpms; do
    root=t/mpms/$mpm
    make_root "$build/$root" || exit 99
    echo "testing with the MPM $mpm"
    (cd "$build/$root" && PYEXEC_MPM=$mpm PYEXEC_TEST_SOURCE=$source \
        exec "$PERL" t/TEST "$@") || status=$?
done
exit "$status"
