# SPDX-License-Identifier: Apache-2.0
# The root holds what the interpreter needs and nothing of this machine.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('read');
