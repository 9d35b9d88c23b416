# SPDX-License-Identifier: Apache-2.0
# Work that waits for the server, done by other processes: the answers are judged
# afterwards, one by one.
package PyExec::Parallel;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Temp ();
use POSIX ();
use Storable ();

our @EXPORT = qw(in_parallel meanwhile);

# in_parallel($workers, $do, @items): what $do->($item) returns for each, a
# scalar of plain data, in the order of the items. Worker n does item n,
# n + $workers, and so on; die when one of them dies.
sub in_parallel
{
    my ($workers, $do, @items) = @_;
    my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
    my @pids = map { start_worker("$dir/$_", $_, $workers, $do, @items) }
        0 .. $workers - 1;
    my $failed = 0;
    my @parts;

    for my $pid (@pids) {
        waitpid $pid, 0;
        $failed++ if $?;
    }
    die "$failed workers failed\n" if $failed;
    @parts = map { Storable::retrieve("$dir/$_") } 0 .. $workers - 1;
    return map { $parts[$_ % $workers][$_ / $workers] } 0 .. $#items;
}

sub start_worker
{
    my ($file, $n, $workers, $do, @items) = @_;
    my $pid = fork;

    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    # Neither ENDs nor destructors: all of it is the parent's.
    eval {
        Storable::store([map { $do->($items[$_]) }
                         grep { $_ % $workers == $n } 0 .. $#items], $file);
        1;
    } or do {
        print STDERR $@;
        POSIX::_exit(1);
    };
    POSIX::_exit(0);
}

# meanwhile($do): another process does it; a function that waits for that and
# returns the text that $do returned.
sub meanwhile
{
    my ($do) = @_;
    my $pid = open my $pipe, '-|';

    die "fork: $!" unless defined $pid;
    if (!$pid) {
        syswrite STDOUT, eval { $do->() } // "died: $@";
        POSIX::_exit(0);
    }
    return sub { local $/ = undef; my $said = <$pipe>; close $pipe; return $said };
}

1;
