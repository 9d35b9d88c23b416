# SPDX-License-Identifier: Apache-2.0
# What the host's kernel says about our processes while a run goes on: user,
# capabilities, filter, namespaces. The witness is this very process.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my @caps = qw(CapInh CapPrm CapEff CapBnd CapAmb);
my @namespaces = qw(cgroup ipc mnt net pid user uts);
my $socket = raw_open();
my $body = json_text({ code => 'while True: pass' });
my ($job, $keeper, $zygote, $own, $httpd);

plan tests => 2 + @caps + 5 + 2 + @namespaces + 4;

is(request('GET', '/health')->{json}{isolation}, 'full',
   'health tells the level');

print $socket "POST /t/wall-20s HTTP/1.1\r\nHost: x\r\n"
    . "Content-Type: application/json\r\n"
    . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
my $pid = spinning_job();
ok($pid, 'the run is there') or die 'no job to look at';
$job = proc_status($pid);
$own = proc_status($$);
$keeper = proc_status(keeper());
$zygote = proc_status(zygote_of($pid));
($httpd) = grep { $_->{PPid} == server_pid() && $_->{Name} ne 'pyexecd' }
    descendants();

like($job->{$_}, qr/^0+$/, "job: $_ is empty") for @caps;
is($job->{NoNewPrivs}, 1, 'job: no new privileges');
is($job->{Seccomp}, 2, 'job: a filter');
is($job->{Threads}, 1, 'job: one thread');
is($job->{Groups} =~ s/\s+//gr, '', 'job: no supplementary groups')
    or diag($job->{Groups});
cmp_ok(scalar(split ' ', $job->{NSpid}), '>', 1, 'job: a PID namespace');
is($own->{Seccomp}, 0, 'witness: no filter here');
is($own->{NoNewPrivs}, 0, 'witness: new privileges here');

for my $name (@namespaces) {
  SKIP: {
        my $there = readlink "/proc/$pid/ns/$name";

        skip "only root may look at the job's $name namespace", 1
            if !defined $there && !as_root();
        my $here = readlink "/proc/$$/ns/$name";

        ok(defined $there && defined $here && $there ne $here, "job: own $name namespace")
            or diag($there // 'not to be seen', ' ', $here // 'not to be seen');
    }
}

like($keeper->{CapEff} . $keeper->{CapPrm}, qr/^0+$/,
     'keeper: no capabilities');
for ([keeper => $keeper], [zygote => $zygote], [job => $job]) {
    my ($name, $status) = @$_;
    my ($uid) = split ' ', $status->{Uid};

  SKIP: {
        skip 'httpd and the helper are the same user', 1 unless as_root();
        ok($uid != 0 && $uid != (split ' ', $httpd->{Uid})[0],
           "$name: a user of its own") or diag("uid $uid");
    }
}
close $socket;
