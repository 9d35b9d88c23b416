# SPDX-License-Identifier: Apache-2.0
# Where packages are built (PyExecInstallSource), their own code runs beside pip.
# It has what a run has and two directories in memory; whatever it does there,
# the environment is as it was, or has files and directories that were taken over
# when nobody was left to change them.
use strict;
use warnings FATAL => 'all';
use File::Find ();
use PyExec::Index;
use PyExec::Test;
use Test::More;

my $env = helper_dir();
my $index = index_make('inside.py', "$env");

my $server = own_server(index_modules() . index_served($index) . <<"END");
PyExecPreload none
<PyExecPool built>
    PyExecEnvironment "$env"
    PyExecInstall On
    PyExecInstallSource On
    PyExecInstallIndex $index->{url}
    PyExecInstallSize 8M
    PyExecInstallTimeout 60s
    PyExecNetwork proxy=127.0.0.1:$index->{proxy}
</PyExecPool>
<Macro PyExecWay \$name \$dialect>
    <Location "/\$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect \$dialect
        PyExecPool built
        PyExecImports *
    </Location>
</Macro>
Use PyExecWay install run
Use PyExecWay code code
END
END {
    local $?;
    $server->{stop}->() if $server;
}
my @port = (port => $server->{port});

sub pip
{
    my ($pip, %more) = @_;

    return post_json('/install', { script => '', pip => $pip, %more }, @port)->{json} // {};
}
sub install { my ($name, %more) = @_; return pip("-i $name", %more) }

sub found { return run_code('/code', "import json, $_[0]\nprint(json.dumps($_[0].FOUND))", @port) }

# What there is of the environment: its current generation, with modes and times.
sub state_of_env
{
    my $current = readlink "$env/current";
    my @found = "current $current";

    File::Find::find({ no_chdir => 1, wanted => sub {
        my ($mode, $size, $time) = (lstat $_)[2, 7, 9];

        push @found, sprintf('%06o %s %s', $mode, -d _ ? '-' : "$size $time", $_ =~ s{^\Q$env\E/}{}r);
    } }, "$env/$current");
    return join "\n", sort @found;
}

# The programs that pip has started.
sub left_behind
{
    return join ' ', grep { !/^(?:apache2|httpd|pyexecd|pyexec-zygote)$/ } map { $_->{Name} } descendants($server->{pid});
}

# Whether they would be seen.
sub is_seen_while_it_runs
{
    my ($name) = @_;
    my $body = json_text({ script => '', pip => "-i $name", timeout => 10 });
    my $socket = raw_open(@port);

    print $socket "POST /install HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        . "Connection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    ok(wait_for(sub { left_behind() =~ /python/ }, 30), "$name: its program is seen");
    close $socket;
    ok(wait_for(sub { left_behind() eq '' }, 30), '... until its client has left');
    return;
}

# ---- honest, and what a hostile one meets ----

is_deeply(install('honest'), { result => 'Library Installation Successfully' }, 'one that is built');
is(found('honest')->{output}, qq("nothing"\n), '... by its own code');
# With the last file pip takes away the directory itself.
is_deeply(pip('-u honest'), { result => 'Library Uninstallation Successfully' }, '... that is uninstalled, the last');
like(found('honest')->{error}, qr/No module named 'honest'/, '... is gone');
is_deeply(install('honest'), { result => 'Library Installation Successfully' }, '... and comes back');
is_deeply(install('probes'), { result => 'Library Installation Successfully' }, 'one that tries doors');

my $probes = json_value(found('probes')->{output} || '{}');
my $no = qr/^(?:EPERM|EACCES|EROFS|ENOENT|PermissionError)$/;
my %expected = (
    'write the temporary directory' => qr/^did /, 'write the packages' => qr/^did /,
    'write above them' => qr/^EROFS$/, 'write the root' => qr/^EROFS$/,
    'write the library' => $no, 'see the directory' => qr/^did \['0{5}\d'\]$/,
    'write the directory' => qr/^EROFS$/, 'replace the link' => qr/^EPERM$/,
    'write a generation' => qr/^(?:EROFS|EACCES)$/, 'make a link' => qr/^EPERM$/,
    'make a link by descriptor' => qr/^EACCES$/, 'make a hard link' => qr/^EPERM$/,
    'make a fifo' => qr/^EPERM$/, 'make a device' => qr/^EPERM$/,
    'make a nameless file' => qr/^EPERM$/, 'set attributes' => qr/^EPERM$/,
    'own a file' => qr/^EPERM$/, 'execute its own file' => qr/^EACCES$/,
    'execute a program' => qr/^did b'uid=65534/, 'reach another port' => $no,
    'reach the proxy' => qr/^did /, 'listen' => qr/^EPERM$/, 'send datagrams' => qr/^EPERM$/,
    'see processes' => qr/^ENOENT$/, 'signal PID 1' => qr/^(?:did None|EPERM)$/, 'mount' => qr/^EPERM$/,
    'make a namespace' => qr/^EPERM$/, 'make memory files' => qr/^EPERM$/,
    'accounts' => qr/^1$/,
);

for my $name (sort keys %expected) {
    like($probes->{$name} // 'not tried', $expected{$name}, "from inside: $name");
}
like(join(' ', @{ $probes->{root} // [] }), qr/^(?:bin )?dev etc lib (?:lib64 )?(?:opt )?sandbox tmp usr$/,
     'from inside: the root is the sandbox\'s');

# ---- what it leaves behind ----

my $before = state_of_env();

is_seen_while_it_runs('loops');
unlike($before, qr/^(?!100644|040755|current)/m, 'files and directories, with modes of ours');
for my $case (
    # pip shows no more of what a build says.
    [fills => qr/failed/], [inodes => qr/failed/],
    [deep => qr/not taken over: their directories are too deep/], [kills => qr/ended by signal 9/],
    [removes => qr{Errno.*/sandbox/environment/packages}], [exits => qr/ended by signal 15/],
    # Whoever holds pip's pipe keeps it waiting.
    [forks => qr/timed out/, timeout => 6], [loops => qr/timed out/, timeout => 4],
) {
    my ($name, $says, @more) = @$case;
    my $answer = install($name, @more);

    is(join(' ', keys %$answer), 'error', "$name: fails");
    like($answer->{error} // '', $says, '... for a reason');
    is(state_of_env(), $before, '... all is as it was');
    is(left_behind(), '', '... and nobody is left');
}

is_deeply(install('lingers'), { result => 'Library Installation Successfully' }, 'one that leaves a process behind');
my $after = state_of_env();

is(found('lingers')->{output}, qq("left one behind"\n), '... is installed');
is(left_behind(), '', '... nobody is left');
is(state_of_env(), $after, '... and nobody writes what was taken over');

my $shuts = install('shuts');

like($shuts->{error} // '', qr/not taken over: .*Permission denied/, 'one that shuts a directory: not taken');
is(state_of_env(), $after, '... and all is as it was');
is_deeply(install('honest'), { result => 'Library Installation Successfully' }, 'after all that the honest one is there');
is(found('honest')->{output}, qq("nothing"\n), '... as before');
unlike(error_log($server), qr/PYX0451|PYX0363/, 'no zygote was given up');
done_testing();
