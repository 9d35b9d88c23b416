# SPDX-License-Identifier: Apache-2.0
# Nothing comes along from the server: descriptors, environment, limits.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('inherited');
