# SPDX-License-Identifier: Apache-2.0
# CPU time, measured by the keeper to the millisecond: just below, at and above
# the limit, by one thread and by several, and none for a run that sleeps.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $server = own_server(<<'END');
<Location "/cpu">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecDialect code
    PyExecCPUTime 400ms
    PyExecTimeout 60
</Location>
END

my $burn = "import time\ndef burn(s):\n    end = time.process_time() + s\n"
    . "    while time.process_time() < end: pass\n";
# What it does, source, how it ends.
my @cases = (
    ['300 ms of CPU', $burn . "burn(.3)", 'done'],
    ['500 ms of CPU', $burn . "burn(.5)", 'cpu'],
    ['without end', "while True: pass", 'cpu'],
    ['a second of sleep', "import time; time.sleep(1)", 'done'],
    ['four threads that hash without end',
     "import hashlib, threading\nb = bytes(1 << 20)\ndef burn():\n"
     . "    while True: hashlib.sha256(b)\n"
     . "for _ in range(4): threading.Thread(target=burn).start()", 'cpu'],
);

plan tests => 2 * @cases;
for my $case (@cases) {
    my ($name, $source, $end) = @$case;
    my (%ends, @spent);
    my $usual = usual($end eq 'cpu' ? 0.6 : 0.4, sub {
        my $answer = post_json('/cpu', { code => $source, usage => \1 },
                               port => $server->{port})->{json};

        $ends{ $answer->{usage}{ended_by} } = 1;
        push @spent, $answer->{usage}{cpu_seconds};
        return $spent[-1];
    });

    is(join(' ', sort keys %ends), $end, "$name: $end");
    # At the limit: not before it, and usually not long after.
    if ($end eq 'cpu') {
        ok(!grep({ $_ < 0.4 } @spent) && $usual < 0.6,
           "$name: ended at the limit") or diag("@spent");
    }
    else {
        cmp_ok($usual, '<', 0.4, "$name: below the limit");
    }
}
$server->{stop}->();
