# SPDX-License-Identifier: Apache-2.0
# A mixed load while our processes are killed at random (t/soak/soak.py): each
# request has one answer, nothing is left. SOAK_MINUTES: how long (default a
# third of a minute; make soak takes 30). SOAK_SEED repeats the choices.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $seconds = 60 * ($ENV{SOAK_MINUTES} || 1 / 3);
# As many children and threads all the time, so that they can be counted.
my $server = own_server("PyExecConcurrency 2\n" . mpm_workers(4, 25, 100));
my @options = ('--port', $server->{port}, '--parent', $server->{pid},
               '--data', var('t_dir'), '--seconds', $seconds,
               $ENV{SOAK_SEED} ? ('--seed', $ENV{SOAK_SEED}) : ());
my (@all, $text, $got, @log);

all_zygotes($server);
open my $out, '-|', 'timeout', 300 + int(2 * $seconds), '/usr/bin/python3', '-B',
    var('t_dir') . '/soak/soak.py', @options or die "soak.py: $!";
{
    local $/ = undef;
    $text = <$out>;
}
close $out;
$got = json_value($text);
note($text);
# make soak is for the figures.
diag($text) if $ENV{SOAK_MINUTES};
ok($got, 'soak.py has come to its end') or diag($text);
$got ||= { bad => 'all', kills => {}, left => ['unknown'], answers => 0 };
cmp_ok($got->{answers}, '>', $seconds, 'there was load');
cmp_ok(eval { my $sum = 0; $sum += $_ for values %{ $got->{kills} }; $sum },
       '>', $seconds / 10, 'processes were killed');
is($got->{bad}, 0, 'every request had one well-formed answer')
    or diag(json_text($got->{examples}));
is(join('; ', @{ $got->{left} }), '', 'all is as it was before');
open my $in, '<', "$server->{dir}/error_log" or die;
@log = grep { /exit signal (?!Killed)|AH00488|AH00485|Sanitizer|runtime error/ } <$in>;
is(join('', @log), '', 'nothing crashed by itself');
@all = descendants($server->{pid});
$server->{stop}->();
ok(wait_for(sub { !grep { is_alive($_->{Pid}) } @all }, 5),
   'stopped: no process is left');
done_testing();
