# SPDX-License-Identifier: Apache-2.0
# System calls outside the allow-list do not reach the kernel's own code.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('syscalls');
