# SPDX-License-Identifier: Apache-2.0
# Nothing can be created or changed, by any route.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('write');
