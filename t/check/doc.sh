#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every command and example of conf/doc is run by something, or says why not.
cd "${srcdir:-.}" || exit 99
exec python3 -B t/packages/doc.py --check conf/doc conf/install.am
