# SPDX-License-Identifier: Apache-2.0
# A run is one process: no other one, no other program, no signal to others.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('process');
