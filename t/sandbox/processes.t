# SPDX-License-Identifier: Apache-2.0
# Runs that may start processes (PyExecProcesses): they work, are bounded, are
# confined like the run itself, and all of them are dead when its answer comes.
use strict;
use warnings FATAL => 'all';
use IO::Socket::INET ();
use PyExec::Probe ();
use PyExec::Test;
use POSIX ();
use Socket qw(AF_UNIX SOCK_SEQPACKET PF_UNSPEC);
use Test::More;

my $server = own_server(<<'END');
PyExecProcesses 8
PyExecConcurrency 2
<Macro PyExecPlace $name $directive $value>
    <Location "/p/$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecPolicy Off
        PyExecDialect auto
        PyExecTimeout 30s
        $directive $value
    </Location>
</Macro>
Use PyExecPlace long PyExecOutput 1M
Use PyExecPlace short PyExecTimeout 2s
Use PyExecPlace cpu PyExecCPUTime 500ms
Use PyExecPlace memory PyExecMemory 64
END

my $prelude = <<'END';
import errno, os, signal, subprocess, sys, time

def nap(): time.sleep(60)

def start(action):
    pid = os.fork()
    if pid == 0:
        try: action()
        finally: os._exit(0)
    return pid

def ends(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def burn(seconds=60):
    end = time.process_time() + seconds
    while time.process_time() < end: pass

def refused(action, *codes):
    try: action()
    except OSError as problem: return problem.errno in codes
    return False
END

# Name, place, source, how it ends, what it prints.
my @cases = (
    ['a program', 'long', 'print(subprocess.run([sys.executable, "-c",'
     . ' "print(6 * 7)"], capture_output=True, text=True, check=True).stdout)',
     'done', qr/^42$/m],
    ['a shell', 'long', 'print(subprocess.getoutput("echo b a 2>/dev/null'
     . ' | tr a-z A-Z; exit 3"), os.system("exit 7") >> 8)',
     'done', qr/^B A 7$/],
    ['DEVNULL', 'long', 'print(subprocess.run(["echo", "x"],'
     . ' stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode)',
     'done', qr/^0$/],
    ['posix_spawn', 'long', 'print(ends(os.posix_spawn("/bin/sh", ["sh", "-c",'
     . ' "exit 5"], {})))', 'done', qr/^5$/],
    ['exec instead of the script', 'long',
     'os.execv("/bin/sh", ["sh", "-c", "echo $$; exit 4"])', 'exit', qr/^2$/],
    ['fork and wait', 'long', 'print(ends(start(lambda: os._exit(9))),'
     . ' ends(start(os.abort)))', 'done', qr/^9 -6$/],
    ['asyncio', 'long', <<'END', 'done', qr/^b'hi\\n'$/],
import asyncio
async def go():
    child = await asyncio.create_subprocess_exec('echo', 'hi', stdout=-1)
    return (await child.communicate())[0]
print(asyncio.run(go()))
END
    ['multiprocessing by fork', 'long', <<'END', 'done', qr/^25 0$/],
import multiprocessing
here, there = multiprocessing.Pipe()
child = multiprocessing.Process(target=lambda: there.send(there.recv() ** 2))
child.start(); here.send(5)
print(here.recv(), child.join() or child.exitcode)
END
    ['its locks need shared memory', 'long', <<'END', 'done', qr/^True$/],
import multiprocessing
print(refused(multiprocessing.Lock, errno.EPERM, errno.EACCES, errno.EROFS,
              errno.ENOENT))
END

    ['one process less than allowed', 'long',
     '[start(nap) for _ in range(6)]; print("all")', 'done', qr/^all$/],
    ['as many as allowed', 'long',
     '[start(nap) for _ in range(7)]; print("all")', 'done', qr/^all$/],
    ['one more', 'long', '[start(nap) for _ in range(7)];'
     . ' print(refused(lambda: start(nap), errno.EAGAIN))', 'done', qr/^True$/],
    ['one more program', 'long', '[start(nap) for _ in range(7)]; print(refused('
     . 'lambda: subprocess.Popen(["true"]), errno.EAGAIN))', 'done',
     qr/^True$/],
    ['one more, and nobody catches it', 'long',
     '[start(nap) for _ in range(7)]; start(nap)', 'processes', qr/^$/],
    ['the same for a program', 'long',
     '[start(nap) for _ in range(7)]; subprocess.run("true")', 'processes',
     qr/^$/],
    ['EAGAIN of a pipe', 'long', 'r, w = os.pipe(); os.set_blocking(r, False);'
     . ' os.read(r, 1)', 'exit', qr/^$/],
    ['threads are counted', 'long', <<'END', 'done', qr/^True$/],
import threading
for _ in range(3): threading.Thread(target=nap, daemon=True).start()
for _ in range(4): start(nap)
print(refused(lambda: start(nap), errno.EAGAIN))
END
    ['threads of other processes, too', 'long', <<'END', 'done', qr/^can't start/],
import threading
for _ in range(6): start(nap)
def two(): [threading.Thread(target=nap, daemon=True).start() for _ in '12']
def child():
    try: two()
    except RuntimeError as problem: print(problem)
ends(start(child))
END
    ['who is waited for counts no more', 'long',
     'for _ in range(40): ends(start(lambda: None))', 'done', qr/^$/],

    ['a fork bomb', 'short', <<'END', 'time|cpu', qr/^$/],
while True:
    try: os.fork()
    except OSError: pass
END
    ['a fork bomb of sessions that ignores all signals', 'short', <<'END',
for number in range(1, 65):
    if number not in (9, 19, 32, 33): signal.signal(number, signal.SIG_IGN)
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            if os.fork(): os._exit(0)
    except OSError: pass
END
     'time|cpu', qr/^$/],
    ['a daemon that holds stdout', 'long', <<'END', 'done', qr/^daemon\nend$/],
def daemon():
    os.setsid()
    if os.fork(): os._exit(0)
    for number in range(1, 65):
        if number not in (9, 19, 32, 33): signal.signal(number, signal.SIG_IGN)
    print('daemon', flush=True)
    os.write(w, b'x')
    nap()
r, w = os.pipe()
start(daemon); os.read(r, 1); print('end')
END
    ['a daemon of a program', 'long', 'subprocess.run("setsid sleep 60 &'
     . ' echo started", shell=True)', 'done', qr/^started$/],
    ['children at the deadline', 'short',
     # One that computes: more would meet the limit of CPU time first.
     'start(burn); start(nap); start(nap); os.wait()', 'time', qr/^$/],
    ['a stopped tree at the deadline', 'short',
     'child = start(burn); os.kill(child, signal.SIGSTOP); start(burn);'
     . ' os.kill(os.getpid(), signal.SIGSTOP)', 'time', qr/^$/],
    ['a run stopped by its child', 'short',
     'start(lambda: (os.kill(os.getppid(), signal.SIGSTOP), burn())); nap()',
     'time', qr/^$/],
    ['after vfork the parent waits', 'short',
     'subprocess.run("exec sleep 60", shell=True)', 'time', qr/^$/],
    ['a flood of output by children', 'long', <<'END', 'output', qr/^xx/],
def flood():
    while True: os.write(1, b'x' * 65536)
[start(flood) for _ in range(3)]; nap()
END

    ['kill of everybody', 'long',
     'start(lambda: os.kill(-1, signal.SIGKILL)); nap()', 'signal', qr/^$/],
    ['kill of the process group', 'long',
     'os.killpg(0, signal.SIGKILL); nap()', 'signal', qr/^$/],
    ['kill of PID 1', 'long', <<'END', 'done', qr/^42$/],
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
print(subprocess.getoutput('kill -9 1 2>/dev/null; echo 42'))
END
    ['a signal to a child', 'long',
     'pid = start(nap); os.kill(pid, signal.SIGTERM); print(ends(pid))', 'done',
     qr/^-15$/],
    ['nobody else is there', 'long', <<'END', 'done', qr/^\[\]$/],
me = os.getpid()
print([pid for pid in range(3, 5000)
       if not refused(lambda: os.kill(pid, 0), errno.ESRCH)])
END

    ['CPU time of children', 'cpu', 'pids = [start(burn) for _ in range(3)];'
     . ' nap()', 'cpu', qr/^$/],
    ['CPU time of orphans', 'cpu', <<'END', 'cpu', qr/^$/],
def orphan():
    os.setsid()
    if os.fork() == 0: burn()
start(orphan); nap()
END
    ['CPU time of those waited for', 'cpu', 'while True:'
     . ' ends(start(lambda: burn(.05)))', 'cpu', qr/^$/],
    ['memory of a child', 'memory', <<'END', 'done', qr/^MemoryError$/],
def child():
    try: bytearray(100 << 20)
    except MemoryError: print('MemoryError')
ends(start(child))
END
    ['the limit of core dumps stays', 'long', <<'END', 'done', qr/^True True True$/],
import ctypes, resource
limit = resource.getrlimit(resource.RLIMIT_CORE)
def refuses():
    try: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ValueError: return True
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
# The kernel looks at the lower half of a number only (x86-64's here).
for call, args in ((160, (4,)), (302, (0, 4))):
    longs = [ctypes.c_long(1 << 32 | value) for value in args]
    ctypes.CDLL(None).syscall(call, *longs, (ctypes.c_long * 2)(), None)
print(refuses(), limit[1] <= 1,
      resource.getrlimit(resource.RLIMIT_CORE) == limit)
END
    ['a set-user-ID program gains nothing', 'long', <<'END', 'done',
import stat
path = next((p.path for p in os.scandir('/usr/bin')
             if p.stat(follow_symlinks=False).st_mode & stat.S_ISUID), None)
text = subprocess.run([path, '--version'], env={'LD_SHOW_AUXV': '1'},
                      capture_output=True, text=True).stdout if path else ''
seen = dict(line.replace(' ', '').split(':', 1)
            for line in text.splitlines() if line.startswith('AT_'))
print(path, seen.get('AT_SECURE'), seen.get('AT_EUID') == seen.get('AT_UID'),
      seen.get('AT_EGID') == seen.get('AT_GID'))
END
     qr{^(None|/usr/bin/\S+ 0 True True)$}],
    ['files elsewhere cannot be executed', 'long', <<'END', 'done', qr/^(True )+$/],
libraries = os.path.dirname(os.path.realpath('/lib64/ld-linux-x86-64.so.2'))
for path in (libraries + '/libc.so.6', os.__file__, '/dev/null', '/etc/passwd'):
    print(refused(lambda: os.execv(path, ['x']), errno.EACCES), end=' ')
memory = refused(lambda: os.memfd_create('x'), errno.EPERM)
by_descriptor = refused(lambda: os.execve(os.open('/bin/sh', 0), ['sh'], {}),
                        errno.EPERM, errno.ENOENT)
print(memory, by_descriptor, end=' ')
END
    ['nothing but /dev/null can be written to', 'long', <<'END', 'done',
paths = ['/tmp/x', 'x', '/usr/bin/x', '/dev/x', '/dev/zero', '/dev/full',
         '/dev/urandom', os.__file__, '/usr/bin/python3', '/etc/passwd', '/']
for path in paths:
    for flags in (os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_TRUNC,
                  os.O_WRONLY | os.O_APPEND):
        if not refused(lambda: os.open(path, flags), errno.EACCES, errno.EROFS,
                       errno.ENOENT, errno.EISDIR):
            print(path, oct(flags))
print(os.write(os.open('/dev/null', os.O_WRONLY | os.O_CREAT | os.O_TRUNC), b'x'))
END
     qr/^1$/],
);

# Probes of the other tests, tried by a child; but for the limit of core dumps,
# which is tested above, and for what is a child's right here.
my %probes = map { $_ => PyExec::Probe::source($_, File::Temp->new) }
    qw(inherited network read syscalls write);
my %other = map { $_ => 1 } 'no limit of core files', '/usr/bin', 'fork';

# Zygotes that serve: one that is warming tests itself, with processes.
sub serving
{
    open my $log, '<', "$server->{dir}/error_log" or die;
    return map { /zygote (\d+) .*is up/ ? $1 : () } <$log>;
}

# Processes of runs that are not the run itself, which is PID 2.
sub strays
{
    return grep { (split ' ', $_->{NSpid})[-1] > 2 } map { jobs($_) } serving();
}

sub run_it
{
    my ($place, $source, %more) = @_;

    return post_json("/p/$place", { code => $prelude . $source, usage => \1,
                     %more }, port => $server->{port})->{json} || {};
}

plan tests => 4 * @cases + 2 * keys(%probes) + 15;

for my $case (@cases) {
    my ($name, $place, $source, $end, $output) = @$case;
    my $answer;
    my $took = seconds(sub { $answer = run_it($place, $source) });
    my @left = strays();

    is(scalar @left, 0, "$name: nothing is left")
        or diag(join ' ', map { "$_->{Name}:$_->{Pid}" } @left);
    like($answer->{usage}{ended_by} // 'nothing', qr/^(?:$end)$/,
         "$name: ended by $end")
        or diag(json_text($answer));
    like($answer->{output} // 'none', $output, "$name: what it prints")
        or diag(json_text($answer));
    cmp_ok($took, '<', 25, "$name: the answer waits for nobody");
}

for my $name (sort keys %probes) {
    my $answer = run_it('long', 'source = sys.stdin.read(); sys.exit(subprocess'
        . '.run([sys.executable, "-I", "-c", source]).returncode)',
        stdin => $probes{$name});
    my @escaped = grep { !$other{ s/^ESCAPED://r } }
        grep { /^ESCAPED:/ } split /\n/, $answer->{output} // '';
    my $blocked = () = ($answer->{output} // '') =~ /^blocked:/mg;

    cmp_ok($blocked, '>=', 3, "$name by a child: tried")
        or diag(json_text($answer));
    is("@escaped", '', "$name by a child: held");
}

# A look at the tree while it is there shows that strays() sees it, and two
# runs at the same time do not see each other.
my $socket = raw_open(port => $server->{port});
my $body = json_text({ code => "$prelude\n[start(nap) for _ in '123']; nap()" });
print $socket "POST /p/long HTTP/1.1\r\nHost: x\r\nContent-Type:"
    . " application/json\r\nContent-Length: ", length $body, "\r\n\r\n", $body;
is(wait_for(sub { strays() == 3 }, 15), 1, 'children of a run can be seen');
my @seen = strays();
my $attack = run_it('long', 'print([pid for pid in range(3, 5000) if not'
    . ' refused(lambda: os.kill(pid, signal.SIGKILL), errno.ESRCH)],'
    . ' start(lambda: os.kill(-1, signal.SIGKILL)) and nap())');
is($attack->{usage}{ended_by}, 'signal', '... another run kills itself only');
is(join(' ', map { $_->{Pid} } strays()), join(' ', map { $_->{Pid} } @seen),
   '... and not them');
is($seen[0]{NoNewPrivs}, 1, '... they can gain no privileges');
is($seen[0]{Seccomp}, 2, '... have the filter');
is($seen[0]{CapEff}, '0' x 16, '... and no capability');
like($seen[0]{CapBnd}, qr/^0+$/, '... nor could they get any');
close $socket;
ok(wait_for(sub { !strays() }, 10), '... and are gone with their client');

# A zygote that dies.
my $child = fork;
die "fork: $!" unless defined $child;
POSIX::_exit(run_it('long', "start(burn); nap()") ? 0 : 1) unless $child;
ok(wait_for(sub { strays() == 1 }, 15), 'a run with a child goes on');
my @tree = map { $_->{Pid} } jobs($server->{pid});
kill 'KILL', zygotes($server->{pid});
ok(wait_for(sub { !grep { is_alive($_) } @tree }, 10),
   'a zygote that dies takes all along');
waitpid $child, 0;

$server->{stop}->();

# ---- below isolation full: the zygote itself refuses ----

sub field { return pack 'vvV/a*', @_ }
sub u32 { return field($_[0], 0, pack 'V', $_[1]) }

my $release = request('GET', '/health')->{json}{version};

# What a zygote answers, as type of the frame, and what it logs.
sub warm
{
    my ($level, $processes, @more) = @_;
    my $frame = u32(42, 1) . field(11, 0, pack 'Q<', 64 << 20)
        . field(60, 0, $level) . join('', u32(48, $processes), @more)
        . field(61, 0, $release);
    my $program = var('helper_program') =~ s/pyexecd$/pyexec-zygote/r;
    my ($answer, $log) = ('', '');
    my $pid;

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_SEQPACKET, PF_UNSPEC or die;
    pipe my $read, my $write or die;
    $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::dup2(fileno $write, 2);
        POSIX::dup2(fileno $theirs, 3);
        if (as_root()) {
            my ($uid, $gid) = (getpwnam 'nobody')[2, 3];

            $( = $gid; $) = "$gid $gid";
            POSIX::setgid($gid); POSIX::setuid($uid);
        }
        $^F = 3;
        exec $program or POSIX::_exit(127);
    }
    close $theirs;
    close $write;
    send $ours, 'PYXW' . pack('vvV', 1, 16, length $frame) . $frame, 0;
    recv $ours, $answer, 4096, 0;
    close $ours;
    { local $/ = undef; $log = <$read>; }
    waitpid $pid, 0;
    return (length $answer ? unpack('x6v', $answer) : 0, $log);
}

my ($type) = warm('restricted', 1);
is($type, 17, 'restricted without processes: the zygote serves');
($type, my $log) = warm('restricted', 2);
is($type, 0, '... with processes it does not');
like($log, qr/PyExecProcesses/, '... and says why');
($type, $log) = warm('restricted', 1, u32(73, 1));
is($type, 0, '... and with a network neither');
like($log, qr/PyExecNetwork/, '... and says why');
