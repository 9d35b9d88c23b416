# SPDX-License-Identifier: Apache-2.0
# The same as walk.t from inside a job with a network (PyExecNetwork).
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use PyExec::Walk;

my $server = own_server(<<'END');
PyExecPreload none
PyExecNetwork proxy=127.0.0.1:9
END

walk_tests(place => '/policy-off/execute', variant => 'network', native => 1,
           port => $server->{port});
$server->{stop}->();
