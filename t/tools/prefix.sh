#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes DIR/prefix: the interpreter $PYTHON once more, with a library directory
# and a libpython of its own, as one that was built into another prefix has.
# And DIR/libexec: a keeper that has the default zygote program beside it, by the
# name "first", too.
# Run in the build directory.
set -eu
dir=$1
rm -rf "$dir"
mkdir -p "$dir/prefix/bin" "$dir/prefix/lib" "$dir/libexec"

# Its real file, its library directories, its shared library.
ask='import os, sys, sysconfig
var, path = sysconfig.get_config_var, sysconfig.get_path
print(os.path.realpath(sys.executable))
print(path("stdlib"))
print(path("platstdlib"))
print(os.path.join(var("LIBDIR"), var("INSTSONAME")))
print("python" + var("LDVERSION"))'
"$PYTHON" -I -c "$ask" >"$dir/answers"
{ read -r program && read -r stdlib && read -r platstdlib && read -r library \
    && read -r name; } <"$dir/answers"

# Tests, examples and what needs more than a library: two thirds of the bytes.
copy()
{
    (cd "$1" && tar -cf - --exclude=./test --exclude=./tkinter \
        --exclude=./idlelib --exclude=./turtledemo --exclude=./lib2to3 \
        --exclude='./config-*' --exclude=./ensurepip --exclude=./site-packages \
        --exclude=./dist-packages .) | tar -xf - -C "$2"
}
mkdir "$dir/prefix/lib/${stdlib##*/}"
copy "$stdlib" "$dir/prefix/lib/${stdlib##*/}"
[ "$platstdlib" = "$stdlib" ] \
    || copy "$platstdlib" "$dir/prefix/lib/${stdlib##*/}"
cp -p "$program" "$dir/prefix/bin/python3"
cp -p "$library" "$dir/prefix/lib/"
ln -sf "${library##*/}" "$dir/prefix/lib/lib$name.so"
chmod -R u+w,a+rX "$dir/prefix"

cp -p pyexecd pyexec-zygote "$dir/libexec/"
ln -s pyexec-zygote "$dir/libexec/pyexec-zygote-first"
