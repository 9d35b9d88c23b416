# SPDX-License-Identifier: Apache-2.0
# A hostile .htaccess to which httpd hands everything it can (AllowOverride
# All, AllowOverrideList with all of our directives): what it says changes
# nothing, or tightens, or ends in an error; it never loosens anything.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Test;
use Test::More;

# scope and name of every directive
my @directives = do {
    my $list = var('locations') =~ s{conf/locations\.conf$}
                                    {mod_pyexec/pyexec_directives.h}r;
    open my $in, '<', $list or die "$list: $!\n";
    map { /^    X\((\w+),.*"(PyExec\w+)"/ ? [$1, $2] : () } <$in>;
};
# httpd itself keeps those of the main server out.
my $all = join ' ', map { $_->[1] } grep { $_->[0] !~ /^(?:POOL|GLOBAL)$/ }
    @directives;
my $docs = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $server;

chmod 0755, $docs or die;

sub directory
{
    my ($path, $text) = @_;

    mkdir "$docs/$path", 0755 or die "$path: $!\n";
    chmod 0755, "$docs/$path" or die;
    write_htaccess($path, $text) if defined $text;
    return;
}

sub write_htaccess
{
    my ($path, $text) = @_;

    open my $out, '>', "$docs/$path/.htaccess" or die "$path: $!\n";
    print $out "$text\n";
    close $out or die;
    chmod 0644, "$docs/$path/.htaccess" or die;
    return;
}

directory($_) for qw(on off none);
$server = own_server(<<"END");
DocumentRoot "$docs"
AccessFileName .htaccess
# One kind of interpreter, so that all runs start with the same memory.
PyExecPreload none
PyExecMaxTimeout 20
<PyExecPool shared>
    PyExecEnv WHO shared
</PyExecPool>
<Directory "$docs">
    Require all granted
    AllowOverride All
    AllowOverrideList $all
</Directory>
<Directory "$docs/on">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect code
    PyExecTimeout 3
    PyExecMemory 128
    PyExecOutput 1000
    PyExecBody 2000
    PyExecImports math resource sys time
</Directory>
<Directory "$docs/none">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    AllowOverride None
    AllowOverrideList None
</Directory>
<LocationMatch "^/on/by-location">
    PyExecTimeout 10
    PyExecImports *
</LocationMatch>
<LocationMatch "^/on/without-policy">
    PyExecPolicy Off
    PyExecImports *
</LocationMatch>
END
END { $server->{stop}->() if $server }

sub ask
{
    my ($path, $code) = @_;

    return post_json("/$path/run", { code => $code, usage => \1 },
                     port => $server->{port});
}

# What is allowed in a place, as one line of text; the status where nothing is.
sub allowed
{
    my ($path) = @_;
    my $limits = ask($path, <<'END');
import resource
print(resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit(resource.RLIMIT_AS)[0] >> 20)
END
    my $status = $limits->{status};

    return $status if $status != 200;
    my ($cpu, $memory) = split ' ', $limits->{json}{output} // '';
    my $output = ask($path, 'print("x" * 3000)')->{json}{output} // '';
    my $body = ask($path, '#' x 1950)->{status};
    my $refused = join ' ', grep { ask($path, {
            os => 'import os', math => 'import math', write => 'open("/tmp/x", "w")',
            eval => 'eval("1")' }->{$_})->{status} == 400 }
        qw(os math write eval);

    return sprintf 'cpu %s memory %s output %d body %s refused %s',
        $cpu // '?', $memory // '?', ($output =~ tr/x//), $body, $refused;
}

directory('on/plain');
my $plain = allowed('on/plain');
my ($memory) = $plain =~ /memory (\d+)/;

# The base's line with some words changed.
sub but
{
    my (%words) = @_;
    my $line = $plain;

    $line =~ s/$_ \S+/$_ $words{$_}/ for grep { $_ ne 'refused' } keys %words;
    $line =~ s/refused .*/refused $words{refused}/ if exists $words{refused};
    return $line;
}

# For each wish: what would loosen it, and what tightens it with what then is.
my %wishes = (
    PyExecPolicy => { looser => ['Off'] },
    PyExecImports => {
        looser => ['*', '+os', 'math resource sys time os +x' =~ s/ \+x//r],
        tighter => { 'resource sys' => but(refused => 'os math write'),
                     '-math' => but(refused => 'os math write'),
                     'resource sys time os' => but(refused => 'os math write') } },
    PyExecForbid => {
        looser => ['none', '-write', 'shell'],
        tighter => { eval => but(refused => 'os write eval'),
                     '+eval' => but(refused => 'os write eval') } },
    PyExecBody => { looser => ['60M', '2001'],
                    tighter => { 1000 => but(body => 413) } },
    PyExecTimeout => { looser => ['300', '3001ms'],
                       tighter => { 2 => but(cpu => 4) } },
    PyExecCPUTime => { looser => ['0', '300'],
                       tighter => { 2 => but(cpu => 3) } },
    PyExecMemory => { looser => ['4G', '129'],
                      tighter => { 64 => but(memory => $memory - 64) } },
    PyExecOutput => { looser => ['16M', '1001'],
                      tighter => { 500 => but(output => 500) } },
);
# What the others would be worth to a tenant.
my %values = (
    PyExecEngine => 'On', PyExecDialect => 'main-json', PyExecPool => 'shared',
    PyExecTenant => 'someone-else', PyExecAllowOrigin => '*',
    PyExecHelperProgram => '/tmp/mine', PyExecHelperUser => 'root',
    PyExecPreload => 'os', PyExecEnv => 'A b', PyExecIsolation => 'restricted',
    PyExecMetrics => 'On', PyExecPython => 'python3.11',
    PyExecSitePackages => '/srv/mine/modules',
);
# Ways to say it; those that httpd refuses in .htaccess are errors.
my %ways = (
    plain => "%s", IfModule => "<IfModule pyexec_module>\n%s\n</IfModule>",
    If => "<If \"true\">\n%s\n</If>", Files => "<Files \"*\">\n%s\n</Files>",
    FilesMatch => "<FilesMatch \".\">\n%s\n</FilesMatch>",
    'If in Files' => "<Files *>\n<If \"true\">\n%s\n</If>\n</Files>",
);
# How httpd refuses it.
sub not_here
{
    my ($name) = @_;

    return qr/^$name (?:not allowed here|cannot occur within)/;
}

# What it is called, the text, what httpd says of it.
my @errors = (
    (map { my $value = $values{ $_->[1] } // 5;
           ["$_->[1] of scope $_->[0]", "$_->[1] $value", not_here($_->[1])] }
     grep { $_->[0] ne 'WISH' } @directives),
    (map { my $way = $_;
           ["PyExecEngine in $way", sprintf($ways{$way}, 'PyExecEngine On'),
            not_here('PyExecEngine')] }
     sort keys %ways),
    ['a ceiling in If', "<If \"true\">\nPyExecMaxTimeout 300\n</If>",
     not_here('PyExecMaxTimeout')],
    ['<PyExecPool>', "<PyExecPool mine>\nPyExecEnv A b\n</PyExecPool>",
     not_here('<PyExecPool')],
    ['<PyExecPool> of another name', "<PyExecPool shared>\n</PyExecPool>",
     not_here('<PyExecPool')],
    ['<Location>', "<Location />\nPyExecTimeout 300\n</Location>",
     not_here('<Location')],
    ['<Directory>', "<Directory />\nPyExecTimeout 300\n</Directory>",
     not_here('<Directory')],
    ['<VirtualHost>', "<VirtualHost *>\nPyExecTimeout 300\n</VirtualHost>",
     not_here('<VirtualHost')],
    ['Include', 'Include /etc/passwd',
     not_here('Include')],
    ['<Limit>', "<Limit POST>\nPyExecTimeout 300\n</Limit>",
     not_here('PyExecTimeout')],
    ['<LimitExcept>', "<LimitExcept GET>\nPyExecTimeout 2\n</LimitExcept>",
     not_here('PyExecTimeout')],
    ['php_admin_value', 'php_admin_value PyExecTimeout 300',
     qr/^Invalid command 'php_admin_value'/],
    ['a value outside of the range', 'PyExecTimeout 301',
     qr/^PyExecTimeout: '301' is not within/],
    ['a line continued', "PyExec\\\nEngine On",
     not_here('PyExecEngine')],
    ['the case does not matter', 'pyexecENGINE on',
     not_here('PyExecEngine')],
);
my @off = (
    ['SetHandler', 'SetHandler pyexec', 403],
    ['SetHandler by an expression', 'SetHandler "expr=pyexec"', 404],
    ['SetHandler in If', "<If \"true\">\nSetHandler pyexec\n</If>", 403],
    ['SetHandler and wishes', "SetHandler pyexec\nPyExecTimeout 5\nPyExecPolicy Off", 403],
    ['SetHandler and the engine', "SetHandler pyexec\nPyExecEngine On", 500],
);
my $n = 0;

sub fresh
{
    my ($parent, $text) = @_;
    my $path = "$parent/d" . ++$n;

    directory($path, $text);
    return $path;
}

# What httpd says of this one's .htaccess.
sub error_of
{
    my ($path) = @_;

    return PyExec::Test::error_log($server) =~ m{ \Q$docs/$path/.htaccess\E: (.*)} ? $1 : '';
}

my %listed = map { $_->[1] => 1 } grep { $_->[0] eq 'WISH' } @directives;
my @loosen = map { my $name = $_; map { [$name, $_] } @{ $wishes{$name}{looser} } }
    sort keys %wishes;
my @tighten = map { my $name = $_; my $of = $wishes{$name}{tighter} || {};
                    map { [$name, $_, $of->{$_}] } sort keys %$of }
    sort keys %wishes;

plan tests => 2 + @loosen + @tighten + keys(%ways) + @errors + @off + 9;

is_deeply([sort keys %wishes], [sort keys %listed], 'every wish is tried');
like($plain, qr/^cpu 5 memory \d+ output 1000 body 200 refused os write$/,
     'what the place allows');
for my $case (@loosen) {
    my ($name, $value) = @$case;

    is(allowed(fresh('on', "$name $value")), $plain, "$name $value loosens nothing");
}
for my $case (@tighten) {
    my ($name, $value, $is) = @$case;

    is(allowed(fresh('on', "$name $value")), $is, "$name $value tightens");
}
for my $way (sort keys %ways) {
    is(allowed(fresh('on', sprintf $ways{$way},
                     "PyExecTimeout 300\nPyExecOutput 500\nPyExecImports *")),
       but(output => 500), "$way: what loosens does not, what tightens does");
}
for my $case (@errors) {
    my ($name, $text, $reason) = @$case;
    my $path = fresh('on', $text);
    my $status = ask($path, 'print(1)')->{status};

    ok($status == 500 && error_of($path) =~ $reason, "$name: an error")
        or diag("$status: " . error_of($path));
}
for my $case (@off) {
    my ($name, $text, $status) = @$case;

    is(ask(fresh('off', $text), 'print(1)')->{status}, $status,
       "$name, where nothing may run: $status");
}

# Several files, and sections that are merged after them.
my $outer = fresh('on', "PyExecTimeout 2\nPyExecForbid eval\nPyExecImports resource sys");
directory("$outer/in", "PyExecTimeout 3\nPyExecForbid none\nPyExecImports math resource sys");
is(allowed("$outer/in"), but(cpu => 4, refused => 'os math write eval'),
   'an inner file takes back nothing of an outer one');
is(allowed(fresh('on', "PyExecTimeout 2\nPyExecTimeout 3")), but(cpu => 4),
   'a second line takes back nothing of the first');
directory('on/by-location');
is(allowed('on/by-location'), but(cpu => 12, refused => 'write'),
   'a Location gives more');
write_htaccess('on/by-location', "PyExecTimeout 2\nPyExecImports resource");
is(allowed('on/by-location'), but(cpu => 4, refused => 'os math write'),
   '... but not to whom .htaccess has taken it');
write_htaccess('on/by-location', 'PyExecTimeout 25');
is(allowed('on/by-location'), but(cpu => 12, refused => 'write'),
   '... nor more than itself');
directory('on/without-policy');
is(allowed('on/without-policy'), but(refused => ''), 'a place without policy');
write_htaccess('on/without-policy', "PyExecForbid write\nPyExecImports resource");
is(allowed('on/without-policy'), but(refused => 'os math write'),
   '... where .htaccess makes one');
write_htaccess('on/without-policy', 'PyExecPolicy On');
is(allowed('on/without-policy'), but(refused => 'write'),
   '... or brings the dialect\'s back');
write_htaccess('none', "PyExecTimeout 1\nPyExecEngine Off");
is(ask('none', 'print(1)')->{status}, 200, 'AllowOverride None: nobody reads it');
