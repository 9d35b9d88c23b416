# SPDX-License-Identifier: Apache-2.0
# A package is replaced while httpd runs: module, keeper and zygote of two
# releases meet, in every order. Each run is served or gets a clear 503.
use strict;
use warnings FATAL => 'all';
use File::Copy ();
use File::Temp ();
use PyExec::Load;
use PyExec::Test;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_SEQPACKET);
use Test::More;
use Time::HiRes qw(sleep time);

# This release, and one that speaks another version of the protocol.
my $build = var('t_dir') . '/..';
my %releases = (
    this => { module => var('module_file'), keeper => "$build/pyexecd",
              zygote => "$build/pyexec-zygote" },
    other => { module => var('t_dir') . '/upgrade/.libs/mod_pyexec.so',
               keeper => var('t_dir') . '/upgrade/pyexecd',
               zygote => var('t_dir') . '/upgrade/pyexec-zygote' },
);
my %names = (module => 'mod_pyexec.so', keeper => 'pyexecd',
             zygote => 'pyexec-zygote');
my $place = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $server;
my $port;

chmod 0755, $place or die;
install('this', keys %names);
$server = own_server("PyExecPreload none\nPyExecConcurrency 2",
                     module => "$place/mod_pyexec.so", helper => "$place/pyexecd");
END { $server->{stop}->() if $server }
$port = $server->{port};

everything_at_once('other');
everything_at_once('this');
half('the module', \&graceful, ['module'], ['keeper', 'zygote']);
half('the helper', sub { kill 'KILL', a_keeper() }, ['keeper', 'zygote'],
     ['module']);
zygote_alone();
zygote_of_another_release();
done_testing();

# As packages do: the old file stays whole for whoever has it open.
sub install
{
    my ($release, @parts) = @_;

    for my $part (@parts) {
        my $file = "$place/$names{$part}";

        File::Copy::copy($releases{$release}{$part}, "$file.new") or die "$file: $!";
        chmod 0755, "$file.new" or die;
        rename "$file.new", $file or die "$file: $!";
    }
    return;
}

# The next one may be about to be started.
sub a_keeper
{
    my $pid;

    wait_for(sub { $pid = keeper($server->{pid}) }, 20);
    return $pid // die 'no keeper';
}

sub graceful
{
    my $old = keeper($server->{pid});

    kill 'USR1', $server->{pid} or die;
    return $old;
}

sub log_since
{
    my ($mark) = @_;

    return substr error_log($server), $mark;
}

sub mark { return length error_log($server) }

sub run_status
{
    return post_json('/execute', { code => 'print(1)' }, port => $port)->{status};
}

# By what was started since; the next restart must not find it half way.
sub is_well_again
{
    my $old = graceful() // 0;

    wait_for(sub { (keeper($server->{pid}) // $old) != $old }, 20);
    return is_well($_[0]);
}

sub is_well { return ok(wait_for(sub { run_status() == 200 }, 20), $_[0]) }

sub is_clear_503
{
    my ($answer, $name) = @_;

    is($answer->{status} || 'none', 503, "$name: 503");
    like($answer->{headers}{'retry-after'} || '', qr/^\d+$/, '... with Retry-After');
    ok(ref $answer->{json} eq 'HASH' && $answer->{json}{error}, '... and JSON');
    return;
}

# A request whose body is read already, by a child of now, but not to its end.
sub half_sent
{
    my $socket = raw_open(port => $port);
    my $body = json_text({ code => 'print(1)' });
    my $line = '';

    print $socket "POST /execute HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\nExpect: 100-continue\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n";
    sysread $socket, $line, 25 or die 'no 100 Continue';
    die "not to be continued: $line" unless $line =~ /^HTTP\S+ 100 /;
    return ($socket, $body);
}

# Children from before the restart ask the keeper from after it.
sub everything_at_once
{
    my ($release) = @_;
    my $name = "to $release release";
    my $mark = mark();
    my $long = started($port, "import time\ntime.sleep(3)\nprint('survived')");
    my ($late, $rest, $old, $answer);

    ok(wait_for(sub {
        request('GET', '/health', port => $port)->{json}{running};
    }, 10), "$name: a run goes on");
    ($late, $rest) = half_sent();
    install($release, keys %names);
    $old = graceful();
    ok(wait_for(sub {
        my $now = keeper($server->{pid});
        $now && $now != $old;
    }, 20), "$name: another keeper serves");
    is_well("$name: runs are served");
    print $late $rest;
    is_clear_503(raw_answer($late, 20), "$name: asked by a child of the old one");
    ok(wait_for(sub { log_since($mark) =~ /PYX0330: .*another version of the protocol/ }, 10),
       '... which the log tells') or diag(log_since($mark));
    $answer = raw_answer($long, 20);
    is($answer && $answer->{json}{output}, "survived\n", "$name: the long run survives");
    return;
}

# One half is taken up, by somebody's restart or for want of a helper, before the
# other is there or is asked for.
sub half
{
    my ($name, $take_up, $first, $rest) = @_;
    my $mark = mark();
    my (@sockets, @answers, $took);

    install('other', @$first);
    $take_up->();
    ok(wait_for(sub { log_since($mark) =~ /PYX0310/ }, 20), "$name alone: the keeper refuses");
    like(log_since($mark), qr/PYX0310: .*another release than pyexecd/, '... and says so');
    # While it is started again and again: connections that nobody accepts.
    $took = seconds(sub {
        @sockets = map { sleep 0.02; started($port, 'print(1)', '/execute') } 1 .. 10;
        @answers = map { raw_answer($_, 30) } @sockets;
    });
    is(join(' ', map { $_ ? $_->{status} : 'none' } @answers), join(' ', (503) x 10),
       "$name alone: every run gets 503");
    # Twenty seconds is what a run may take with its queue.
    cmp_ok($took, '<', 12, '... at once');
    is_clear_503($answers[-1], 'the last of them');
    is(request('GET', '/health', port => $port)->{status}, 503, '... and /health says it, too');
    install('other', @$rest);
    is_well_again("$name alone: all is well with the rest and a restart");
    install('this', keys %names);
    is_well_again('and back');
    return;
}

sub zygote_alone
{
    my $mark;
    my $old = wait_for(sub { keeper($server->{pid}) }, 10);
    my %before = map { $_ => 1 } all_own_zygotes();

    install('other', 'zygote');
    kill 'KILL', keys %before;
    ok(wait_for(sub {
        my @now = all_own_zygotes();
        @now && !grep { $before{$_} } @now;
    }, 20), 'zygote replaced on disk: another one is started');
    is_well('... by the keeper that holds the old program: runs are served');
    is(keeper($server->{pid}), $old, '... and it is still that keeper');
    $mark = mark();
    kill 'KILL', $old;
    ok(wait_for(sub { log_since($mark) =~ /PYX0453: .*no pyexecd of another release/ }, 20),
       'a keeper that starts beside it: the zygote refuses it');
    ok(wait_for(sub { run_status() == 503 }, 20), '... runs are refused');
    is_clear_503(post_json('/execute', { code => 'print(1)' }, port => $port), '... each of them');
    install('this', 'zygote');
    is_well_again('the right zygote and a restart: all is well');
    return;
}

sub all_own_zygotes
{
    return zygotes($server->{pid});
}

# ---- a zygote, asked by us in the keeper's place ----

sub field { return pack 'vvV/a', $_[0], 0, $_[1] }

sub warm_frame
{
    my (@version) = @_;
    my $body = field(42, pack 'V', 2) . field(11, pack 'Q<', 1 << 28)
        . field(60, 'full') . join '', map { field(61, $_) } @version;

    return 'PYXW' . pack('vvV/a', 1, 16, $body);
}

# Its answer to the frame, and what it writes.
sub ask_zygote
{
    my ($frame) = @_;
    my $log = "$place/zygote.log";
    my $answer = '';
    my $pid;

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_SEQPACKET, PF_UNSPEC or die;
    unlink $log;
    $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDERR, '>', $log or POSIX::_exit(9);
        open STDIN, '<', '/dev/null' or POSIX::_exit(9);
        POSIX::dup2(fileno $theirs, 3);
        if (as_root()) {
            $( = $) = '65534 65534';
            $< = $> = 65534;
        }
        $^F = 3;
        exec "$place/pyexec-zygote" or POSIX::_exit(9);
    }
    close $theirs;
    syswrite $ours, $frame;
    sysread $ours, $answer, 4096 if IO::Select->new($ours)->can_read(30);
    close $ours;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return ($answer, PyExec::Process::slurp($log) // '');
}

sub zygote_of_another_release
{
    my $version = request('GET', '/health', port => $port)->{json}{version};
    my $warmed = qr/^PYXW.\0\x11\0/s;
    my %wrong = ('no release' => [], 'a later one' => ["$version.1"],
                 'part of one' => [substr $version, 0, -1]);
    my ($answer, $log) = ask_zygote(warm_frame($version));

    like($answer, $warmed, 'a zygote serves a keeper of its own release') or diag($log);
    for my $name (sort keys %wrong) {
        ($answer, $log) = ask_zygote(warm_frame(@{ $wrong{$name} }));
        unlike($answer, $warmed, "... but not of $name");
        like($log, qr/453: pyexec-zygote \Q$version\E serves no pyexecd of another/, '... and says so')
            or diag($log);
    }
    return;
}
