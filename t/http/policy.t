# SPDX-License-Identifier: Apache-2.0
# What may be imported and called in a place, and how long its runs may take,
# from the server's own files: the inner value holds, but never more than any
# ceiling.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

once_only();
my $n = 0;
my $places = '';

# A place with these directives; returns its path.
sub place
{
    my (@lines) = @_;
    my $path = '/p/' . ++$n;

    $places .= join "\n", "<Location \"$path\">", 'SetHandler pyexec',
        'PyExecEngine On', @lines, "</Location>\n";
    return $path;
}

# What is tried.
my @tries = (
    [os => 'import os'], [socket => 'import socket'], [csv => 'import csv'],
    [path => 'import os.path'],
    [hidden => '__import__("soc" + "ket")'],
    [system => "import os\nos.system('x')"],
    [shell => "import subprocess\nsubprocess.run('x', shell=True)"],
    [write => 'open("x", "w")'], [eval => 'eval("1")'],
);
# Name, directives, what of it the policy refuses.
my @cases = (
    ['the dialect\'s', [], 'socket csv hidden system shell write'],
    ['one more', ['PyExecImports +csv'], 'socket hidden system shell write'],
    ['one less', ['PyExecImports -os'],
     'os socket csv path hidden system shell write'],
    ['one more and one less', ['PyExecImports +socket -os'],
     'os csv path system shell write'],
    ['these and no other', ['PyExecImports csv socket'],
     'os path system shell write'],
    ['anything', ['PyExecImports *'], 'system shell write'],
    ['nothing', ['PyExecImports none'],
     'os socket csv path hidden system shell write'],
    ['one check more', ['PyExecForbid +eval'],
     'socket csv hidden system shell write eval'],
    ['one check less', ['PyExecForbid -write'],
     'socket csv hidden system shell'],
    ['these checks and no other', ['PyExecForbid eval'],
     'socket csv hidden eval'],
    ['no check', ['PyExecForbid none'], 'socket csv hidden'],
    ['no policy',
     ['PyExecPolicy Off', 'PyExecForbid eval', 'PyExecImports none'], ''],
    ['the inner one holds',
     ['PyExecImports none', '<If "true">', 'PyExecImports *', '</If>'],
     'system shell write'],
    ['a dialect without a policy',
     ['PyExecDialect main-json', 'PyExecImports -socket'], 'socket hidden'],
    ['a dialect that denies',
     ['PyExecDialect run', 'PyExecImports *', 'PyExecForbid none'], ''],
);
# Name, directives, the request's timeout, seconds and what ends the run.
my @times = (
    ['a wish', ['PyExecTimeout 1'], undef, 1, 'time'],
    ['... that the request shortens', ['PyExecTimeout 9'], 1, 1, 'time'],
    ['... or would like to prolong', ['PyExecTimeout 1'], 20, 1, 'time'],
    ['a ceiling of a wish', ['PyExecTimeout 9', 'PyExecMaxTimeout 1'],
     undef, 1, 'time'],
    ['a ceiling of the default', ['PyExecMaxTimeout 1'], 20, 1, 'time'],
    ['a lower ceiling outside',
     ['PyExecMaxTimeout 1', '<If "true">', 'PyExecTimeout 300',
      'PyExecMaxTimeout 300', '</If>'], undef, 1, 'time'],
    ['a ceiling of CPU time that follows',
     ['PyExecTimeout 30', 'PyExecMaxCPUTime 200ms'], undef, 27, 'cpu'],
    ['a ceiling of CPU time',
     ['PyExecTimeout 30', 'PyExecCPUTime 9', 'PyExecMaxCPUTime 200ms'],
     undef, 27, 'cpu'],
);
my @paths = map { place(@{ $_->[1] }) } @cases;
my @timed = map { place(@{ $_->[1] }) } @times;
my $small = place('PyExecMaxMemory 32', 'PyExecMaxOutput 100',
                  'PyExecMaxBody 1000', 'PyExecMemory 1G', 'PyExecOutput 1M',
                  'PyExecBody 1M');
my $server = own_server("PyExecConcurrency 4\n$places");
END { $server->{stop}->() if $server }

plan tests => @cases + 2 * @times + 4;

sub answer
{
    my ($path, $source, %fields) = @_;
    my $field = grep({ $path eq $_ } @paths[-2, -1]) ? 'script' : 'code';

    $source .= "\ndef main(): pass\n" if $field eq 'script';
    return post_json($path, { $field => $source, usage => \1, %fields },
                     port => $server->{port});
}

# In the source, or while it runs.
sub is_refused
{
    my ($answer) = @_;

    return $answer->{status} == 400 && $answer->{body} !~ /OSError|FileNotFound/
        || $answer->{body} =~ /is not allowed|Disallowed/;
}

for my $i (0 .. $#cases) {
    my ($name, undef, $refused) = @{ $cases[$i] };

    is(join(' ', map { $_->[0] }
                 grep { is_refused(answer($paths[$i], $_->[1])) } @tries),
       $refused, $name);
}
for my $i (0 .. $#times) {
    my ($name, undef, $timeout, $seconds, $end) = @{ $times[$i] };
    my $usage = answer($timed[$i], 'while True: pass',
                       $timeout ? (timeout => $timeout) : ())->{json}{usage};

    is($usage->{ended_by}, $end, $name) or diag(json_text($usage));
    cmp_ok($usage->{wall_seconds}, '<', $seconds + 3, '... in time');
}
is(answer($small, 'b = bytearray(64 << 20)')->{json}{usage}{ended_by}, 'memory',
   'a ceiling of memory');
is(answer($small, 'print("x" * 500)')->{json}{output} =~ tr/x//, 100,
   'a ceiling of output');
is(answer($small, '#' x 1100)->{status}, 413, 'a ceiling of bodies');
is(answer($small, 'print(1)')->{status}, 200, '... below all of them');
