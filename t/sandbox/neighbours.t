# SPDX-License-Identifier: Apache-2.0
# How busy the machine is and what others use is not told, as far as it goes.
use strict;
use warnings FATAL => 'all';
use PyExec::Probe;

probe_tests('neighbours');
