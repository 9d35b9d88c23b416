# SPDX-License-Identifier: Apache-2.0
# Runs find the packages that are current when they begin, whoever made them so:
# here the test itself, as another server with the same directory would. What is
# read is read at every level of isolation, and no run is refused meanwhile.
use strict;
use warnings FATAL => 'all';
use POSIX ();
use PyExec::Metrics;
use PyExec::Test;
use Test::More;

my $dir = helper_dir();
my ($uid) = (stat "$dir")[4];
my $preload = 'asyncio ctypes decimal email.message pydoc sqlite3 ssl unittest.mock urllib.request xml.dom.minidom';
my $last = 0;

install('first');

my $server = own_server(join '', map { <<"END" } qw(full restricted));
<PyExecPool $_>
    PyExecEnvironment "$dir"
    PyExecIsolation $_
    PyExecPreload $preload
    PyExecConcurrency 3
    PyExecQueueTimeout 100ms
</PyExecPool>
<Location "/$_">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect code
    PyExecPool $_
    PyExecTimeout 60s
    PyExecImports *
</Location>
END
END {
    local $?;
    $server->{stop}->() if $server;
}
my @port = (port => $server->{port});

for my $level (qw(full restricted)) {
    is(has("/$level"), $last, "$level: found");
    beside_a_run($level);
}
done_testing();

# Of a module of one line, with all rights of who would: in one step.
sub install
{
    my ($value) = @_;
    my $name = sprintf '%06d', ++$last;

    mkdir "$dir/$name" or die "mkdir: $!";
    open my $out, '>', "$dir/$name/mine.py" or die;
    print $out "NUMBER = $last\n";
    close $out or die;
    chown $uid, -1, "$dir/$name" or die;
    symlink $name, "$dir/next" or die;
    rename "$dir/next", "$dir/current" or die;
    return;
}

sub has
{
    my $answer = run_code($_[0], "import mine\nprint(mine.NUMBER)", @port);

    return $answer->{output} =~ s/\n//r if ($answer->{output} // '') ne '';
    return json_text($answer);
}

# What waits for another zygote waits for no place: PyExecQueueTimeout is not
# what ends that, also while a run goes on with what it had.
sub beside_a_run
{
    my ($level) = @_;
    my $had = $last;
    my $pid = open my $run, '-|';

    die "fork: $!" unless defined $pid;
    if (!$pid) {
        my $script = "print('begun')\nimport time\ntime.sleep(5)\nimport mine\nprint(mine.NUMBER)";

        syswrite STDOUT, run_code("/$level", $script, @port)->{output} // 'nothing';
        POSIX::_exit(0);
    }
    ok(wait_for(sub { metrics($server->{port})->{ series('pyexec_running', pool => $level) } }, 10),
       "$level: a run goes on") or return;
    for my $round (1 .. 3) {
        install();
        is(has("/$level"), $last, "$level: other packages, round $round");
    }
    is(do { local $/ = undef; <$run> }, "begun\n$had\n", '... a run that goes on keeps what it had');
    close $run;
    return;
}
