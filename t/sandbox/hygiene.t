# SPDX-License-Identifier: Apache-2.0
# Nothing of one run reaches another one, be it later or beside it: the state of
# the process (t/data/hygiene.py, a row each), its memory (t/data/memory.py),
# numbers of processes, shares of threads. That a change would be seen is shown
# by the run that makes it.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

# More than there are slots: each has been used before.
my $looks = 6;
my $place = '/policy-off/execute';
my $state = source('hygiene.py');
my $memory = source('memory.py');
my @letters = map { 128 + int rand 128 } 1 .. 24;
my $letters = join ', ', @letters;

my $clean = settled();
my @names = sort keys %$clean;
plan tests => 2 + 1 + 3 * @names + 5 + 3 + 3;

cmp_ok(scalar @names, '>', 40, 'there are rows');
is_deeply(looked("$state\nlook()"), $clean, 'two runs start from one state');
state_of_the_process();
SKIP: {
    skip "AddressSanitizer's own memory is too much to be searched", 5
        if sanitized();
    memory_of_the_process();
}
numbers();
threads();

# The state that runs of this kind start from. A zygote that has their modules
# is started when there is need of it, and serves them from then on.
sub settled
{
    my ($last, $same) = ('', 0);

    wait_for(sub {
        my $now = json_text(looked("$state\nlook()"));

        $same = $now eq $last ? $same + 1 : 0;
        $last = $now;
        return $same >= 40;
    }, 60);
    return json_value($last);
}

sub source
{
    my ($name) = @_;

    open my $in, '<', var('t_dir') . "/data/$name" or die "$name: $!\n";
    local $/ = undef;
    return scalar <$in>;
}

# What a run printed, as JSON.
sub looked
{
    my ($source) = @_;
    my $answer = run_code($place, $source);
    my $value = json_value($answer->{output});

    diag(json_text($answer)) unless ref $value;
    return ref $value ? $value : {};
}

# A run beside the others: it has done its work when it computes. Returns the
# connection, whose end ends it.
sub beside
{
    my ($source) = @_;
    my $socket = raw_open();
    my $body = json_text({ code => "$source\nwhile True: pass" });

    print $socket "POST /t/wall-20s HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub state_of_the_process
{
    my $left = looked("$state\nleave()");
    my (%later, %beside);

    note_changes(\%later, looked("$state\nlook()")) for 1 .. $looks;
    my $socket = beside("$state\nleave()");
    ok(spinning_job(), 'a run that has left everything goes on');
    note_changes(\%beside, looked("$state\nlook()")) for 1 .. $looks;
    close $socket;
    for my $name (@names) {
        ok(defined $left->{$name} && $left->{$name} ne $clean->{$name},
           "$name: a change is seen") or diag($clean->{$name});
        is($later{$name}, undef, "$name: not by a later run");
        is($beside{$name}, undef, "$name: not by a run beside it");
    }
    return;
}

# Collects what is not as in a clean process.
sub note_changes
{
    my ($changes, $seen) = @_;

    for my $name (@names) {
        my $value = $seen->{$name} // 'nothing';

        $changes->{$name} = $value if $value ne $clean->{$name};
    }
    return;
}

sub searched
{
    my ($before) = @_;
    my $answer = run_code($place,
        "$memory\n$before\nprint('%d hits, %d bytes' % search([$letters]))");
    my ($hits, $bytes) = ($answer->{output} // '')
        =~ /^(\d+) hits, (\d+) bytes$/ or diag(json_text($answer));

    return ($hits // 'no answer', $bytes // 0);
}

# In objects, in memory of libc's and in memory of the kernel's.
sub memory_of_the_process
{
    my $put = "secret = bytes([$letters])\n"
        . "kept = [secret * 100 for n in range(100)]\n"
        . "place = libc.malloc(1 << 20)\n"
        . "ctypes.memset(place, 1, 1 << 20)\n"
        . "ctypes.memmove(place + 4096, secret, len(secret))\n"
        . "pages = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        . "pages.write(secret)";
    my ($hits, $bytes) = searched($put);
    my ($later, $beside) = (0, 0);

    cmp_ok($hits, '>=', 102, 'memory: what was put there is found');
    cmp_ok($bytes, '>', 20_000_000, 'memory: all of it was searched');
    for (1 .. 2) {
        ($hits) = searched('');
        $later = $hits if $hits ne '0';
    }
    is($later, 0, 'memory: not by a later run');
    my $socket = beside("$memory\n$put");
    ok(spinning_job(), 'memory: a run that has put it there goes on');
    for (1 .. 2) {
        ($hits) = searched('');
        $beside = $hits if $hits ne '0';
    }
    close $socket;
    is($beside, 0, 'memory: not by a run beside it');
    return;
}

# Numbers that go on counting would tell how much others have done.
sub numbers
{
    my $source = "import os, threading\nids = []\n"
        . "def note(): ids.append(threading.get_native_id())\n"
        . "def more(n):\n"
        . "    for _ in range(n):\n"
        . "        t = threading.Thread(target=note); t.start(); t.join()\n"
        . "more(COUNT)\nprint([os.getpid(), os.getppid()] + ids[-1:])";
    my $one = $source =~ s/COUNT/1/r;
    my $first = looked($one);
    my $many = looked($source =~ s/COUNT/20/r);
    my %seen = map { json_text(looked($one)) => 1 } 1 .. $looks;

    is(scalar @$first, 3, 'numbers: of the process, its parent and a thread');
    isnt(json_text($many), json_text($first), 'numbers: they go on in a run');
    is_deeply([keys %seen], [json_text($first)],
              'numbers: the same in every later run');
    return;
}

# A run's threads are no others' loss.
sub threads
{
    my $source = "import threading, time\nstarted = 0\ntry:\n"
        . "    for _ in range(100):\n"
        . "        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\n"
        . "        started += 1\n"
        . "except RuntimeError: pass\n";
    my $alone = run_code($place, "${source}print(started)")->{output};
    my $socket = beside($source);

    ok(spinning_job(), 'threads: a run that has all of its own goes on');
    cmp_ok($alone, '>', 10, 'threads: as many as the limit allows');
    is(run_code($place, "${source}print(started)")->{output}, $alone,
       'threads: as many beside a run that has all of its own');
    close $socket;
    return;
}
