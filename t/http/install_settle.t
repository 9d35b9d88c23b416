# SPDX-License-Identifier: Apache-2.0
# Who installs waits for the interpreters of others to start anew, they wait for
# nothing: until the answer runs begin with what there was, afterwards with what
# was installed, also where no new interpreter came in time. How long one takes
# to start is up to this test: it preloads a module that waits for a file.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Index;
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

once_only();

my $site = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $env = helper_dir();
my $index = index_make('packages.py');
my ($uid, $gid) = (stat "$env")[4, 5];
chmod 0755, $site or die;
spew('waits.py', <<"END");
import os, time
if os.path.exists('$site/die'):
    os._exit(1)
while not os.path.exists('$site/go'):
    time.sleep(0.01)
END
spew('holds.py', <<"END");
import os, time
forks = []
def hold():
    while len(forks) > 1 and os.path.exists('$site/hold'):
        time.sleep(0.01)
# The first one tries its confinement.
os.register_at_fork(before=lambda: forks.append(1), after_in_child=hold)
while not os.path.exists('$site/go'):
    time.sleep(0.01)
END
spew('go');

my $server = own_server(index_modules() . index_served($index) . <<"END");
PyExecInstallIndex $index->{url}
PyExecInstallTimeout 120s
<PyExecPool admin>
    PyExecEnvironment "$env"
    PyExecInstall On
    PyExecPreload none
    PyExecNetwork proxy=127.0.0.1:$index->{proxy}
</PyExecPool>
<PyExecPool public>
    PyExecEnvironment "$env"
    PyExecSitePackages "$site"
    PyExecPreload waits
    PyExecConcurrency 2
    PyExecQueueTimeout 100ms
</PyExecPool>
<PyExecPool idle>
    PyExecEnvironment "$env"
    PyExecSitePackages "$site"
    PyExecPreload holds
    PyExecIdle 1s
</PyExecPool>
<Macro PyExecWay \$name \$dialect>
    <Location "/\$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect \$dialect
        PyExecPool \$name
        PyExecImports *
    </Location>
</Macro>
Use PyExecWay admin run
Use PyExecWay public code
Use PyExecWay idle code
END
END {
    local $?;
    if ($server) {
        spew('go');
        $server->{stop}->();
    }
}
my @port = (port => $server->{port});
my $done = 'Library Installation Successfully';

ok(wait_for(sub { run_code('/public', "import sys\nprint('waits' in sys.modules)\nimport waits", @port)->{output} eq "True\n" }, 20),
   'an interpreter waits when it starts');
is(has(), 'none', '... and at first there is nothing');
answered_when_warm();
left_meanwhile();
unlike(error_log($server), qr/:error\]| error: /, 'nobody has complained of an error');
not_what_came_before();
not_after_a_change();
too_slow();
failing();
let_go_meanwhile();
draining();
done_testing();

# ---- helpers ----

sub spew
{
    my ($name, $text) = @_;

    open my $out, '>', "$site/$name" or die "$name: $!";
    print $out $text // '';
    close $out or die;
    chmod 0644, "$site/$name" or die;
    return;
}

sub current { return readlink("$env/current") // '' }

sub begin
{
    my ($pip) = @_;
    my $body = json_text({ script => '', pip => $pip });
    my $socket = raw_open(@port);

    print $socket "POST /admin HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        . "Connection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub answer_of
{
    my ($socket, $seconds) = @_;
    my $answer = raw_answer($socket, $seconds // 60) or return 'none';

    return $answer->{json}{result} // json_text($answer->{json} // $answer->{body});
}

sub is_answered
{
    my ($socket) = @_;
    my $bits = '';

    vec($bits, fileno $socket, 1) = 1;
    return scalar select $bits, undef, undef, 0;
}

# The version of demo that a run finds, which is for an interpreter that has the
# module; where there is none, it is imported by the run.
sub has
{
    my $answer = run_code('/public', <<'END', @port);
import waits
try:
    from demo import VERSION
except ImportError:
    VERSION = 'none'
print(VERSION)
END

    return ($answer->{output} // json_text($answer)) =~ s/\n//r;
}

# Until it is installed, and would be answered if nobody had to start.
sub begin_and_commit
{
    my ($pip, $name) = @_;
    my $before = current();
    my $asked = begin($pip);

    ok(wait_for(sub { current() ne $before }, 60), "$name: $pip is taken over");
    return $asked;
}

# ---- cases ----

sub answered_when_warm
{
    my $asked;

    unlink "$site/go" or die;
    $asked = begin_and_commit('-i demo==1.0', 'a slow start');
    is(join(' ', map { has() } 1 .. 20), join(' ', ('none') x 20), '... runs go on with what there was');
    ok(!is_answered($asked), '... and there is no answer yet');
    spew('go');
    is(answer_of($asked), $done, '... which comes with the new interpreter');
    is(has(), '1.0', '... and so do runs');
    $asked = begin('-i demo==1.0');
    unlink "$site/go" or die;
    is(answer_of($asked), $done, 'what is there already needs no new one');
    spew('go');
    return;
}

sub left_meanwhile
{
    my $asked;

    unlink "$site/go" or die;
    $asked = begin_and_commit('-i demo==2.0', 'a client that leaves');
    close $asked;
    ok(wait_for(sub { error_log($server) =~ /PYX0201/ }, 10), '... is gone');
    is(has(), '1.0', '... runs go on');
    $asked = begin('-i pkga');
    is(has(), '1.0', '... and the next installation waits');
    spew('go');
    is(answer_of($asked), $done, '... for a new interpreter as well');
    is(has(), '2.0', '... and then all is there');
    return;
}

# By hand: another generation, without demo.
sub take_away
{
    my $name = sprintf '%06d', current() + 1;

    is(system('cp', '-a', "$env/" . current(), "$env/$name"), 0, 'somebody makes another generation');
    is(system('rm', '-r', glob "$env/$name/demo*"), 0, '... without demo');
    chown $uid, $gid, "$env/$name" or die;
    symlink $name, "$env/next" or die;
    rename "$env/next", "$env/current" or die;
    return;
}

# Another one was current in between, with whatever was answered for it: what
# has neither is not good enough for anybody.
sub not_what_came_before
{
    my ($asked, $run);

    take_away();
    unlink "$site/go" or die;
    $asked = begin_and_commit('-i pkgb', 'and then another one');
    is(answer_of($asked, 9), $done, '... is answered at once: no run would be served by what is older');
    $run = meanwhile(\&has);
    spew('go');
    is($run->(), 'none', '... but with what they have done');
    is(answer_of(begin('-i demo==1.0')), $done, 'again');
    is(has(), '1.0', '... and well');
    return;
}

# Nor is what the installation began with, when that is replaced by hand before
# it is answered.
sub not_after_a_change
{
    my ($asked, $run);

    unlink "$site/go" or die;
    $asked = begin_and_commit('-i demo==2.0', 'a change by hand');
    is(has(), '1.0', '... runs go on');
    take_away();
    $run = meanwhile(\&has);
    is(answer_of($asked, 9), $done, '... and nothing more is waited for');
    spew('go');
    is($run->(), 'none', '... runs have what is current now');
    is(answer_of(begin('-i demo==1.0')), $done, 'again');
    return;
}

# The answer does not wait for ever; then the runs do.
sub too_slow
{
    my ($asked, $run);

    unlink "$site/go" or die;
    $asked = begin_and_commit('-i demo==2.0', 'a start that takes too long');
    is(answer_of($asked, 20), $done, '... is answered all the same');
    $run = meanwhile(\&has);
    spew('go');
    is($run->(), '2.0', '... and runs have it when it has come');
    return;
}

sub failing
{
    my ($asked, $run);

    spew('die');
    $asked = begin_and_commit('-i demo==1.0', 'a start that fails');
    is(answer_of($asked, 9), $done, '... is answered at once');
    unlink "$site/die" or die;
    ok(wait_for(sub { has() eq '1.0' }, 20), '... and runs have it when one does not');
    is(join(' ', map { has() } 1 .. 5), join(' ', ('1.0') x 5), '... never what was before');
    return;
}

# An interpreter that is let go before it has a job that is ready, which this
# module keeps it from.
sub let_go_meanwhile
{
    my $before = current();
    my $is_used = sub { run_code('/idle', "import sys\nprint('holds' in sys.modules)\nimport holds", @port)->{output} eq "True\n" };
    my $asked;

    ok(wait_for($is_used, 20), 'a pool that is let go when it is idle');
    unlink "$site/go" or die;
    $asked = begin('-i demo==2.0');
    ok(wait_for(sub { $is_used->() && current() ne $before }, 60), '... is used up to an installation');
    spew('hold');
    spew('go');
    is(answer_of($asked, 7), $done, '... and is not waited for when it is let go');
    unlink "$site/hold" or die;
    is(answer_of(begin('-i demo==1.0')), $done, 'again');
    return;
}

# The keeper is to end, and starts nothing any more.
sub draining
{
    my $keeper = keeper($server->{pid});
    my $asked;

    unlink "$site/go" or die;
    $asked = begin_and_commit('-i demo==2.0', 'a keeper that is to end');
    is(has(), '1.0', '... runs go on');
    kill 'TERM', $keeper;
    is(answer_of($asked, 8), $done, '... it answers without waiting any longer');
    ok(wait_for(sub { !kill 0, $keeper }, 8), '... and ends');
    ok(error_log($server) =~ /^pyexecd\[$keeper\]: [^\n]*PYX0322(?!.*^pyexecd\[$keeper\]: [^\n]*PYX0395)/ms,
       '... without new interpreters that nobody waits for');
    spew('go');
    ok(wait_for(sub { has() eq '2.0' }, 20), '... and the next one has it all');
    return;
}
