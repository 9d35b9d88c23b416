# SPDX-License-Identifier: Apache-2.0
# Runs find the packages that are current when they begin, whoever made them so:
# here the test itself, as another server with the same directory would. What is
# read is read at every level of isolation, and no run is refused meanwhile.
use strict;
use warnings FATAL => 'all';
use File::Basename ();
use File::Path ();
use File::Temp ();
use Time::HiRes qw(sleep);
use PyExec::Metrics;
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

my $dir = helper_dir();
my ($uid) = (stat "$dir")[4];
my $preload = 'asyncio ctypes decimal email.message pydoc sqlite3 ssl unittest.mock urllib.request xml.dom.minidom';
my $last = 0;
my $site = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');

chmod 0755, $site or die;
mkdir "$site/common" or die;
put("$site/common/ours.py", "PART = 'ours'\n");
put("$site/asks.py", "import common.ours\n");
install();

# What is there at the beginning is waited for: health is that of all pools. One
# with a single zygote has nothing else to serve a run.
my $server = own_server("<Location \"/health\">\nPyExecMetrics On\n</Location>\n" . join '', map { <<"END" } qw(full restricted));
<PyExecPool $_>
    PyExecEnvironment "$dir"
    PyExecIsolation $_
    PyExecSitePackages "$site"
    PyExecPreload $preload asks
</PyExecPool>
<PyExecPool single-$_>
    PyExecEnvironment "$dir"
    PyExecIsolation $_
    PyExecPreload none
    PyExecConcurrency 3
    PyExecQueueTimeout 500ms
</PyExecPool>
<Macro PyExecEnvironmentOf \$pool>
    <Location "/\$pool">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect code
        PyExecPool \$pool
        PyExecTimeout 60s
        PyExecImports *
    </Location>
</Macro>
Use PyExecEnvironmentOf $_
Use PyExecEnvironmentOf single-$_
UndefMacro PyExecEnvironmentOf
<Location "/$_-packages">
    SetHandler pyexec-packages
    PyExecEngine On
    PyExecPool $_
</Location>
END
END {
    local $?;
    $server->{stop}->() if $server;
}
my @port = (port => $server->{port});

for my $level (qw(full restricted)) {
    is(has("/$_"), $last, "$_: found") for $level, "single-$level";
    beside_a_run("single-$level");
}
pythons_own_names();
parts_of_a_package();
after_a_long_start();
done_testing();

# Of a module of one line and other files, with all rights of who would: in one
# step.
sub install
{
    my %files = ('mine.py' => sprintf("NUMBER = %d\n", ++$last), @_);
    my $name = sprintf '%06d', $last;

    for my $file (sort keys %files) {
        my $path = "$dir/$name/$file";

        File::Path::make_path(File::Basename::dirname($path));
        put($path, $files{$file});
    }
    chown $uid, -1, "$dir/$name" or die;
    symlink $name, "$dir/next" or die;
    rename "$dir/next", "$dir/current" or die;
    return;
}

sub put
{
    my ($path, $text) = @_;

    open my $out, '>', $path or die "$path: $!";
    print $out $text;
    close $out or die;
    return;
}

sub has
{
    my $answer = run_code($_[0], "import mine\nprint(mine.NUMBER)", @port);

    return $answer->{output} =~ s/\n//r if ($answer->{output} // '') ne '';
    return json_text($answer);
}

# What waits for another zygote waits for no place: PyExecQueueTimeout is not
# what ends that, also while a run goes on with what it had.
sub beside_a_run
{
    my ($pool) = @_;
    my $had = $last;
    my $run = meanwhile(sub {
        my $script = "print('begun')\nimport time\ntime.sleep(5)\nimport mine\nprint(mine.NUMBER)";

        return run_code("/$pool", $script, @port)->{output};
    });

    ok(wait_for(sub { metrics($server->{port})->{ series('pyexec_running', pool => $pool) } }, 10),
       "$pool: a run goes on") or return;
    for my $round (1 .. 3) {
        my ($zygote, $waits) = stopped_while_starting(1, sub { return has("/$pool") });

        ok($zygote, "$pool: other packages, round $round: another zygote begins") or return;
        sleep 0.8; # of the 500 ms
        kill 'CONT', $zygote;
        is($waits->(), $last, '... and is waited for');
    }
    is($run->(), "begun\n$had\n", '... a run that goes on keeps what it had');
    return;
}

# The standard library looks for modules that are nowhere on this system. A
# package that has one would run in scripts that never asked for it, and tell
# for us what is installed. More names than are looked at do not hide it.
sub pythons_own_names
{
    my $ran = "import sys\nsys.taken = getattr(sys, 'taken', []) + [__name__]\n"
        . "if 'importlib.metadata' in sys.modules: raise SystemExit('nothing is installed')\n";
    my $script = "import copy, getpass, mimetypes, ntpath, pathlib, pickle, shutil, sys, urllib.request\n"
        . "import org.mine\nprint(getattr(sys, 'taken', []))\nimport _winapi";

    install((map { ("$_.py" => $ran) } qw(_scproxy _winapi msvcrt nt time winreg org/python/core)),
            'org/mine.py' => '', (map { ("A$_.py" => '') } 1 .. 10_000),
            'mine-1.0.dist-info/METADATA' => "Name: mine\nVersion: 1.0\n");
    for my $pool (qw(full restricted)) {
        my $answer = run_code("/$pool", $script, @port);
        my $listed = request('GET', "/$pool-packages", @port);

        is($answer->{output}, "[]\n", "$pool: nothing that Python itself would find there is run") or diag(json_text($answer));
        like($answer->{error}, qr/^(?:ModuleNotFound|Import)Error: .*_winapi/m, '... or can be imported');
        is_deeply($listed->{json}, { packages => [{ name => 'mine', version => '1.0' }] }, '... by what lists packages, either')
            or diag($listed->{body});
    }
    return;
}

# One that has parts in several directories (a namespace). That something of the
# kind is installed does not keep the administrator's from being preloaded.
sub parts_of_a_package
{
    my $preloaded = "import sys\nprint('asks' in sys.modules)\nimport asks";
    my $both = "import asks, common.ours, common.theirs\nprint(common.ours.PART, common.theirs.PART)";

    install('common/theirs.py' => "PART = 'theirs'\n");
    for my $pool (qw(full restricted)) {
        my $answer;

        is(has("/$pool"), $last, "$pool: a part of a package");
        ok(wait_for(sub { run_code("/$pool", $preloaded, @port)->{output} eq "True\n" }, 20), '... of which another is preloaded');
        $answer = run_code("/$pool", $both, @port);
        is($answer->{output}, "ours theirs\n", '... and both are there') or diag(json_text($answer));
    }
    return;
}

# Who has waited for a zygote waits for a place from then on, as long as any.
sub after_a_long_start
{
    $server->{stop}->();
    install();
    $server = own_server(<<"END");
<PyExecPool single>
    PyExecEnvironment "$dir"
    PyExecPreload none
    PyExecConcurrency 1
    PyExecQueueTimeout 3s
</PyExecPool>
<Location "/single">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect code
    PyExecPool single
    PyExecImports *
</Location>
END
    @port = (port => $server->{port});
    is(has('/single'), $last, 'single: found');
    my ($zygote, @runs) = stopped_while_starting(2, \&slow_run);

    ok($zygote, '... another zygote begins') or return;
    sleep 2.5; # of the 3 s
    kill 'CONT', $zygote;
    is(join('', map { $_->() } @runs), "$last\n$last\n",
       '... and after a start of two seconds both runs have their turn');
    return;
}

# A zygote that is stopped before it is up, and so many runs that wait for it;
# each a function that waits and returns what $run does. One that was up before
# it could be stopped is of no use.
sub stopped_while_starting
{
    my ($count, $run) = @_;
    my $keeper = keeper($server->{pid});

    for (1 .. 20) {
        my %had = map { $_ => 1 } zygotes($server->{pid});
        my ($zygote, @runs);

        install();
        @runs = map { meanwhile($run) } 1 .. $count;
        for (my $end = time + 20; !$zygote && time < $end;) {
            ($zygote) = grep { !$had{$_} } children($keeper);
        }
        last if !$zygote;
        kill 'STOP', $zygote;
        sleep 0.3;
        return ($zygote, @runs) if error_log($server) !~ /zygote $zygote \([^)]*\) is up/;
        kill 'CONT', $zygote;
        $_->() for @runs;
    }
    return;
}

sub slow_run
{
    my $answer = run_code('/single', "import time, mine\ntime.sleep(1.5)\nprint(mine.NUMBER)", @port);

    return $answer->{output} // json_text($answer);
}

sub children
{
    open my $in, '<', "/proc/$_[0]/task/$_[0]/children" or die "children: $!";
    local $/ = undef;
    return split ' ', <$in> // '';
}
