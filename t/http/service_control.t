# SPDX-License-Identifier: Apache-2.0
# Who may say how the service serves, and what becomes of what else is sent to
# its control socket, and to the one for runs.
use strict;
use warnings FATAL => 'all';
use IO::Select ();
use IO::Socket::UNIX ();
use POSIX ();
use PyExec::Process qw(cpu_ticks);
use PyExec::Service;
use PyExec::Test;
use Socket qw(SOCK_DGRAM SOCK_STREAM);
use Test::More;

my $token = 'T' x 32;
my $taken = qr/\APYXW\x01\x00\x09\x00.{4}.*\x3e\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00/s;
my $refused = qr/\APYXW\x01\x00\x09\x00.{4}.*\x3e\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00/s;
my $place = service_place();
my $manager = IO::Socket::UNIX->new(Local => "$place->{dir}/notify",
                                    Type => SOCK_DGRAM) or die "notify: $!";

service_start($place, notify => "$place->{dir}/notify");
my $u32 = sub { wire_field($_[0], pack 'V', $_[1]) };

is(told(), 'READY=1', 'the service manager is told that it is ready');
runs_without_a_set_up();
refused($_->[0], $_->[1], $_->[2]) for (
    ['nothing of ours', "GET / HTTP/1.0\r\n\r\n", qr/not of our protocol/],
    ['another version', wire_frame(8, 'x' x 64, 2), qr/speaks version 1 of the protocol, the module another one/],
    ['another type', wire_frame(6, ''), qr/only a set-up/],
    ['a type that there is not', wire_frame(77, ''), qr/not of our protocol/],
    ['too large', pack('a4 v v V', 'PYXW', 1, 8, (1 << 20) + 1), qr/too large/],
    ['no fields', wire_frame(8, ''), qr/malformed/],
    ['a short token', setup_frame('T' x 31), qr/malformed/],
    ['a field that is cut', wire_frame(8, substr setup_frame($token), 12, -3), qr/malformed/],
    ['no pool', wire_frame(8, wire_field(1, $token)), qr/no pool is defined/],
    ['a pool out of range', setup_frame($token, body => wire_field(40, wire_field(2, 'q')
        . join '', map { $u32->(@$_) } [43, 99999])), qr/not to be understood/],
    (map { ["a pool that installs, $_->[0]", setup_frame($token, pool => packages(%{ $_->[1] })), $_->[2]] } (
        ['without a directory', { 80 => undef }, qr/a pool's directory of packages is no absolute path, or/],
        ['into a relative one', { 80 => 'a' }, qr/no absolute path/],
        ['into two', { 80 => "/a\n/b" }, qr/no absolute path/],
        ['without an index', { 82 => undef }, qr/a pool that installs lacks/],
        ['from no address', { 82 => '--index-url' }, qr/out of its range/],
        ['from two addresses', { 82 => 'http://a/ http://b/' }, qr/out of its range/],
        ['without a proxy', { 72 => undef }, qr/a pool that installs lacks/],
        ['too much', { 81 => pack 'Q<', 1 << 63 }, qr/out of its range/])),
    ['two pools of one name', setup_frame($token, body => substr(setup_frame($token), 12 + 40)),
     qr/two pools have the same name/],
    ['an unknown field', setup_frame($token, body => wire_field(99, 'x')), qr/malformed/],
);
random_bytes();
too_many();
foreign_user();
taken_and_owned();
another_version();
crowded();
no_descriptors();
is(service_stop($place), 0, 'after all that it ends in peace');
is(told(), "STOPPING=1\nSTATUS=ending", 'the service manager is told that it ends');
mistakes();
done_testing();

# The fields of a pool that installs packages, with others in place of some.
sub packages
{
    my %fields = (72 => '127.0.0.1:3128', 74 => pack('V', 1), 75 => pack('Q<', 1),
                  80 => '/srv/x', 81 => pack('Q<', 1 << 20), 82 => 'https://a.example/', @_);

    return join '', map { defined $fields{$_} ? wire_field($_, $fields{$_}) : () } sort keys %fields;
}

# The last that the service manager was told, but for how things are.
sub told
{
    my $last;

    wait_for(sub {
        while (IO::Select->new($manager)->can_read(0)) {
            recv $manager, my $said, 4096, 0;
            $last = $said if $said !~ /\ASTATUS=/;
        }
        return defined $last;
    }, 10);
    return $last;
}

# A module of another release is told by a header that it can read, and so is
# an administrator by httpd, of a service of another release.
sub another_version
{
    my $socket = IO::Socket::UNIX->new(Peer => $place->{path}, Type => SOCK_STREAM)
        or die "connect: $!";
    my $there = service_place();
    my @listeners = map {
        IO::Socket::UNIX->new(Local => $_, Listen => 8, Type => SOCK_STREAM)
            || die "listen: $!";
    } "$there->{path}.control", $there->{path};
    my ($pid, $server);

    like(control_ask($socket, wire_frame(2, wire_field(1, $token), 2)),
         qr/\APYXW\x01\x00\x0f\x00.*speaks another version/s,
         'a run in another version of the protocol: told');
    $pid = fork // die "fork: $!";
    if (!$pid) {
        while (my $client = $listeners[0]->accept) {
            sysread $client, my $ignored, 1 << 16;
            syswrite $client, wire_frame(9, '', 2);
        }
        POSIX::_exit(0);
    }
    $server = own_server('PyExecPreload none', who => $there->{directive},
                         health => 503);
    like(error_log($server), qr/PYX0112: .* it speaks another version of the protocol: module and service must be of the same release/,
         'a service of another release: the log tells');
    is(post_json('/execute', { code => '1' }, port => $server->{port})->{status},
       503, '... and runs get 503');
    $server->{stop}->();
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}

sub mistakes
{
    my $program = var('service_program');
    my $user = as_root() ? '--user=daemon' : '--debug';
    my @cases = (
        ['', qr/PYX0500: no sockets were handed over/],
        ["--socket=relative $user", qr/PYX0500: --socket wants an absolute path/],
        ["--socket=/tmp/x --mode=777 $user", qr/PYX0500: --mode wants an octal mode from 0600 to 0666/],
        ["--socket=/tmp/x --owner=nobody-at-all $user", qr/PYX0500: --owner wants the name of a user/],
        ["--socket=/tmp/x --user=root", qr/PYX0500: --user wants .* neither may be 0/],
        ["--socket=/tmp/x --user=nobody-at-all", qr/PYX0500: --user wants the name of a user that there is/],
        ["--socket=/tmp/x --state=relative $user", qr/PYX0500: --state wants the absolute path/],
        ["--socket=/tmp/x --sate=/tmp/y $user", qr/PYX0500: an option is unknown or has no value/],
        ["--socket=/tmp/x $user more", qr/PYX0500: there are words/],
        ['--socket=/tmp/' . 'x' x 95 . " $user", qr/PYX0500: --socket wants .* with ".control" behind it/],
        as_root() ? ['--socket=/tmp/x', qr/PYX0500: started by root it needs --user/]
                  : ['--socket=/tmp/x --user=1:1', qr/PYX0500: only root can become/],
        ["--socket=/nonexistent/x $user", qr/PYX0504: cannot listen at/],
    );
    # User 1000 in a namespace that knows nobody else.
    my @others = (
        ['--owner=65534', qr/PYX0500: .* the user of --owner is whoever has no number/],
        ['--owner=65533', qr/PYX0504: cannot listen at/],
        ['', qr/PYX0504: cannot listen at/],
    );

    for my $case (@cases) {
        my ($options, $says) = @$case;
        my $output = `$program --service $options 2>&1 </dev/null`;

        ok($? != 0, "--service $options: refused");
        like($output, $says, '... with a reason');
    }
    for my $case (@others) {
        my ($options, $says) = @$case;

        like(scalar `unshare --user --map-user=1000 $program --service --socket=/nonexistent/x $options 2>&1 </dev/null`,
             $says, "in a user namespace, $options: refused for the right reason");
    }
    # As in a container where a user is named and no group.
    like(scalar `setpriv --reuid=1 --regid=0 --clear-groups $program --check 2>&1 </dev/null`,
         qr/PYX0304: refusing to serve as this user and group, of which neither may be root's/,
         '--check in the group of root: says that') if as_root();
    like(`$program --help`, qr/^usage: pyexecd --service.*--state=FILE/s, '--help');
    is($?, 0, '--help is no mistake');
    return;
}

sub runs_without_a_set_up
{
    my $socket = IO::Socket::UNIX->new(Peer => $place->{path}, Type => SOCK_STREAM)
        or die "connect: $!";

    like(control_ask($socket, ''), qr/\APYXW\x01\x00\x0f\x00.*no set-up yet/s,
         'whoever wants a run is told before he says anything');
    return;
}

sub refused
{
    my ($name, $bytes, $why) = @_;
    my $answer = control_ask(control_connect($place), $bytes);

    like($answer, $refused, "$name: refused");
    like($answer, $why, "$name: and told why");
    return;
}

# Frames with a flipped byte, of random lengths, in pieces: none is taken, and
# the service is there afterwards. Those that are left open are closed.
sub random_bytes
{
    my $good = setup_frame($token);
    my @open;
    my $bad = 0;

    srand 1;
    for my $round (1 .. 300) {
        my $bytes = $good;
        my $at = int rand 12 + 8 + 32 + 8;

        substr $bytes, $at, 1, chr int rand 256 if $round % 3;
        substr $bytes, int(rand length $bytes), length $bytes, '' if $round % 3 != 1;
        # With another token, or one byte for the same, it is as good.
        next if $bytes eq $good || length $bytes == length $good
            && $at >= 20 && $at < 52;
        my $socket = control_connect($place);

        syswrite $socket, $bytes;
        shutdown $socket, 1;
        my $answer = control_ask($socket, '');
        $bad++ if $answer =~ $taken;
    }
    is($bad, 0, 'no frame that was damaged is taken');
    ok(PyExec::Test::is_alive($place->{pid}), 'and the service lives');
    return;
}

# The ninth is told so at once; the eight are closed when their time is over.
sub too_many
{
    my @silent = map { control_connect($place) } 1 .. 8;
    my $answer;

    wait_for(sub {
        $answer = control_ask(control_connect($place), '');
        length $answer;
    }, 5);
    like($answer, qr/too many connections/, 'of those who are silent there are not many');
    control_ask(control_connect($place), '') for 1 .. 30;
    cmp_ok(scalar(() = service_log($place) =~ /PYX0523/g), '<', 5,
           '... and the log is not filled with the others');
    like(control_ask($silent[0], ''), qr/not complete in time/,
         '... and not for long');
    return;
}

# Each keeper that is replaced cannot end. When all places are taken, the next one
# begins as soon as one of them can.
sub crowded
{
    my $there = service_place();
    my @keepers;
    # One that does not listen to signals yet would die of the first.
    my $newest = sub { (0, service_log($there) =~ /pyexecd\[(\d+)\]: \S+ PYX0326/g)[-1] };
    my $is_full = sub { service_log($there) =~ /PYX0511/ };
    my $owner;

    # A manager that never listens keeps nobody from anything.
    my $deaf = IO::Socket::UNIX->new(Local => "$there->{dir}/notify",
                                     Type => SOCK_DGRAM) or die "notify: $!";
    service_start($there, notify => "$there->{dir}/notify");
    $owner = control_connect($there);
    like(control_ask($owner, setup_frame($token)), $taken, 'another service');
    for (1 .. 40) {
        last unless wait_for(sub { $newest->() != ($keepers[-1] // 0) || $is_full->() }, 10)
            && !$is_full->();
        push @keepers, $newest->();
        kill 'STOP', $keepers[-1];
        kill 'HUP', $there->{pid};
    }
    like(service_log($there), qr/PYX0511: .*too many are still finishing/,
         'too many keepers that cannot end');
    like(control_ask(IO::Socket::UNIX->new(Peer => $there->{path}), ''),
         qr/still finishing their last runs/, '... runs are told so');
    kill 'CONT', $keepers[0];
    ok(wait_for(sub { $newest->() != $keepers[-1] }, 10),
       'one has ended: the next one serves at once');
    kill 'CONT', @keepers;
    is(service_stop($there), 0, 'and all of them end');
    return;
}

# What cannot be accepted waits, and the service does too.
sub no_descriptors
{
    my $there = service_place();
    my ($socket, $ticks);

    service_start($there);
    is(system("prlimit --pid $there->{pid} --nofile=3:"), 0, 'no more descriptors');
    $socket = IO::Socket::UNIX->new(Peer => $there->{path}, Type => SOCK_STREAM)
        or die "connect: $!";
    ok(service_says($there, qr/PYX0620: cannot accept: Too many open files/),
       '... the log tells');
    control_connect($there) for 1 .. 2;
    $ticks = cpu_ticks($there->{pid});
    IO::Select->new($socket)->can_read(1);
    cmp_ok(cpu_ticks($there->{pid}) - $ticks, '<', 20, '... the service rests');
    cmp_ok(scalar(() = service_log($there) =~ /PYX0620/g), '<', 3,
           '... and does not fill the log');
    system("prlimit --pid $there->{pid} --nofile=1024:") == 0 or die;
    like(control_ask($socket, ''), qr/no set-up yet/, 'as soon as there are: it answers');
    service_stop($there);
    return;
}

# Even where the file's mode lets everybody connect.
sub foreign_user
{
  SKIP: {
        skip 'only root can be others', 3 unless as_root();
        chmod 0666, "$place->{path}.control" or die;
        my $answer = as_user('nobody', sub {
            control_ask(control_connect($place), setup_frame($token));
        });

        like($answer, $refused, 'another user: refused');
        like($answer, qr/may not send a set-up/, 'another user: and told why');
        chmod 0600, "$place->{path}.control" or die;
        is(as_user('nobody', sub {
            IO::Socket::UNIX->new(Peer => "$place->{path}.control",
                                  Type => SOCK_STREAM) ? 'in' : 'out';
        }), 'out', 'another user: the file keeps him out before that');
    }
    return;
}

sub as_user
{
    my ($name, $code) = @_;
    my @user = getpwnam $name;
    my $pid = open my $pipe, '-|';
    my $text;

    die "fork: $!" unless defined $pid;
    if (!$pid) {
        $) = "$user[3] $user[3]";
        POSIX::setgid($user[3]);
        POSIX::setuid($user[2]);
        binmode STDOUT;
        syswrite STDOUT, $code->();
        POSIX::_exit(0);
    }
    binmode $pipe;
    $text = do { local $/ = undef; <$pipe> };
    close $pipe;
    return $text;
}

# It is closed by the service, and nothing was said before that.
sub has_ended
{
    my ($socket) = @_;

    # The kernel says so where something that was sent was never read.
    return IO::Select->new($socket)->can_read(10)
        && !(sysread($socket, my $bytes, 1) // !$!{ECONNRESET});
}

sub taken_and_owned
{
    my $owner = control_connect($place);
    my $second;

    like(control_ask($owner, setup_frame($token)), $taken, 'a good one is taken');
    like(control_ask(control_connect($place), setup_frame('U' x 32)),
         qr/another httpd, process $$ of user $>, uses this service/,
         'a second owner is told about the first');
    $second = control_connect($place);
    like(control_ask($second, setup_frame($token)), $taken,
         'the same owner may come again');
    ok(has_ended($owner), '... and the former connection ends');
    syswrite $second, 'x';
    ok(has_ended($second), 'an owner who does not keep silent is none');
    like(control_ask(control_connect($place), setup_frame('U' x 32)), $taken,
         'when the owner is gone another may come');
    ok(service_says($place, qr/PYX0520: httpd process $$ has left/),
       'and the log tells');
    return;
}
