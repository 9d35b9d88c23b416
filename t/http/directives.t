# SPDX-License-Identifier: Apache-2.0
# Every directive of the list, generated from it: without it the default holds,
# and set on the outside and inside of a server they become one as their scope
# says, as the dump of the configuration tells. Every kind needs two samples.
use strict;
use warnings FATAL => 'all';
use File::Basename ();
use PyExec::Config;
use PyExec::Test;
use Test::More;

# Two values of each kind, the lesser first, and how the dump shows them.
my $helper = var('t_dir') . '/python/libexec/pyexecd'; # has two interpreters
my $zygote = File::Basename::dirname($helper) . '/pyexec-zygote';
my %samples = (
    FLAG => [[Off => 'Off'], [On => 'On']],
    BYTES => [[1000 => '1000'], ['2K' => '2048']],
    MEBIBYTES => [[10 => '10M'], [20 => '20M']],
    DURATION => [[2 => '2s'], ['3001ms' => '3001ms']],
    PERIOD => [[2 => '2s'], ['3min' => '180s']],
    COUNT => [[2 => '2'], [3 => '3']],
    DIALECT => [[code => 'code'], [run => 'run']],
    ORIGIN => [['*' => '*'], ['https://a.example' => 'https://a.example']],
    LEVEL => [[restricted => 'restricted'], [full => 'full']],
    PATH => [[$helper => $helper], [$zygote => $zygote]],
    # Two services: the program that "spawn" would start need not be there.
    HELPER => [['unix:/run/one' => 'unix:/run/one'], ['unix:/run/two' => 'unix:/run/two']],
    OWNER => [["#$>" => "#$>"], ["#$>:#7" => "#$>:#7"]],
    MODE => [['0640' => '0640'], [666 => '0666']],
    ACCOUNT => [['#1' => '#1'], ['#2' => '#2']],
    LIST => [['math json' => 'math json'], [none => 'none']],
    POOLNAME => [[p1 => 'p1'], [p2 => 'p2']],
    TENANT => [[one => 'one'], ['"two three"' => 'two three']],
    IMPORTS => [['math json' => 'math json'], ['*' => '*']],
    FORBID => [['eval' => 'eval'], [shell => 'shell']],
    ENV => [['A b' => 'A=b'], ['C d' => 'C=d']],
    PYTHON => [[first => 'first'], [second => 'second']],
    DIRS => [[none => 'none'], ['/usr/share/perl5' => '/usr/share/perl5']],
    NETWORK => [['proxy=127.0.0.1:3128' => 'proxy=127.0.0.1:3128'], [none => 'none']],
    DIR => [[none => 'none'], ['/usr/share/perl5' => '/usr/share/perl5']],
    URL => [['http://a.example/simple/' => 'http://a.example/simple/'],
            ['https://b.example:8443/' => 'https://b.example:8443/']],
    EGRESS => [['public 10.0.0.1' => 'public 10.0.0.1'], [any => 'any']],
);
# What a pool needs besides where one of these is On.
my $dir = helper_dir();
my %needs = (PyExecLinks => "PyExecNetwork proxy=127.0.0.1:3128\n",
             PyExecInstall => "PyExecEnvironment $dir\nPyExecNetwork proxy=127.0.0.1:3128\n");
# [scope, kind, name]
my @directives = do {
    my $text = PyExec::Test::slurp(var('locations') =~ s{conf/locations\.conf$}
        {mod_pyexec/pyexec_directives.h}r) =~ s/\\\n//gr;

    map { [split /, /] } $text =~ /\bX\((\w+, \w+, \w+, "PyExec\w+")/g;
};
my $pools = "<PyExecPool p1>\n</PyExecPool>\n<PyExecPool p2>\n</PyExecPool>\n";
my $bare = as_root() ? "PyExecHelperUser #1\n" : '';
my $program = "PyExecHelperProgram \"$helper\"\n";
my %tests = (PLACE => \&is_inner, WISH => \&is_inner, CEILING => \&is_least,
             POOL => \&is_own, GLOBAL => \&is_set);

plan tests => 2 + 3 * @directives;

cmp_ok(scalar @directives, '>', 30, 'directives were found');
is(join(' ', grep { my $kind = $_; !grep { $_->[1] eq $kind } @directives } sort keys %samples),
   '', 'no sample is of a kind that is gone');
my $defaults = dumped("PyExecEngine On\n");
for my $directive (@directives) {
    my ($scope, $kind, undef, $name) = @$directive;
    my $of = $scope eq 'GLOBAL' ? '' : $scope eq 'POOL' ? 'pool tenant:main.example' : 'main server';

    $name =~ tr/"//d;
    if ($name eq 'PyExecEngine') { # said only where it is off
        $of = '';
        $defaults->{$of}{$name} = dumped("PyExecDialect code\n")->{'main server'}{$name};
    }
    my $default = $defaults->{$of}{$name};

    # Those of config_test() itself are not there: it is told so.
    ok($default && length $default->[0] && ($default->[1] eq '(default)'
       || $name =~ /^PyExecHelper/), "$name has a default")
        or diag(explain($default));
    $tests{$scope}->($name, @{ $samples{$kind} || die "no samples of kind $kind" });
}

# { section => { directive => [value, where] } }, in httpd's own words.
sub dumped
{
    my ($text) = @_;
    my $bare = $text =~ /^PyExecHelper/m;
    my $got = config_test($text, define => 'DUMP_PYEXEC', bare => $bare,
                          helper => $helper);
    my ($host, $section, %found) = ('', '');

    diag($got->{output}) if $got->{status} != 0;
    for (split /\n/, $got->{output}) {
        $section = $host = $1 if /^(main server|virtual host \S+) /;
        $section = "pool $1" if /^pool "([^"]*)"/;
        $section = "$host $1" if /^  (<\w+ "[^"]*">)/;
        $found{$section}{$1} = [$2, $3]
            if /^ {4}(PyExec\w+) +(\S.*?) +(\(default\)|FILE:\d+.*|\/.*)$/;
    }
    return \%found;
}

# A directive at four places: [server, host, location, other host]; undef: none.
sub nested
{
    my ($name, @values) = @_;
    my @lines = map { defined $_ ? "$name $_" : '' } @values;
    my $found = dumped(<<"END" . $pools);
PyExecEngine On
$lines[0]
<VirtualHost *:1>
ServerName a
$lines[1]
<Location "/same">
PyExecEngine On
</Location>
<Location "/inner">
PyExecEngine On
$lines[2]
</Location>
</VirtualHost>
<VirtualHost *:2>
ServerName b
$lines[3]
</VirtualHost>
END

    return join ', ', map { my $of = $found->{$_}{$name} || ['?', '?'];
        "$of->[0] " . $of->[1] =~ s/^FILE:|,.*//gr }
        'main server', 'virtual host a', 'virtual host a <Location "/same">',
        'virtual host a <Location "/inner">', 'virtual host b';
}

# What is inside holds, where there is something.
sub is_inner
{
    my ($name, $one, $two) = @_;
    # What is said of a place where nothing runs is only that.
    my ($outer, $inner) = $name eq 'PyExecEngine' ? ($two, $one) : ($one, $two);
    my ($o, $i) = ($outer->[1], $inner->[1]);

    if ($name eq 'PyExecEngine') {
        is(nested($name, $outer->[0], undef, undef, $inner->[0]) =~ s/\d+//gr,
           "$o , $o , $o , $o , $i ", "$name: the inner value holds");
        is(nested($name, $inner->[0], $outer->[0], undef, undef) =~ s/\d+//gr,
           "$i , $o , $o , $o , $i ", "$name: ... at every depth");
        return;
    }
    if ($name eq 'PyExecEgress') { # of servers and hosts, not of what is in them
        is(nested($name, $outer->[0], undef, undef, $inner->[0]),
           "$o 2, $o 2, $o 2, $o 2, $i 16", "$name: the inner value holds");
        is(nested($name, undef, $inner->[0], undef, undef)
           =~ s/^.*?, |, [^,]*$//gr, "$i 5, $i 5, $i 5", "$name: ... for all that is in it");
        return;
    }
    is(nested($name, $outer->[0], undef, $inner->[0], $inner->[0]),
       "$o 2, $o 2, $o 2, $i 11, $i 16", "$name: the inner value holds");
    is(nested($name, undef, $inner->[0], $outer->[0], undef)
       =~ s/^.*?, |, [^,]*$//gr, "$i 5, $i 5, $o 11", "$name: ... at every depth");
    return;
}

# The least of all that enclose a place.
sub is_least
{
    my ($name, $less, $more) = @_;
    my ($l, $m) = ($less->[1], $more->[1]);

    is(nested($name, $less->[0], undef, $more->[0], $more->[0]),
       join(', ', ("$l 2") x 5), "$name: more inside changes nothing");
    is(nested($name, $more->[0], undef, $less->[0], $less->[0]),
       "$m 2, $m 2, $m 2, $l 11, $l 16", "$name: less inside holds");
    return;
}

# A pool's own before that of all; of variables both.
sub is_own
{
    my ($name, $one, $two) = @_;
    my $found = dumped("$name $one->[0]\nPyExecEngine On\n<PyExecPool own>\n"
        . ($needs{$name} || '') . "$name $two->[0]\n</PyExecPool>\n<PyExecPool none>\n</PyExecPool>\n");
    my $own = $found->{'pool own'}{$name}[0] // '?';

    is($name eq 'PyExecEnv' ? join(' ', sort split / /, $own) : $own,
       $name eq 'PyExecEnv' ? "$one->[1] $two->[1]" : $two->[1], "$name: a pool's own value");
    is(join(', ', map { $_->[0] // '?' } map { $found->{$_}{$name} } 'pool none', 'pool tenant:main.example'),
       "$one->[1], $one->[1]", "$name: ... or that of all pools");
    return;
}

# There is one of them, and the last one said holds.
sub is_set
{
    my ($name, $one, $two) = @_;
    my $rest = ($name eq 'PyExecHelper' ? '' : $name eq 'PyExecHelperUser' ? $program : $name eq 'PyExecHelperProgram' ? $bare : "$bare$program")
        . "PyExecEngine On\n";

  SKIP: {
        skip 'only root may name a user', 2 if $name eq 'PyExecHelperUser' && !as_root();
        for my $value ($one, $two) {
            is(dumped("$name $value->[0]\n$rest")->{''}{$name}[0], $value->[1], "$name: $value->[0]");
        }
    }
    return;
}
