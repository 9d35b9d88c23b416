# SPDX-License-Identifier: Apache-2.0
# Directories of the administrator's own modules: importable and readable at
# both levels, for the runs of their pool alone; nothing in them is executed
# that was not asked for; and those that would open a hole are refused.
use strict;
use warnings FATAL => 'all';
use File::Path qw(make_path);
use File::Temp ();
use PyExec::Config;
use PyExec::Test;
use Test::More;

my $top = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $site = "$top/venv/lib/site-packages";
my $other = "$top/more/modules";

sub put
{
    my ($file, $text) = @_;

    make_path($file =~ s{/[^/]+\z}{}r, { mode => 0755 });
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out or die;
    return;
}

umask 022;
chmod 0755, $top or die;
put("$top/secret", "secret\n");
put("$site/ours.py", "import json\nNAME = 'ours'\n");
put("$site/pack/__init__.py", "from . import inner\n");
put("$site/pack/inner.py", "VALUE = 42\n");
put("$site/shlex.py", "TAKEN = 1\n");
put("$site/requests.py", "TAKEN = 1\n");
# What modules of the standard library look for on other systems.
put("$site/org/__init__.py", "import sys; sys.org_was_executed = 1\n");
put("$site/msvcrt.py", "import sys; sys.org_was_executed = 1\nraise ImportError\n");
put("$site/evil.pth", "import sys; sys.pth_was_executed = 1\n$top/more\n");
put("$site/sitecustomize.py", "import sys; sys.site_was_executed = 1\n");
put("$site/usercustomize.py", "import sys; sys.site_was_executed = 1\n");
put("$other/ours.py", "NAME = 'the second'\n");
put("$other/only.py", "NAME = 'only'\n");
symlink "$top/secret", "$site/leak" or die;
symlink '/etc', "$site/etc" or die;
symlink "$top/venv", "$top/current" or die;
# Below a directory that no root of ours has otherwise.
my $home = as_root() && -d '/home'
    ? File::Temp->newdir('pyxXXXXX', DIR => '/home') : undef;

if ($home) {
    chmod 0755, $home or die;
    put("$home/modules/ours.py", "NAME = 'at home'\n");
}
my $dirs = qq("$top/current/lib/site-packages" "$other");


sub place
{
    my ($path, $pool, $more) = @_;

    return <<"END";
<Location "$path">
    SetHandler pyexec
    PyExecEngine On
    PyExecPool $pool
    $more
</Location>
END
}

sub health
{
    return "<Location /health-$_[0]>\nSetHandler pyexec-health\nPyExecEngine On\n"
        . "PyExecPool $_[0]\n</Location>\n";
}

sub pool { return "<PyExecPool $_[0]>\nPyExecPreload none\n$_[1]\n</PyExecPool>\n" }

# Where nothing runs, runs wait for that long.
my $soon = "PyExecQueueTimeout 3\n";
my $server = own_server("PyExecSitePackages $dirs\n$soon"
    . pool('full', '')
    . pool('none', 'PyExecSitePackages none')
    . pool('loaded', 'PyExecPreload ours requests')
    . pool('standard', 'PyExecPreload copy subprocess')
    . join('', map { place("/$_", $_, 'PyExecPolicy Off') } qw(full none loaded standard))
    . ($home ? pool('home', "PyExecSitePackages \"$home/modules\"")
             . place('/home', 'home', 'PyExecPolicy Off') : '')
    . join('', map { health($_) } qw(full none))
    . place('/strict', 'full', '')
    . place('/allowed', 'full', 'PyExecImports +ours'));
END { $server->{stop}->() if $server }
# Its helper seems to have no user namespaces, so that restricted is what is
# reached.
my $low = own_server("PyExecSitePackages $dirs\nPyExecPreload none\n$soon"
    . "PyExecIsolation restricted\n" . pool('low', '')
    . place('/low', 'low', 'PyExecPolicy Off'), hide => ['userns']);
END { $low->{stop}->() if $low }

sub said
{
    my ($where, $code) = @_;
    my $at = $where eq 'low' ? $low : $server;
    my $got = run_code("/$where", $code, port => $at->{port});

    return ($got->{output} // '') . (($got->{error} // '') =~ s/.*\n(?=.)//sr);
}

# A directory that anybody but a script may read.
my ($in_etc) = map { s{.*/}{}r } grep { -d && ((stat)[2] & 05) == 05 && !m{/(?:ssl|alternatives)$} } glob '/etc/*';
# What a script sees: name, source, what it prints; at every level.
my @seen = (
    ['a module', "import ours\nprint(ours.NAME, ours.__file__)",
     "ours $site/ours.py\n"],
    ['a package', "import pack\nprint(pack.inner.VALUE)", "42\n"],
    ['the first directory goes first, the second is there, too',
     "import only\nprint(only.NAME)", "only\n"],
    ['the standard library goes before', "import shlex\nprint(hasattr(shlex, 'TAKEN'))",
     "False\n"],
    ['what is packaged goes behind', "import requests\nprint(hasattr(requests, 'TAKEN'))",
     "True\n"],
    ['no .pth file was executed',
     "import sys\nprint(hasattr(sys, 'pth_was_executed'), '$top/more' in sys.path)",
     "False False\n"],
    ['nor sitecustomize', "import sys\nprint(hasattr(sys, 'site_was_executed'))",
     "False\n"],
    ['nothing beside them is to be read', "open('$top/secret')", qr/PermissionError|FileNotFoundError/],
    ['nor through a link that lies in them', "open('$site/leak')", qr/PermissionError|FileNotFoundError/],
    ['nor the list of a directory', "import os\nos.listdir('$site/etc/$in_etc')",
     qr/PermissionError|FileNotFoundError/],
    ['nothing in them can be written', "open('$site/ours.py', 'a')",
     qr/PermissionError|OSError/],
    ['... or made', "open('$site/new.py', 'x')", qr/PermissionError|OSError/],
);
my $deny = 'scripts could read far more there than modules';
# Directories that are refused: how it is written, why.
my @refused = (
    ['/', $deny], ['/usr', $deny], ['/srv', $deny], ['/home', $deny],
    ['/usr/lib', $deny], ['/usr/../usr/bin/..', $deny], ['/var/lib', $deny],
    ['/proc/self', 'nothing in /proc is for scripts'],
    ['/proc/1/root', qr{nothing in /proc|far more|Permission|No such}],
    ['/sys/kernel', 'nothing in /sys is for scripts'],
    ['/dev/shm', 'nothing in /dev is for scripts'],
    ['/etc/ssl', 'nothing in /etc is for scripts'],
    ['/var/log', 'nothing in /var/log is for scripts'],
    ["$top/nowhere", 'No such file or directory'],
    ["$site/ours.py", 'it is not a directory'],
    ["$site/etc", 'nothing in /etc is for scripts'],
    ["$top/open/site", "everyone may write in $top/open"],
    ["$top/sticky", "everyone may write in $top/sticky"],
    ["$top/closed/site", as_root() ? qr{PYX0032: .*\Q$top\E/closed/site' cannot be used: the helper's user \(uid \d+\) may not read it}
                                   : 'Permission denied'],
);
make_path("$top/open/site", "$top/sticky", "$top/closed/site");
chmod 0777, "$top/open" or die;
chmod 01777, "$top/sticky" or die;
chmod 0700, "$top/closed" or die;
chmod as_root() ? 0700 : 0000, "$top/closed" or die;
END { chmod 0700, "$top/closed" if $top }

plan tests => 2 * @seen + @refused + 19;

for my $where (qw(full low)) {
    for my $case (@seen) {
        my ($name, $code, $want) = @$case;
        my $got = said($where, $code);

        ref $want ? like($got, $want, "$where: $name")
            : is($got, $want, "$where: $name");
    }
}

SKIP: {
    skip 'only root can make something in /home', 2 unless $home;
    is(said('home', "import ours\nprint(ours.NAME)"), "at home\n",
       'a directory in /home');
    is(said('home', "import os\nprint(os.listdir('/home'))"),
       "['" . ($home =~ s{.*/}{}r) . "']\n", '... is all that is seen of it');
}

# ---- whose they are ----

like(said('none', 'import ours'), qr/No module named 'ours'/,
     'a pool without them has none of it');
like(said('none', "open('$site/ours.py')"), qr/FileNotFoundError|PermissionError/,
     '... and cannot read it');
# The import is what the helper chooses the warm interpreter by, if there is one
# by now.
sub says_once_warm
{
    my ($where, $code, $wanted) = @_;
    my $said;

    wait_for(sub { ($said = said($where, $code)) eq $wanted }, 20);
    return $said;
}
is(says_once_warm('loaded', "import sys\nprint('ours' in sys.modules, "
        . "hasattr(sys.modules.get('requests'), 'TAKEN'))\n"
        . "import ours, requests", "True True\n"), "True True\n",
   'they can be preloaded');
is(says_once_warm('standard', "import sys\nprint({'copy', 'subprocess'} <= set(sys.modules), "
        . "hasattr(sys, 'org_was_executed'))\nimport copy, subprocess", "True False\n"),
   "True False\n", 'nothing is loaded with modules of the standard library');
like(post_json('/strict', { code => 'import ours' }, port => $server->{port})
         ->{body}, qr/ours/, 'what may be imported is the policy\'s business');
is(post_json('/strict', { code => 'import ours' }, port => $server->{port})
       ->{status}, 400, '... which has to name it');
is(run_code('/allowed', "import ours\nprint(ours.NAME)", port => $server->{port})
       ->{output}, "ours\n", '... as PyExecImports does');
like(config_test("PyExecSitePackages \"$other\"\nPyExecEngine On\n",
                 define => 'DUMP_PYEXEC')->{output},
     qr/^ +PyExecSitePackages +\Q$other\E +FILE:1$/m, 'the dump tells');

# ---- a name that means something else later ----

rename "$top/venv/lib", "$top/venv/lib.old" or die;
put("$top/elsewhere/site-packages/ours.py", "NAME = 'swapped'\n");
symlink "$top/elsewhere", "$top/venv/lib" or die;
for my $at ($server, $low) {
    my $pool = $at == $server ? 'full' : 'low';

    kill 'KILL', zygotes($at->{pid});
    ok(wait_for(sub {
        PyExec::Test::error_log($at)
            =~ /PYX0450: .*cannot let runs read "\Q$site\E" \(PyExecSitePackages, PyExecEnvironment\)/;
    }, 15), "$pool: a link in the place of a directory is not followed");
    is(post_json("/$pool", { code => 'import ours' }, port => $at->{port})
           ->{status}, 503, '... and nothing runs');
}
is(request('GET', '/health-full', port => $server->{port})->{status}, 503,
   'its health says so');
ok(wait_for(sub {
    request('GET', '/health-none', port => $server->{port})->{status} == 200;
}, 20), '... and that of a pool without the directory does not');
unlink "$top/venv/lib" or die;
rename "$top/venv/lib.old", "$top/venv/lib" or die;

# ---- mistakes ----

for my $case (@refused) {
    my ($path, $why) = @$case;
    my $got = config_test("PyExecSitePackages \"$path\"\nPyExecEngine On\n")->{output};

    like($got, ref $why ? $why : qr/PYX0032: FILE:1: PyExecSitePackages: '\Q$path\E'[^\n]* cannot be used: \Q$why\E/,
         "$path is refused");
}
like(config_test("PyExecSitePackages relative\n")->{output},
     qr/'relative' is not the absolute path of a directory/, 'a relative name');
like(config_test("PyExecSitePackages\n")->{output}, qr/directories are missing/,
     'no name');
my $long = "$top/" . 'x' x 200;
mkdir $long or die;
like(config_test('PyExecSitePackages ' . join(' ', map { "\"$long\"" } 1 .. 11)
                 . "\nPyExecEngine On\n")->{output},
     qr/the names are longer than 2048 bytes together/, 'too many names');
