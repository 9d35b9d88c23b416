# SPDX-License-Identifier: Apache-2.0
# A script that writes to its job's report, which is its own to spoil: every
# frame, and what is none, changes the outcome of that run at most. The next
# run, one beside it, the keeper and its zygotes notice nothing.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

once_only();

# The report is the only pipe above stderr. A frame's fields are laid out in
# wire.h.
my $prelude = <<'PY';
import fcntl, os, stat, struct, sys, time
def is_pipe(fd):
    try: return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError: return False
report, = (fd for fd in range(3, 1100) if is_pipe(fd))
def field(tag, value): return struct.pack('<HHI', tag, 0, len(value)) + value
def number(tag, value): return field(tag, struct.pack('<I', value))
def frame(type, body=b'', length=None, magic=b'PYXW', version=1):
    size = len(body) if length is None else length
    return magic + struct.pack('<HHI', version, type, size) + body
def put(data):
    while data: data = data[os.write(report, data):]
def value(text): return frame(41, number(32, 1) + field(29, text))
def until_closed(data):
    try:
        while True: put(data)
    except BrokenPipeError: print('closed')
READY, FAILED, REFUSED = frame(33), frame(35, field(55, b'x') + number(52, 1)), \
    frame(37, number(31, 1) + field(21, b'no'))
STARTED, EXHAUSTED = frame(39), frame(43, number(20, 6))
PY

my ($code, $slow, $main) = ('/policy-off/execute', '/t/wall-2s', '/t/report');
# More than the keeper waits before it looks.
my $later = "\ntime.sleep(0.05)\nprint('alive')";

# name, place, what the script does, and what becomes of it: ended_by, exit
# status, output.
my @ends = (
    ['random bytes', $code, "until_closed(os.urandom(100_000))", 'done', 0,
     "closed\n"],
    ['zeros', $code, "until_closed(bytes(100_000))", 'done', 0, "closed\n"],
    ['another protocol', $code,
     "put(frame(41, number(32, 1), magic=b'HTTP'))$later", 'done', 0,
     "alive\n"],
    ['another version', $code, "put(frame(41, number(32, 1), version=2))$later",
     'done', 0, "alive\n"],
    ['no such type', $code, "put(frame(45))$later", 'done', 0, "alive\n"],
    ['half a header', $code, "put(READY[:7])$later", 'done', 0, "alive\n"],
    ['half a header, then waiting', $slow,
     "print('alive', flush=True)\nput(value(b'1')[:7])\ntime.sleep(60)",
     'time', -9, "alive\n"],
    ['half a body', $code, "put(value(b'[1]')[:-1])$later", 'done', 0,
     "alive\n"],
    ['half a body, then waiting', $slow,
     "print('alive', flush=True)\nput(value(b'x' * 500)[:100])\ntime.sleep(60)",
     'time', -9, "alive\n"],
    ['a byte at a time', $code,
     "for byte in value(b'[1]'): put(bytes([byte]))\nprint('alive')", 'done',
     0, "alive\n"],
    ['4 GiB of length', $code, "until_closed(frame(41, length=0xffffffff))",
     'done', 0, "closed\n"],
    ['2 GiB of length', $code, "until_closed(frame(41, length=0x80000000))",
     'done', 0, "closed\n"],
    ['4 GiB of a field', $code,
     "body = number(32, 1) + struct.pack('<HHI', 29, 0, 0xffffffff)\n"
     . "until_closed(frame(41, body + b'x' * 1000))", 'done', 0, "closed\n"],
    ['READY by thousands', $code, "until_closed(READY * 5000)", 'done', 0,
     "closed\n"],
    ['STARTED by thousands', $code, "until_closed(STARTED * 5000)", 'done', 0,
     "closed\n"],
    ['EXHAUSTED by thousands', $code, "until_closed(EXHAUSTED * 5000)", 'done',
     0, "closed\n"],
    ['RESULT by thousands', $code, "until_closed(value(b'1') * 5000)", 'done',
     0, "closed\n"],
    ['a RESULT where none was asked for', $code, "put(value(b'[1]'))$later",
     'done', 0, "alive\n"],
    ['EXHAUSTED, and status 0', $code, "put(EXHAUSTED)$later", 'done', 0,
     "alive\n"],
    ['EXHAUSTED, and a signal', $code,
     "put(EXHAUSTED)\nprint('alive', flush=True)\nos.kill(os.getpid(), 15)",
     'signal', -15, "alive\n"],
    ['EXHAUSTED, and status 1', $code,
     "put(EXHAUSTED)\nprint('alive', flush=True)\nos._exit(1)", 'memory', 1,
     "alive\n"],
    ['EXHAUSTED of nothing, and status 1', $code,
     "put(frame(43))\nprint('alive', flush=True)\nos._exit(1)", 'exit', 1,
     "alive\n"],
    ['FAILED, and status 3', $code,
     "put(FAILED)\nprint('alive', flush=True)\nos._exit(3)", 'exit', 3,
     "alive\n"],
    ['REFUSED, and status 0', $code, "put(REFUSED)$later", 'done', 0,
     "alive\n"],
    ['all in order once more', $code,
     "put(READY + STARTED + value(b'1') + EXHAUSTED)$later", 'done', 0,
     "alive\n"],
    ['closed', $code, "os.close(report)$later", 'done', 0, "alive\n"],
    ['closed, and an exception', $code,
     "os.close(report)\nprint('alive', flush=True)\n1/0", 'exit', 1,
     "alive\n"],
    ['it over stdout and stderr', $code,
     "print('alive', flush=True)\nos.dup2(report, 1)\nos.dup2(report, 2)\n"
     . "print('x' * 100_000)\nos._exit(0)", 'exit', 1, "alive\n"],
    ['not blocking, and full', $code,
     "fcntl.fcntl(report, fcntl.F_SETFL, os.O_NONBLOCK)\n"
     . "fcntl.fcntl(0, fcntl.F_GETFL)\n"
     . "try:\n while True: put(value(b'x' * 60_000))\n"
     . "except (BlockingIOError, BrokenPipeError): print('alive')", 'done', 0,
     "alive\n"],
    ['a larger pipe', $code,
     "try: fcntl.fcntl(report, fcntl.F_SETPIPE_SZ, 1 << 20)\n"
     . "except PermissionError: print('refused')\nuntil_closed(READY * 10_000)",
     'done', 0, "refused\nclosed\n"],
    ['a signal for what the pipe does', $code,
     "fcntl.fcntl(report, fcntl.F_SETFL, os.O_ASYNC)\n"
     . "put(READY)$later", 'done', 0, "alive\n"],
);
# EXHAUSTED of what only the keeper or the kernel can say, or of no limit: from
# "refused" to "exit", "time", "cpu", "output", "signal", "stack", "busy" to
# "broken", and none of these.
for my $claim (0 .. 5, 7, 9, 13, 32 .. 35, 99, 0xffffffff) {
    push @ends, ["EXHAUSTED of $claim, and status 1", $code,
        "put(frame(43, number(20, $claim)))\nprint('alive', flush=True)\n"
        . "os._exit(1)", 'exit', 1, "alive\n"];
}
# Something else in its place. The limit of descriptors lies below it, so that
# this works only where the machine's own limit has kept it at 3: there it ends
# like the last two say.
my @replaced = (
    ['a pipe over it', "put(READY * 100)$later", 'os.pipe()[1]', "alive\n"],
    ['an event over it', "os.write(report, b'12345678')$later",
     'os.eventfd(0)', "alive\n"],
    ['stdout over it', "put(b'over')", '1', 'over'],
);
push @ends, map {
    ["$_->[0], high", $code,
     "try: os.dup2($_->[2], report)\nexcept OSError as e: print(e.errno)",
     'done', 0, "9\n"];
} @replaced;
# Every type that there is or may be, where none may come; and each cut short.
for my $type (0 .. 24, 33 .. 44, 255, 0xffff) {
    push @ends, ["type $type", $code,
        "try: put(frame($type) + frame($type, number(32, 1)))\n"
        . "except BrokenPipeError: pass\nprint('alive')", 'done', 0,
        "alive\n"];
}

# What a called function returns goes the same way: name, body of main(), the
# result as JSON, or the error.
my $invalid = 'Execution did not return valid JSON';
my $none = 'The script ended with exit status 0 before main() had returned';
my @results = (
    ['a result', 'return 5', '5'],
    ['the first of two', "put(value(b'1') + value(b'2')); os._exit(0)", '1'],
    ['its own, then the function\'s', "put(value(b'1')); return 2", '1'],
    ['no JSON', "put(value(b'{]')); os._exit(0)", $invalid],
    ['two values', "put(value(b'1 2')); os._exit(0)", $invalid],
    ['nothing', "put(value(b'')); os._exit(0)", $invalid],
    ['no UTF-8', "put(value(b'\"\\xff\\xfe\"')); os._exit(0)", $invalid],
    ['a NUL', "put(value(b'\"\\0\"')); os._exit(0)", $invalid],
    ['half a surrogate', "put(value(b'\"\\\\ud800\"')); os._exit(0)",
     $invalid],
    ['deep nesting', "put(value(b'[' * 499 + b']' * 499)); os._exit(0)",
     '[' x 499 . ']' x 499],
    ['a member outside', "put(value(b'1,\"error\":2')); os._exit(0)",
     $invalid],
    ['no kind', "put(frame(41, field(29, b'1'))); os._exit(0)", $none],
    ['an unknown kind', "put(frame(41, number(32, 77) + field(29, b'1')));"
     . " os._exit(0)", $none],
    ['two kinds', "put(frame(41, number(32, 1) * 2 + field(29, b'1')));"
     . " os._exit(0)", $none],
    ['below the cap', "put(value(b'[' + b'1' * 997 + b']')); os._exit(0)",
     '[' . '1' x 997 . ']'],
    ['at the cap', "put(value(b'[' + b'1' * 998 + b']')); os._exit(0)",
     '[' . '1' x 998 . ']'],
    ['above the cap', "put(value(b'[' + b'1' * 999 + b']')); os._exit(0)",
     $none],
    ['far above the cap', "until_closed(value(b'1' * 16_000_000));"
     . " os._exit(0)", $none],
    ['after a violation', "put(bytes(12)); time.sleep(0.05); return 5", $none],
    ['after closing it', "os.close(report); return 5", $none],
    ['not blocking', "fcntl.fcntl(report, fcntl.F_SETFL, os.O_NONBLOCK);"
     . " return 5", '5'],
);

plan tests => 4 * (@ends + @replaced) + 3 * @results + 5;

wait_for(sub { run_code($code, '')->{returncode} eq '0' }, 30);
my $log_at = -s log_file();
my ($keeper, @zygotes) = (keeper(), all_zygotes());
my $memory = peak_kib($keeper);

sub log_file { return var('t_logs') . '/error_log' }

sub peak_kib { return (proc_status($_[0])->{VmHWM} =~ /(\d+)/)[0] }

# A run that is under way meanwhile, on a connection of its own.
sub begin_beside
{
    my (@server) = @_;
    my $body = json_text({ code =>
        "import time\ntime.sleep(0.15)\nprint('beside')" });
    my $socket = raw_open(@server);

    print $socket "POST $code HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub others_are_well
{
    my ($beside, $name, @server) = @_;
    my $answer = raw_answer($beside, 30);
    my $next = run_code($code, 'print(6*7)', @server);

    is($answer->{json}{output}, "beside\n", "$name: a run beside it");
    is("$next->{output}$next->{returncode}", "42\n0", "$name: the next run");
    return;
}

sub ends
{
    my ($case, @server) = @_;
    my ($name, $place, $source, $ended_by, $status, $output) = @$case;
    my $beside = begin_beside(@server);
    my $answer = post_json($place, { code => "$prelude$source",
                                     usage => JSON::PP::true }, @server)->{json};

    is($answer->{usage}{ended_by}, $ended_by, "$name: $ended_by")
        or diag(json_text($answer));
    is("$answer->{output}$answer->{returncode}"
           . (exists $answer->{result} ? ' with a result' : ''),
       "$output$status", "$name: its output and status");
    others_are_well($beside, $name, @server);
    return;
}

ends($_) for @ends;
for (@results) {
    my ($name, $body, $want) = @$_;
    my $beside = begin_beside();
    my $answer = post_json($main, { script =>
        "${prelude}def main():\n    $body\n" })->{json};

    is($answer->{error} || json_text($answer->{result}), $want, "$name: told")
        or diag(substr json_text($answer), 0, 500);
    others_are_well($beside, $name);
}

is(keeper(), $keeper, 'the same keeper');
cmp_ok(scalar @zygotes, '>=', 3, 'zygotes were there');
is_deeply([grep { !is_alive($_) } @zygotes], [], 'the same zygotes');
cmp_ok(peak_kib($keeper) - $memory, '<', 64 << 10,
       'the keeper held no more than a few results');
open my $log, '<', log_file() or die;
seek $log, $log_at, 0 or die;
is_deeply([grep { /PYX0(?:33|34|35|36)\d/ && !/debug|info/ } <$log>], [],
          'nothing was worth a line in the log');

my $server = own_server('', ulimit => '-n 400');
ends(["$_->[0], at 3", $code,
      "assert report == 3\nos.dup2($_->[2], report)\n$_->[1]",
      'done', 0, $_->[3]], port => $server->{port}) for @replaced;
$server->{stop}->();
