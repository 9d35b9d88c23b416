# SPDX-License-Identifier: Apache-2.0
# Two servers with keepers of their own that share a directory of packages, and
# both install into it: after each other, at the same time, and beside runs of
# both. Each sees at once what the other has installed, none is kept waiting by
# the other's queue, and nothing is removed that a run of either still loads from.
use strict;
use warnings FATAL => 'all';
use PyExec::Index;
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

once_only();

my $env = helper_dir();
my $index = index_make('packages.py');

# The first has the index and the proxy of both.
my %server = (one => serve(index_served($index)), two => serve(''));
END {
    local $?;
    $_->{stop}->() for grep { $_ } @server{qw(two one)};
}

alternately();
in_use();
at_the_same_time();
nobody_waits_for_a_queue();
nobody_waits_for_who_has_left();
nothing_is_left();
unlike(error_log($server{$_}), qr/:error\]| error: /, "$_: no complaint of an error") for sort keys %server;
done_testing();

# ---- helpers ----

sub serve
{
    my ($more) = @_;

    return own_server(index_modules() . $more . <<"END");
PyExecPreload none
PyExecInstallIndex $index->{url}
PyExecInstallTimeout 120s
<PyExecPool shared>
    PyExecEnvironment "$env"
    PyExecInstall On
    PyExecNetwork proxy=127.0.0.1:$index->{proxy}
    PyExecNetworkConnections 1000
    PyExecConcurrency 3
</PyExecPool>
<Location "/run">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect run
    PyExecPool shared
    PyExecTimeout 60s
    PyExecImports *
</Location>
<Location "/packages">
    SetHandler pyexec-packages
    PyExecEngine On
    PyExecPool shared
</Location>
END
}

sub pip
{
    my ($who, $pip) = @_;
    my $answer = post_json('/run', { script => '', pip => $pip }, port => $server{$who}{port});

    return $answer->{json}{result} // "status $answer->{status}: " . json_text($answer->{json} // $answer->{body});
}

sub done { return 'Library ' . ($_[0] =~ /-u/ ? 'Uninstallation' : 'Installation') . ' Successfully' }

sub says
{
    my ($who, $script) = @_;
    my $answer = post_json('/run', { script => $script }, port => $server{$who}{port});

    return $answer->{json}{result} // "status $answer->{status}: " . json_text($answer->{json} // $answer->{body});
}

sub listed
{
    my ($who) = @_;
    my $answer = request('GET', '/packages', port => $server{$who}{port});

    return "status $answer->{status}: $answer->{body}" if $answer->{status} != 200;
    return join ' ', map { $_->{name} . ($_->{name} eq 'demo' ? $_->{version} : '') } @{ $answer->{json}{packages} };
}

# Both list these, and import them.
sub both_have
{
    my (@names) = @_;
    my @modules = map { s/\d.*//r } @names;
    my $import = join '', map { "import $_\n" } @modules;

    for my $who (sort keys %server) {
        is(listed($who), join(' ', @names), "... $who lists @names");
        is(says($who, "${import}print('fine')"), 'fine', "... $who imports them");
    }
    return;
}

# Generations, and what is neither one nor known.
sub generations
{
    opendir my $dir, "$env" or die;
    return sort grep { !/^(?:\.\.?|lock|turn|current)$/ } readdir $dir;
}

# ---- cases ----

sub alternately
{
    my @there;

    for my $case ([one => 'pkga'], [two => 'pkgb'], [one => 'pkgc'], [two => 'demo1.0', '-i demo==1.0'],
                  [one => 'pkgd']) {
        my ($who, $name, $pip) = @$case;

        is(pip($who, $pip // "-i $name"), done('-i'), "$who installs $name");
        @there = sort @there, $name;
        both_have(@there);
    }
    is(pip('two', '-u pkga pkgb pkgc pkgd'), done('-u'), 'two uninstalls all but one');
    both_have('demo1.0');
    return;
}

# A run of the one, while the other installs as often as makes it remove what
# nobody uses.
sub in_use
{
    my $run = meanwhile(sub { says('one', <<"END") });
import demo, time, urllib.request
def is_there(name):
    try: return urllib.request.urlopen('http://localhost:$index->{port}/' + name).status == 200
    except OSError: return False
is_there('begun')
while not is_there('go'): time.sleep(0.1)
import demo.later
print(demo.VERSION, demo.later.VERSION)
END
    my $used = readlink "$env/current";

    ok(wait_for(sub { PyExec::Test::slurp("$server{one}{dir}/asked") =~ m{GET /begun } }, 20), 'one: a run goes on');
    for my $pip ('-i demo==2.0', '-i pkga', '-u pkga', '-u demo') {
        is(pip('two', $pip), done($pip), "... two: $pip");
    }
    both_have();
    ok(-e "$env/$used/demo", '... what the run loads from is still there');
    open my $go, '>', "$index->{www}/go" or die;
    close $go or die;
    chmod 0644, "$index->{www}/go" or die;
    is($run->(), '1.0 1.0', '... and it ends with that');
    return;
}

# As many of both, and runs that must not notice.
sub at_the_same_time
{
    my %end = (one => time + 12, two => time + 12);
    my @runs;
    my @pips;

    is(pip('one', '-i demo==2.0'), done('-i'), 'what runs import meanwhile');
    @runs = map { my $who = $_; meanwhile(sub {
        my ($bad, $count) = ('', 0);

        while ($bad eq '' && time < $end{$who}) {
            my $said = says($who, "import demo\nprint(demo.VERSION)");
            my $list = listed($who);

            $bad = "$said; $list" if $said ne '2.0' || $list !~ /^demo2\.0(?: pkg[a-f])*$/;
            $count++;
        }
        return $bad eq '' && $count > 0 ? 'fine' : $bad;
    }) } sort keys %server;
    @pips = map { my ($who, $name) = @$_; meanwhile(sub { pip($who, "-i pkg$name") }) }
        [one => 'a'], [two => 'b'], [one => 'c'], [two => 'd'], [one => 'e'], [two => 'f'];
    is(join(', ', map { $_->() } @pips), join(', ', (done('-i')) x 6), 'three of each at the same time');
    both_have('demo2.0', map { "pkg$_" } 'a' .. 'f');
    is(join(', ', map { $_->() } @runs), 'fine, fine', '... and all runs were well');
    return;
}

# Who has many that wait lets the other have its turn.
sub nobody_waits_for_a_queue
{
    my $log = "$index->{www}/order";
    my $ask = sub {
        my ($who, $pip) = @_;

        return meanwhile(sub {
            my $said = pip($who, $pip);

            open my $order, '>>', $log or die;
            syswrite $order, "$who\n";
            close $order or die;
            return $said;
        });
    };
    my @many = map { $ask->('one', '-i demo==' . ($_ % 2 ? '1.0' : '2.0')) } 1 .. 8;
    my $one;

    ok(wait_for(sub { -s $log }, 30), 'one: the first of many is done');
    $one = $ask->('two', '-u pkgf');
    is($one->(), done('-u'), '... two: just one');
    cmp_ok(scalar(() = PyExec::Test::slurp($log) =~ /^one$/mg), '<', 6, '... waited for a few of them, not for all');
    is(join(', ', map { $_->() } @many), join(', ', (done('-i')) x 8), '... which were done, too');
    like(listed('two'), qr/^demo[12]\.0 pkga pkgb pkgc pkgd pkge$/, '... and nothing is lost');
    is(pip('two', '-i pkgf'), done('-i'), '... and can be had again');
    return;
}

# Who waits for an interpreter has the lock already, and takes it along.
sub nobody_waits_for_who_has_left
{
    my $keeper = keeper($server{one}{pid});
    my %before = map { $_->{Pid} => 1 } descendants($keeper);
    my $body = json_text({ script => '', pip => '-u pkge' });
    my $socket = raw_open(port => $server{one}{port});
    my $coming;

    print $socket "POST /run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $coming = wait_for(sub { (grep { !$before{ $_->{Pid} } } descendants($keeper))[0] }, 10);
    ok($coming && kill('STOP', $coming->{Pid}), 'one: an interpreter begins to start, and no more');
    close $socket;
    is(pip('two', '-u pkgf'), done('-u'), '... its client leaves: two can install');
    is((proc_status($coming->{Pid}) // {})->{State}, 'T (stopped)', '... before that has started');
    kill 'CONT', $coming->{Pid};
    like(listed('one'), qr/ pkge$/, '... and who has left has changed nothing');
    return;
}

# Each run takes a server to what is current; who installs then removes all that
# nobody loads from.
sub nothing_is_left
{
    my $had;

    listed($_) for sort keys %server;
    $had = readlink "$env/current";
    is(pip('one', '-u demo pkga pkgb pkgc pkgd pkge'), done('-u'), 'the last one');
    is(join(' ', generations()), join(' ', $had, readlink "$env/current"), '... leaves what was current and what is');
    return;
}
