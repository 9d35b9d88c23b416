# SPDX-License-Identifier: Apache-2.0
# What README.md tells a new administrator to write and to type, on httpd's
# configuration as Debian lays it out: the configuration is put together from
# README.md's own lines, and its commands are to answer as it says. Only what
# differs on this machine is replaced: the module's path, the port.
use strict;
use warnings FATAL => 'all';
use File::Basename ();
use File::Path ();
use File::Temp ();
use POSIX ();
use PyExec::Test;
use Test::More;

my $source = var('locations') =~ s{/conf/locations\.conf$}{}r;
my @blocks = blocks(PyExec::Test::slurp("$source/README.md"), 'Put it into your server', 'What a request looks like');
my ($load) = grep { /^LoadModule/ } @blocks;
my ($place) = grep { /^<Location/ } @blocks;
my @sites = grep { /^(?:PyExec|<PyExecPool|<VirtualHost)/ } @blocks;
my @commands = map { $blocks[$_] =~ /^curl / ? [$blocks[$_], $blocks[$_ + 1]] : () } 0 .. $#blocks;
my $root = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $port = PyExec::Test::free_port();
my $pid;

chmod 0711, $root or die;
plan tests => 4 + 2 * @commands + 4;
ok($load && $place, 'how to load the module, and a place');
is(scalar(() = "@sites" =~ /<VirtualHost/g), 3, 'three sites');
cmp_ok(scalar @commands, '>=', 3, 'a command for each');

# As Debian's apache2.conf has it, without what our own test needs not.
lay_out('ports.conf' => "Listen 127.0.0.1:$port\n", 'apache2.conf' => <<"END");
DefaultRuntimeDir "$root/run"
PidFile "$root/run/apache2.pid"
Timeout 300
KeepAlive On
@{[ as_root() ? 'User ' . var('user') . "\nGroup " . var('group') : '' ]}
ErrorLog "$root/log/error.log"
LogLevel warn
IncludeOptional mods-enabled/*.load
IncludeOptional mods-enabled/*.conf
Include ports.conf
ServerName readme.example
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
<Directory "$root/www">
    Options Indexes FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
AccessFileName .htaccess
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
END
lay_out('mods-enabled/0base.load' => qq(Include "@{[ var('httpd_conf') ]}"\n),
    'mods-enabled/pyexec.load' => $load =~ s{\S+/mod_pyexec\.so}{"@{[ var('module_file') ]}"}r,
    # Not installed here.
    'conf-enabled/helper.conf' => "PyExecHelperProgram \"@{[ var('helper_program') ]}\"\n" . var('helper_user') . "\n",
    'sites-enabled/000-default.conf' => "<VirtualHost *:80>\nServerName default.example\n"
        . "DocumentRoot \"$root/www\"\n</VirtualHost>\n",
    'sites-enabled/one.conf' => "<VirtualHost *:80>\nServerName one.example\n$place</VirtualHost>\n",
    'sites-enabled/sites.conf' => join "\n", @sites);
my $said = said_by_test();
like($said, qr/^Syntax OK/m, 'httpd -t is content') or diag($said);
start();
END { local $?; stop() }

for my $command (@commands) {
    my ($typed, $shown) = @$command;
    my ($host) = $typed =~ /Host: (\S+?)'/;

    $typed =~ s{http://127\.0\.0\.1(?::\d+)?/}{http://127.0.0.1:$port/};
    my $got = json_value(`$typed`);
    my $wanted = json_value($shown);

    # How long it took is the only thing that may differ.
    for ($got, $wanted) {
        $_->{execution_time} =~ s/^\d+\.\d{4} seconds$/some seconds/ if ref $_ eq 'HASH' && $_->{execution_time};
    }
    ok($wanted, "$host: README.md shows an answer");
    is_deeply($got, $wanted, '... which is the one that comes');
}
is(request('POST', '/execute', port => $port, host => 'default.example', content => '{}',
           headers => { 'Content-Type' => 'application/json' })->{status}, 404, 'a site that says nothing runs nothing');
is(post_json('/execute', { code => 'print(6 * 7)' }, port => $port, host => 'one.example')->{json}{output}, "42\n",
   'the first place works');
is(post_json('/execute', { code => "import time\ntime.sleep(1)\nwhile True: pass" }, port => $port,
             host => 'a.example')->{status}, 400, 'a.example: what is not in its list');
is(post_json('/execute', { code => 'while True: pass', usage => JSON::PP::true }, port => $port, host => 'a.example')
   ->{json}{usage}{ended_by}, 'time', '... and its time');

# The indented blocks of some chapters, without the indent.
sub blocks
{
    my ($text, $from, $to) = @_;
    my ($chapter) = $text =~ /^## \Q$from\E\n(.*?)^## \Q$to\E$/ms or die "no chapter $from";

    return map { s/^ {4}//mgr } $chapter =~ /((?:^ {4}[^\n]*\n)+)/mg;
}

sub lay_out
{
    my %files = @_;

    for my $name (sort keys %files) {
        File::Path::make_path(File::Basename::dirname("$root/$name"), map { "$root/$_" } qw(run log www));
        open my $out, '>', "$root/$name" or die "$name: $!";
        # Of all that README.md says the port alone cannot be had.
        print $out $files{$name} =~ s/<VirtualHost \*:80>/<VirtualHost *:$port>/gr;
        close $out or die;
    }
    return;
}

sub said_by_test
{
    my $child = open my $pipe, '-|';

    defined $child or die "fork: $!";
    if (!$child) {
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        exec_httpd([], '-d', "$root", '-f', 'apache2.conf', '-t');
    }
    return join '', <$pipe>;
}

sub start
{
    my $up;

    $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        exec_httpd([], '-d', "$root", '-f', 'apache2.conf', '-D', 'FOREGROUND');
    }
    $up = wait_for(sub { request('GET', '/', port => $port)->{status} != 599 }, 30);
    diag(PyExec::Test::slurp("$root/log/error.log") // 'no log') unless $up;
    return;
}

sub stop
{
    return unless $pid;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    kill 'KILL', -$pid;
    undef $pid;
    return;
}
