# SPDX-License-Identifier: Apache-2.0
# What the same source does outside of the sandbox.
package PyExec::Witness;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Temp ();
use POSIX ();

our @EXPORT = qw(outside);

# Runs a Python source without any sandbox, as the current user, in a
# throw-away directory: { output, status }. At most 20 seconds.
sub outside
{
    my ($source) = @_;
    my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
    my $pid;
    my $output;

    open my $file, '>', "$dir/probe.py" or die;
    print $file $source;
    close $file or die;
    $pid = open my $pipe, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        chdir $dir or POSIX::_exit(127);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        alarm 20;
        exec $ENV{PYEXEC_TEST_PYTHON}, '-I', 'probe.py' or POSIX::_exit(127);
    }
    {
        local $/ = undef;
        $output = <$pipe>;
    }
    close $pipe;
    return { output => $output, status => $? };
}

1;
