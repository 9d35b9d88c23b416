# SPDX-License-Identifier: Apache-2.0
# A mixed load, installations among it, while our processes are killed at random
# (t/soak/soak.py): each request has one answer, nothing is left. SOAK_MINUTES:
# how long (default a third of a minute; make soak takes 30). SOAK_SEED repeats
# the choices.
use strict;
use warnings FATAL => 'all';
use PyExec::Index;
use PyExec::Test;
use Test::More;

my $seconds = 60 * ($ENV{SOAK_MINUTES} || 1 / 3);
my $env = helper_dir();
my $index = index_make('packages.py');
open my $script, '>', "$index->{www}/link.py" or die;
print $script "print('fetched')\n";
close $script or die;
# As many children and threads all the time, so that they can be counted.
my $server = own_server(index_modules() . index_served($index) . mpm_workers(4, 25, 100) . <<"END");
PyExecConcurrency 2
# Of all but these, and not one for each tenant.
<PyExecPool all>
</PyExecPool>
PyExecPool all
PyExecInstallIndex $index->{url}
<PyExecPool packages>
    PyExecEnvironment "$env"
    PyExecInstall On
    PyExecLinks On
    PyExecPreload none
    PyExecNetwork proxy=127.0.0.1:$index->{proxy}
</PyExecPool>
<Macro PyExecPackages \$path \$dialect>
    <Location "\$path">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect \$dialect
        PyExecPool packages
        PyExecImports *
    </Location>
</Macro>
Use PyExecPackages /install run
Use PyExecPackages /use code
<Location "/health">
    PyExecMetrics On
</Location>
END
my @options = ('--link', "http://localhost:$index->{port}/link.py",
               '--port', $server->{port}, '--parent', $server->{pid},
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
cmp_ok($got->{installed} // 0, '>', 0, 'packages were installed');
is($got->{bad}, 0, 'every request had one well-formed answer')
    or diag(json_text($got->{examples}));
is(join('; ', @{ $got->{left} }), '', 'all is as it was before');
opendir my $dir, "$env" or die;
my @left = grep { !/^(?:\.\.?|lock|turn|current)$/ } readdir $dir;
closedir $dir;
is(join(' ', grep { !/^\d+$/ } @left), '', 'nothing half done is left of installations');
cmp_ok(scalar @left, '<=', 3, '... and no more than the last generations');
open my $in, '<', "$server->{dir}/error_log" or die;
@log = grep { /exit signal (?!Killed)|AH00488|AH00485|Sanitizer|runtime error/ } <$in>;
is(join('', @log), '', 'nothing crashed by itself');
@all = descendants($server->{pid});
$server->{stop}->();
ok(wait_for(sub { !grep { is_alive($_->{Pid}) } @all }, 5),
   'stopped: no process is left');
done_testing();
