# SPDX-License-Identifier: Apache-2.0
# Isolation levels, on a kernel that seems to lack one thing at a time
# (t/tools/hide): what is demanded is reached, or nothing runs and everybody is
# told; never less in silence. The witness is the same helper without hide.
use strict;
use warnings FATAL => 'all';
use POSIX ();
use PyExec::Probe;
use PyExec::Test;
use PyExec::Witness;
use Test::More;

my @names = ('user namespaces', 'mounting in them', 'net, ipc, uts, cgroup',
             'PID namespaces');
# hide: the features; no: the lines of --check that say NO; remedy: what it
# tells to change; log: the line of the error log; full, restricted: the level
# that is served where so much is demanded (undef: nothing runs).
my @cases = (
    { hide => 'userns', no => [@names], restricted => 'restricted',
      remedy => qr/in a container also its seccomp profile/,
      log => qr/PYX0450: .*user, mount.*kernel\.unprivileged_userns_clone/ },
    { hide => 'userns-limit', no => [@names], restricted => 'restricted',
      remedy => qr/user\.max_user_namespaces = \d/,
      log => qr/PYX0450: .*user, mount.*user\.max_\*.*No space left/ },
    # podman's default profile; that of Docker is the last case
    { hide => 'hostname', no => [$names[2]], restricted => 'restricted',
      remedy => qr/seccomp profile forbids to set the host's name/,
      log => qr/PYX0450: .*set host and domain name.*--hostname/ },
    { hide => 'mount', no => [$names[1]], restricted => 'restricted',
      remedy => qr/AppArmor needs `mount,` and `userns,`/,
      log => qr/PYX0450: .*root file system \(does AppArmor/ },
    { hide => 'netns', no => [$names[2]], restricted => 'restricted',
      remedy => qr/user\.max_net_namespaces/,
      log => qr/PYX0450: .*user, mount.*user\.max_\*/ },
    { hide => 'pidns', no => [$names[3]], restricted => 'restricted',
      remedy => qr/user\.max_pid_namespaces must be above 0/,
      log => qr/PYX0450: .*PID namespaces.*user\.max_pid_namespaces/ },
    { hide => 'landlock', no => ['Landlock'],
      remedy => qr/CONFIG_SECURITY_LANDLOCK/,
      log => qr/PYX0450: .*Landlock.*does the kernel have it.*not implemented/ },
    { hide => 'landlock-boot', no => ['Landlock'], remedy => qr/lsm= list/,
      log => qr/PYX0450: .*Landlock.*lsm= list.*not supported/ },
    { hide => 'landlock-void', no => [], remedy => qr/self-test/,
      log => qr/PYX0451: .*the confinement does not hold/ },
    { hide => 'seccomp', no => ['seccomp filters'],
      remedy => qr/CONFIG_SECCOMP_FILTER/,
      log => qr/PYX0450: .*filter.*CONFIG_SECCOMP_FILTER/ },
    { hide => 'seccomp-void', no => [], remedy => qr/self-test/,
      log => qr/PYX0451: .*the confinement does not hold/ },
    { hide => 'pidfd', no => ['pidfds'], remedy => qr/pidfd_open/,
      log => qr/PYX0366: .*pidfd.*Linux 5\.3/ },
    { hide => 'pidfd-signal', no => ['pidfds'], remedy => qr/pidfd_send_signal/,
      log => qr/PYX0366: .*pidfd_send_signal.*not permitted/ },
    { hide => 'clone3', no => [], full => 'full' },
    { hide => 'landlock-abi=1', no => [], full => 'full',
      remedy => qr/ABI 1: no rules for TCP \(ABI 4\), no scoping/ },
    { hide => 'landlock-abi=2', no => [], full => 'full',
      remedy => qr/ABI 2: no rules for TCP \(ABI 4\), no scoping/ },
    { hide => 'landlock-abi=4', no => [], full => 'full',
      remedy => qr/ABI 4: no scoping/ },
    # both: without namespaces and with an old Landlock
    { hide => 'userns landlock-abi=1', no => [@names], probes => 1,
      restricted => 'restricted',
      log => qr/PYX0450: .*user, mount/ },
    { hide => 'userns landlock-abi=4', no => [@names], probes => 1,
      restricted => 'restricted',
      log => qr/PYX0450: .*user, mount/ },
    { hide => 'container', no => [@names], probes => 1,
      restricted => 'restricted',
      remedy => qr/in a container also its seccomp profile/,
      log => qr/PYX0450: .*user, mount.*a container's seccomp profile/ },
);
# What without namespaces is not a run's own: the limit counts all processes of
# the user, so it is a higher one; test_threads() shows that it holds.
my %common = ('no limit of processes' => 1);
my %status = (full => 0, restricted => 1);
my $whole = check();

plan skip_all => "this machine itself does not reach full: $whole->{text}"
    if $whole->{status} ne '0';
my ($abi) = $whole->{text} =~ /^Landlock +yes +ABI (\d+)/m;

# ---- pyexecd --check ----

# What --check says with these features hidden; a list in front of them is what
# all of it is run under.
sub check
{
    my ($under, @hidden) = ref $_[0] ? @_ : ([], @_);
    my @command = (var('helper_program'), '--check');
    my $text;

    push @command, '--user=' . join ':', (getpwnam 'daemon')[2, 3]
        if as_root();
    unshift @command, var('t_dir') . '/tools/hide', @hidden, '--' if @hidden;
    unshift @command, @$under;
    # Without the pidfd calls it might wait for ever for what it cannot end.
    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        alarm 60;
        exec @command or POSIX::_exit(127);
    }
    {
        local $/ = undef;
        $text = <$out>;
    }
    close $out;
    return { text => $text, status => $? & 127 ? "signal $?" : $? >> 8 };
}

sub test_check
{
    my ($case, $name) = @_;
    my $found = check(split ' ', $case->{hide});
    my @no = $found->{text} =~ /^(\S.{21}) NO /mg;
    my $best = $case->{full} || $case->{restricted};

    s/ +$// for @no;
    is($found->{status}, $best ? $status{$best} : 2, "$name: --check's status")
        or diag($found->{text});
    is_deeply(\@no, $case->{no}, "$name: --check says NO to it alone");
    like($found->{text}, $case->{remedy} || qr/^/, "$name: what to change");
    return;
}

# A container under podman's default profile, by its name.
sub test_named
{
    my ($name, $domain, $status) = @_;
    my $found = check(['unshare', '--uts', 'sh', '-ec',
        "echo $name >/proc/sys/kernel/hostname; "
        . "echo $domain >/proc/sys/kernel/domainname; exec \"\$@\"", 'sh'],
        'hostname');

    is($found->{status}, $status, "hostname: the host is $name.$domain already")
        or diag($found->{text});
    return;
}

# ---- servers ----

# What runs are forked from or are: below the keeper's children.
sub jobs_of
{
    my ($server) = @_;
    my $keeper = keeper($server->{pid}) or return;
    my @below = descendants($keeper);
    my %zygote = map { $_->{Pid} => 1 } grep { $_->{PPid} == $keeper } @below;

    return grep { $zygote{ $_->{PPid} } } @below;
}

sub test_nothing
{
    my ($case, $server, $name) = @_;
    my $port = $server->{port};
    my $health = wait_for(sub {
        my $answer = request('GET', '/health', port => $port);

        return $answer->{json}{detail} ? $answer : undef;
    }, 20);
    my $answer = post_json('/execute', { code => 'print(6 * 7)' },
                           port => $port);

    like($health->{json}{detail}, qr/PyExecIsolation demands was not reached/,
         "$name: health tells why");
    is($health->{json}{isolation}, 'unknown', "$name: health claims no level");
    $health = request('GET', '/health', port => $port, host => 'other.example');
    is($health->{status}, 503, "$name: so does that of a pool that nobody asked");
    is($answer->{status}, 503, "$name: a run is refused");
    like($answer->{json}{error}, qr/sandbox cannot be set up/,
         "$name: for a clear reason");
    cmp_ok($answer->{headers}{'retry-after'} // 0, '>', 0,
           "$name: with Retry-After");
    # The self-test's own job may be there for a moment.
    ok(wait_for(sub { !jobs_of($server) }, 10), "$name: there is no job");
    like(error_log($server), $case->{log}, "$name: the log names the feature");
    unlike(error_log($server), qr/PYX0364/, "$name: no zygote came up");
    return;
}

sub test_served
{
    my ($case, $server, $level, $name) = @_;
    my $port = $server->{port};
    my $health = request('GET', '/health', port => $port);
    my $log = error_log($server);
    my $pid = run_code('/policy-off/execute', 'import os; print(os.getpid())',
                       port => $port);

    is($health->{json}{isolation}, $level, "$name: health tells the level");
    is($health->{json}{detail}, undef, "$name: health has no complaint");
    like($log, qr/PYX0364: .* isolation $level$/m, "$name: so does the log");
    if ($level eq 'full') {
        unlike($log, qr/PYX03(?:69|70|73)|PYX045/, "$name: without complaint");
        like($pid->{output}, qr/^2$/, "$name: a PID namespace");
        return;
    }
    like($log, qr/PYX0370: .*"full" was not reached/, "$name: with a warning");
    like($log, $case->{log}, "$name: the log names the feature");
    like($pid->{output}, qr/^\d{2,}$/, "$name: no PID namespace");
    return;
}

# What the interpreter remembers from before the fork does not depend on what a
# zygote has loaded, and does not tell the host's name.
sub test_name
{
    my ($server, $name) = @_;

    for my $first ('', 'import numpy; ') {
        my $answer = run_code('/policy-off/execute', $first
            . 'import os, platform; '
            . 'print(os.uname().nodename, platform.node(), platform.machine())',
            port => $server->{port});

        is($answer->{output}, 'sandbox sandbox ' . (POSIX::uname())[4] . "\n",
           "$name: ${first}platform does not tell the host's name")
            or diag($answer->{error});
    }
    return;
}

# What the host's kernel says about a job that stands by, without namespaces.
sub test_job
{
    my ($server, $name) = @_;
    # hide's filter is the first; a job that is still being confined has no
    # other yet.
    my $job = wait_for(sub {
        (grep { $_->{Seccomp_filters} > 1 } jobs_of($server))[0];
    }, 10);

    ok($job, "$name: job: a filter of its own") or return;
    like($job->{$_}, qr/^0+$/, "$name: job: $_ is empty")
        for qw(CapInh CapPrm CapEff CapAmb);
    is($job->{NoNewPrivs}, 1, "$name: job: no new privileges");
    is($job->{Groups} =~ s/\s+//gr, '', "$name: job: no supplementary groups")
        if as_root();
    return;
}

sub test_probes
{
    my ($server, $name) = @_;

    for my $probe (qw(read write process network inherited syscalls neighbours)) {
        my @all = probe_attempts($probe, $server->{port});
        my @bad = map { "@$_" }
            grep { $_->[1] !~ /^blocked:/ && !$common{ $_->[0] } } @all;

        cmp_ok(scalar @all, '>', 0, "$name: $probe makes attempts");
        is_deeply(\@bad, [], "$name: all of $probe are blocked");
    }
    return;
}

# Threads, with the smallest stacks there are: not one too many, and not as many
# as there is memory for.
sub test_threads
{
    my ($server, $name) = @_;
    my $source = <<'END';
import os, threading, time
threading.stack_size(32768)
n = 0
try:
    while n < 4000:
        threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
        n += 1
except RuntimeError as problem:
    print(problem)
print(n, flush=True)
os._exit(0)
END
    my $answer = run_code('/policy-off/execute', $source,
                          port => $server->{port});

    like($answer->{output}, qr/^can't start new thread\n\d+\n$/,
         "$name: threads come to an end") or diag(json_text($answer));
    # For the two runs at a time that there are: 64 for each of four slots, and
    # 128 for others; some of this user's processes may have ended since.
    my ($count) = $answer->{output} =~ /^(\d+)$/m;
    # Fewer than 64, where others of this user take more than is left for them.
    cmp_ok($count // 0, '>', 0, "$name: a run has threads");
    cmp_ok($count // 4000, '<', 1000, "$name: and not too many");
    like(outside($source)->{output}, qr/^4000$/, "$name: outside there is no end");
    return;
}

sub test_server
{
    my ($case, $demanded, $name) = @_;
    my $level = $demanded eq 'full' ? $case->{full}
              : $case->{full} || $case->{restricted};
    my $server = own_server("PyExecIsolation $demanded\nPyExecConcurrency 2\n"
                            . "PyExecMemory 1024\nPyExecTimeout 30\n"
                            # Whose pool waits for its first run.
                            . ($level ? '' : join '', map {
                                "<VirtualHost *>\nServerName $_.example\n</VirtualHost>\n"
                            } qw(one other)),
                            hide => [split ' ', $case->{hide}],
                            health => $level ? 200 : 503);

    if ($level) {
        test_served($case, $server, $level, $name);
        test_job($server, $name) if $level eq 'restricted';
        test_name($server, $name);
        test_probes($server, $name) if $case->{probes};
        test_threads($server, $name) if $case->{hide} eq 'userns'
            && $level eq 'restricted';
    }
    else {
        test_nothing($case, $server, $name);
    }
    $server->{stop}->();
    return;
}

# ---- hide itself ----

# Attributes of three sizes and contents, as landlock(7) has them.
sub test_hide
{
    my $source = <<'END';
import ctypes, errno, struct
libc = ctypes.CDLL(None, use_errno=True)
def create(attributes, size, flags=0):
    fd = libc.syscall(444, attributes, ctypes.c_size_t(size), flags)
    return 'fd' if flags == 0 and fd >= 0 else fd if fd >= 0 \
        else errno.errorcode[ctypes.get_errno()]
def ask(*fields):
    return create(struct.pack('=%dQ' % len(fields), *fields), 8 * len(fields))
print(create(None, 0, 1), ask(1 << 12), ask(1 << 13), ask(1, 1), ask(1, 4),
      ask(1, 0, 0), ask(1, 0, 1))
END
    my %expected = (1 => '1 fd EINVAL E2BIG E2BIG fd E2BIG',
                    2 => '2 fd fd E2BIG E2BIG fd E2BIG',
                    4 => '4 fd fd fd EINVAL fd E2BIG');

    for my $n (sort keys %expected) {
        open my $out, '-|', var('t_dir') . '/tools/hide', "landlock-abi=$n",
            '--', $ENV{PYEXEC_TEST_PYTHON}, '-I', '-c', $source or die;
        is(<$out>, "$expected{$n}\n", "hide: ABI $n answers as it should");
        close $out;
    }
    return;
}

sub may_look
{
    open my $scope, '<', '/proc/sys/kernel/yama/ptrace_scope' or return 1;
    return as_root() || <$scope> == 0;
}

SKIP: {
    skip 'only root may look into other processes here (yama)', 3
        unless may_look();
    skip "this kernel has Landlock ABI $abi only", 3 if $abi < 6;
    test_hide();
}
SKIP: {
    skip 'only root may name a host', 3 unless as_root();
    test_named('sandbox', '', 0);
    test_named('sandbox', 'corp.example', 1);
    test_named('sandbox1', '', 1);
}
for my $case (@cases) {
    my ($older) = $case->{hide} =~ /abi=(\d+)/;

  SKIP: {
        skip "$case->{hide}: this kernel has Landlock ABI $abi only", 1
            if $older && $older > $abi;
        test_check($case, $case->{hide});
        test_server($case, 'full', "$case->{hide}, full demanded");
        test_server($case, 'restricted',
                    "$case->{hide}, restricted demanded");
    }
}
done_testing();
