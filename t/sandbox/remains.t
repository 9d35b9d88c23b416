# SPDX-License-Identifier: Apache-2.0
# Nothing of a run is left behind, however it ended and whatever it did to stay:
# no process, no file, no mount, no socket, no queue.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;
use Time::HiRes qw(time);

# Everything that a run might leave, and is refused or taken away.
my $stay = do { local $/ = undef; <DATA> };
my %ends = (
    'the end' => ['/policy-off/execute', ''],
    'exit' => ['/policy-off/execute', "os._exit(3)\n"],
    'a crash' => ['/policy-off/execute', "os.abort()\n"],
    'its time' => ['/t/wall-2s', "while True: pass\n"],
    'its output' => ['/t/output-1000', "while True: print('x' * 100)\n"],
    'standing still' => ['/t/wall-2s',
                         "os.kill(os.getpid(), signal.SIGSTOP)\n"],
    'leaving' => ['/t/wall-20s', "while True: pass\n"],
);

plan tests => 5 * keys(%ends) + 1;
all_zygotes();
burst();
for my $name (sort keys %ends) {
    my ($place, $end) = @{ $ends{$name} };
    my $before = settled();
    my $after;
    my $ran = $name eq 'leaving' ? leave($place, "$stay$end")
        : run_code($place, "$stay$end")->{output} =~ /^tried \d+, left 0\n/;

    cmp_ok(scalar @{ $before->{files} }, '>', as_root() ? 1 : 0, "$name: files can be seen");
    ok($ran, "$name: it tried, and nothing was to be had");
    wait_for(sub {
        $after = census();
        return json_text($after) eq json_text($before);
    }, 20);
    is_deeply($after->{$_}, $before->{$_}, "$name: $_ as before")
        for qw(processes files mounts);
}
like(run_code('/policy-off/execute', $stay)->{output}, qr/^tried \d+, left 0\n/,
     'a later run finds nothing either');

# A client that goes away while its run computes.
sub leave
{
    my ($place, $source) = @_;
    my $socket = raw_open();
    my $body = json_text({ code => $source });
    my $job;

    print $socket "POST $place HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $job = spinning_job();
    close $socket;
    return $job && wait_for(sub { !is_alive($job) }, 10);
}

# How many there are of each name, the files of the server's own directory and,
# where we may look, of the private root; mounts that a sandbox has.
sub census
{
    my %count;
    my ($zygote) = zygotes();

    $count{ $_->{Name} }++ for grep { $_->{Name} !~ /^(?:apache2|httpd)$/ }
        descendants();
    return { processes => \%count,
             mounts => [our_mounts()],
             files => [files(var('run_dir')),
                       as_root() ? files("/proc/$zygote/root/dev",
                                         "/proc/$zygote/root/tmp",
                                         "/proc/$zygote/root/sandbox") : ()] };
}

sub files
{
    my @found;

    for my $dir (@_) {
        opendir my $all, $dir or next;
        push @found, map { "$dir/$_" } sort grep { !/^\.\.?$/ } readdir $all;
    }
    return @found;
}

# The next standby job is forked behind the answer's back: nothing may have been
# another way for a second.
sub settled
{
    my ($since, $last, $census) = (time, '');

    wait_for(sub {
        $census = census();
        my $now = json_text($census);

        $since = time if $now ne $last;
        $last = $now;
        return time - $since >= 1;
    }, 60);
    return $census;
}

__DATA__
import ctypes, mmap, os, signal, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.signal(signal.SIGABRT, signal.SIG_DFL)

def thread():
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    return False

def call(*args):
    if libc.syscall(*[ctypes.c_long(value) for value in args]) == -1:
        raise OSError(ctypes.get_errno(), 'syscall')

attempts = [
    thread, thread,
    lambda: os.fork() or time.sleep(100) or os._exit(0),
    lambda: os.posix_spawn('/bin/sleep', ['sleep', '100'], {}),
    lambda: os.setsid(),
    lambda: os.open('/tmp/left', os.O_CREAT | os.O_WRONLY),
    lambda: os.open('/dev/shm/left', os.O_CREAT | os.O_WRONLY),
    lambda: os.open('left', os.O_CREAT | os.O_WRONLY),
    lambda: os.mkdir('/dev/left'),
    lambda: os.memfd_create('left'),
    lambda: mmap.mmap(-1, 4096),
    lambda: socket.socket(socket.AF_UNIX).bind('\0left'),
    lambda: call(165, 0, 0, 0, 0, 0),
    lambda: call(29, 0x5059, 4096, 0o1600),
    lambda: call(64, 0x5059, 1, 0o1600),
    lambda: call(68, 0x5059, 0o1600),
    lambda: call(240, 0, 0o100, 0o600, 0),
    lambda: call(248, 0, 0, 0, 0, -4),
    lambda: call(222, 0, 0, 0),
    lambda: call(425, 8, 0),
]
left = 0
for attempt in attempts:
    try: left += attempt() is not False
    except (OSError, ValueError): pass
print('tried %d, left %d' % (len(attempts), left), flush=True)
