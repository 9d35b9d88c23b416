# SPDX-License-Identifier: Apache-2.0
# All system calls of the machine, from inside a job: each answers what the
# table says, with every bit that the filter looks at, and the entries of other
# architectures end the process.
use strict;
use warnings FATAL => 'all';
use PyExec::Walk;

walk_tests(place => '/policy-off/execute', variant => 'full');
