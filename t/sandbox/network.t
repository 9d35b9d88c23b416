# SPDX-License-Identifier: Apache-2.0
# There is nobody to talk to, and nothing tells which machine this is.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('network');
