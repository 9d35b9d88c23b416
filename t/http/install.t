# SPDX-License-Identifier: Apache-2.0
# Clients install packages: README.md's own configuration, with an index (PEP
# 503) that httpd serves on loopback and a proxy made of conf/egress.conf. What a
# package brings is there for the runs of its directory and nowhere else, runs
# nothing by itself, and what fails changes nothing.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha1);
use File::Find ();
use IO::Socket::INET ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use PyExec::Egress;
use PyExec::Index;
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

once_only(); # as another user: install_inside.t and environment.t

my $source = var('locations') =~ s{/conf/locations\.conf$}{}r;
my $readme = PyExec::Test::slurp("$source/README.md");
my ($chapter) = $readme =~ /^## Let clients install packages\n(.*?)^## /ms or die 'no chapter';
my ($from_readme) = map { s/^ {4}//mgr } $chapter =~ /((?:^ {4}[^\n]*\n)+)/m;
my ($typed, $shown) = $chapter =~ /^ {4}curl .* -d '(.*?)' .*\n\n {4}(\{.*)$/m;
my $index = index_make('packages.py');
my $www = $index->{www};
my $files = $index->{port};
my $out = $index->{proxy};
my %env = map { $_ => helper_dir() } qw(main small denied slow built named);
my ($closed, $silent, $named) = map { PyExec::Test::free_port() } 1 .. 3;
my $hung = silence($silent);
END {
    local $?;
    kill 'KILL', $hung if $hung;
}

open my $users, '>', "$www/users" or die;
print $users 'admin:{SHA}', encode_base64(sha1('pass'), ''), "\n";
close $users or die;
chmod 0644, "$www/users" or die;

# README.md's lines or a file of conf with other values: each must be there.
sub changed
{
    my ($text, @changes) = @_;

    while (my ($what, $by) = splice @changes, 0, 2) {
        die "there is no '$what'" unless $text =~ s/\Q$what\E/$by/g;
    }
    return $text;
}

# Accepts, and says nothing.
sub silence
{
    my ($port) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
                                         Listen => 64, ReuseAddr => 1) or die "listen: $!";
    my $parent = $$;
    my $pid = fork // die "fork: $!";

    return $pid if $pid;
    $SIG{ALRM} = sub { POSIX::_exit(0) if getppid() != $parent; alarm 1 };
    alarm 1;
    my @held;
    while (1) {
        my $client = $listener->accept or next;
        push @held, $client;
    }
}

# A pool that installs, and its place.
sub installing
{
    my ($name, $more) = @_;

    return <<"END";
<PyExecPool $name>
    PyExecEnvironment "$env{$name}"
    PyExecInstall On
    PyExecNetwork proxy=127.0.0.1:$out
    $more
</PyExecPool>
<Location "/$name">
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect run
    PyExecPool $name
    PyExecImports +environment
</Location>
<Location "/$name-packages">
    SetHandler pyexec-packages
    PyExecEngine On
    PyExecPool $name
</Location>
END
}

my $server = own_server(index_modules(qw(auth_basic authn_core authn_file authz_user))
    # Installing is as slow as the machine is busy.
    . "PyExecInstallIndex $index->{url}\nPyExecInstallTimeout 120s\nPyExecPreload none\n"
    . changed($from_readme, '/var/lib/pyexec/science' => $env{main},
              'proxy=127.0.0.1:3128' => "proxy=127.0.0.1:$out",
              '/etc/apache2/packages.users' => "$www/users")
    . installing('small', 'PyExecInstallSize 1M')
    . installing('denied', "PyExecNetwork proxy=127.0.0.1:$closed")
    . installing('slow', "PyExecInstallIndex http://localhost:$silent/simple/\nPyExecInstallTimeout 3s")
    . installing('built', 'PyExecInstallSource On')
    . installing('named', "PyExecInstallIndex HTTP://index.example:$files/simple/\nPyExecNetwork proxy=127.0.0.1:$named")
    . index_served($index, plain => [$silent])
    . egress_proxy(port => $closed, tls => $index->{tls}, files => $silent, addresses => '127.0.0.1', log => 'closed_log')
    . <<"END");
# Knows an index by a name that is not this machine's.
Listen 127.0.0.1:$named
<VirtualHost 127.0.0.1:$named>
    ServerName named.invalid
    ProxyRequests On
    ProxyRemote "http://index.example:$files/" "http://127.0.0.1:$files"
    CustomLog named_log "%r"
</VirtualHost>
<Macro PyExecCode \$name \$pool \$imports>
    <Location "/\$name">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect code
        PyExecTimeout 20s
        PyExecPool \$pool
        PyExecImports \$imports
    </Location>
</Macro>
Use PyExecCode open science +environment
Use PyExecCode shut science "-shlex"
Use PyExecCode any science *
Use PyExecCode elsewhere small *
Use PyExecCode waits science-admin *
<Location "/waits">
    PyExecTimeout 60s
</Location>
END
END {
    local $?;
    $server->{stop}->() if $server;
}
my @port = (port => $server->{port});
my $admin = 'Basic ' . encode_base64('admin:pass', '');

as_readme_says();
versions();
several();
failures();
hostile();
no_option();
removal();
in_use();
many_at_once();
under_load();
limits();
sources();
done_testing();

# ---- helpers ----

sub ask
{
    my ($pip, $where, %more) = @_;

    $where ||= '/admin/execute';
    return post_json($where, { script => '', pip => $pip, %more }, @port,
                     headers => { Authorization => $admin });
}

sub log_end
{
    my @lines = split /^/, error_log($server);

    return join '', splice @lines, @lines > 30 ? -30 : 0;
}

# A request's line is written when it is over for httpd, after its answer.
sub is_logged
{
    my ($name, $pattern) = @_;

    return wait_for(sub { (PyExec::Test::slurp("$server->{dir}/$name") // '') =~ $pattern }, 10);
}

sub installed_well
{
    my ($pip, $name, $where) = @_;
    my $answer = ask($pip, $where);
    my $word = $pip =~ /-u/ ? 'Uninstallation' : 'Installation';

    is_deeply([$answer->{status}, $answer->{json}], [200, { result => "Library $word Successfully" }],
              $name // $pip)
        or diag(json_text($answer), log_end());
    return;
}

sub fails
{
    my ($pip, $says, $where, $name) = @_;
    my $before = listed($where);
    my $answer = ask($pip, $where);

    $name //= $pip;
    is($answer->{status}, 200, "$name: fails");
    is(join(' ', keys %{ $answer->{json} // {} }), 'error', '... with nothing but a reason');
    like($answer->{json}{error} // '', $says, '... which is pip\'s own');
    cmp_ok(length $answer->{json}{error} // '', '<', 2010, '... and short');
    is(listed($where), $before, '... and all is as it was');
    return;
}

# "name version, …" of the packages that a place lists.
sub listed
{
    my ($where) = @_;
    my $path = !$where || $where eq '/admin/execute' ? '/execute/packages' : "$where-packages";
    my $answer = request('GET', $path, @port);

    return "status $answer->{status}: $answer->{body}" if $answer->{status} != 200;
    return join ', ', map { "$_->{name} $_->{version}" } @{ $answer->{json}{packages} };
}

sub says
{
    my ($script, $where) = @_;
    my $answer = post_json($where || '/execute', { script => $script }, @port);

    return $answer->{json}{result} // "status $answer->{status}: " . ($answer->{json}{error} // $answer->{body});
}

# Files of all directories, by what is below them.
sub found
{
    my ($pattern) = @_;
    my @found;

    File::Find::find({ no_chdir => 1, wanted => sub { push @found, $_ if $_ =~ $pattern } },
                     map { "$_" } values %env);
    return join ' ', @found;
}

# ---- what it is for ----

sub as_readme_says
{
    my $answer;

    is(listed(), '', 'at first there is nothing');
    like(says('import humanize'), qr/No module named 'humanize'/, '... to be imported');
    is(post_json('/admin/execute', { pip => '-i demo' }, @port)->{status}, 401, 'no password: 401');
    is(post_json('/execute', { pip => '-i demo' }, @port)->{status}, 403, 'the public place: 403');
    is(-e "$server->{dir}/asked" ? PyExec::Test::slurp("$server->{dir}/asked") : '', '',
       '... and the index was not asked');
    $answer = post_json('/admin/execute', json_value($typed), @port,
                        headers => { Authorization => $admin });
    is($answer->{body}, "$shown\n", 'what README.md types is answered as it says')
        or diag(json_text($answer), error_log($server));
    is(says("import humanize\nprint(humanize.VERSION)"), '4.9.0', '... and can be imported');
    is(request('GET', '/execute/packages', @port)->{body},
       '{"packages": [{"name": "humanize", "version": "4.9.0"}]}' . "\n", '... and is listed');
    like(says('import humanize', '/elsewhere'), qr/status 400|No module named/, '... but not elsewhere');
    is(run_code('/elsewhere', 'import humanize', @port)->{returncode}, 1, '... by no policy');
    is(run_code('/open', "import humanize\nprint(1)", @port)->{output}, "1\n", '+environment: beside a list');
    like(json_text(run_code('/shut', 'import humanize', @port)), qr/Disallowed import: humanize/,
         'without it: refused');
    is(run_code('/any', "import humanize\nprint(humanize.__file__.startswith('$env{main}/'))", @port)->{output},
       "True\n", 'it lies below the directory');
    like(run_code('/any', "import humanize, os\nos.open(humanize.__file__, os.O_WRONLY)", @port)->{error},
         qr/PermissionError|OSError|Read-only/, 'which scripts cannot write');
    ok(is_logged('egress_log', qr{"GET http://localhost:$files/simple/humanize/}), 'the proxy has logged it');
    installed_well('-u humanize', 'uninstalled');
    is(listed(), '', '... and gone');
    like(says('import humanize'), qr/No module named 'humanize'/, '... for scripts, too');
    return;
}

sub versions
{
    installed_well('-i demo==1.0');
    is(says("import demo\nprint(demo.VERSION)"), '1.0', 'a version');
    installed_well('-i demo >= 1.5, <3', 'another one');
    is(says("import demo\nprint(demo.VERSION)"), '2.0', '... replaces it');
    is(listed(), 'demo 2.0', '... and is the only one');
    installed_well('-i demo', 'what is there already');
    installed_well('-i demo==1.0', 'an older one');
    is(says("import demo\nprint(demo.VERSION)"), '1.0', '... as well');
    installed_well('-i DEMO==3.0rc1', 'a pre-release by its name');
    is(listed(), 'demo 3.0rc1', '... is what was asked for');
    installed_well('-u demo');
    return;
}

sub several
{
    installed_well('-i needs', 'what needs another one');
    is(listed(), 'demo 2.0, needs 1.0', '... comes with it');
    installed_well('-u needs demo', 'several at once');
    installed_well('-i extra', 'an extra that is not asked for');
    is(listed(), 'extra 1.0', '... does not come');
    installed_well('-i extra[more]', 'an extra');
    is(listed(), 'demo 2.0, extra 1.0', '... does');
    installed_well('-i pkga pkgb==1.0 pkgc >= 0.5', 'several, with versions and without');
    is(listed(), 'demo 2.0, extra 1.0, pkga 1.0, pkgb 1.0, pkgc 1.0', '... are all there');
    installed_well('-u demo extra pkga pkgb pkgc');
    is(listed(), '', '... and go together');
    installed_well('-i demo==1.0', 'for what follows');
    return;
}

# ---- what fails ----

sub failures
{
    fails('-i nosuch', qr/^ERROR: .*\n?.*No matching distribution found for nosuch/);
    fails('-i demo==9', qr/No matching distribution found for demo==9/);
    fails('-i demo==1.0 demo==2.0', qr/ERROR: /);
    fails('-i pkga nosuch', qr/nosuch/);
    fails('-i lacks', qr/nowhere/);
    fails('-i forged', qr/HASHES.*\n(?:.*\n)*.*Expected sha256 0{64}/);
    fails('-i broken', qr/\A(?!.*No matching distribution)ERROR: .*broken/si);
    fails('-i other', qr/Wheel-Version/);
    fails('-i demo==1.0.x.y', qr/ERROR: /);
    fails('-i demo', qr/No matching distribution/, '/denied', 'an index that the proxy refuses');
    ok(is_logged('closed_log', qr{"GET http://localhost:$files/simple/demo/ .*" 403 }), '... as its log tells');
    installed_well('-i demo==1.0', 'an index without TLS elsewhere', '/named');
    ok(is_logged('named_log', qr{"?GET http://index\.example:$files/simple/demo/ }), '... is asked for');
    is(says("import demo\nprint(demo.VERSION)"), '1.0', 'after all that the old one works');
    return;
}

sub hostile
{
    for my $name (qw(escape deepescape absolute dataescape)) {
        fails("-i $name", qr/\A(?!.*No matching distribution)ERROR: .*$name/s);
    }
    is(found(qr/escape/), '', 'nothing of them is in any directory');
    ok(!-e '/tmp/escaped.py' && !-e '/tmp/escaped', '... or outside');
    installed_well('-i hooks', 'a package with .pth, sitecustomize and scripts');
    is(says("import hooks\nprint(hooks.VERSION)"), '1.0', '... is there');
    is(says('import sys, json; print(hasattr(sys, "pth_was_executed"), hasattr(sys, "site_was_executed"), hasattr(json, "TAKEN"))'),
       'False False False', '... nothing of it was executed, and no module of Python\'s replaced');
    isnt(found(qr{/hooks\b}), '', '... its files can be found');
    is(found(qr{/hooks-(?:run|shell)$|/share/hooks}), '', '... scripts and data files were not taken over');
    is(says("import glob\nprint(*(len(glob.glob('$env{main}/**/' + name, recursive=True)) for name in ('hooks*.dist-info', '*.pth')))"),
       '1 0', '... nor the .pth');
    installed_well('-u hooks');
    is(listed(), 'demo 1.0', '... and is gone from the list');
    # Each is, or brings, what pip comes across whatever it is to do.
    for my $package (qw(pip==99.0 tells unread blocks empties points zeros asks nests lasts compares lists marks)) {
        installed_well($_) for "-i $package", '-i pkga';
        is(says("import pkga\nprint(pkga.VERSION)"), '1.0', '... which is there');
        installed_well('-u pkga ' . $package =~ s/=.*//r);
    }
    # Also where there is nothing else to do.
    for my $package (qw(names asks mails)) {
        installed_well("-i $package");
        like(listed(), qr/\b$package 1\.0/, '... and can be listed');
        installed_well("-i $package");
        is(listed(), join(', ', sort 'demo 1.0', "$package 1.0"), '... and what it brought is not listed');
        installed_well("-u $package");
    }
    # What another one claims to be takes a second time.
    installed_well($_) for '-i claims', '-u demo', '-u demo';
    like(says('import demo'), qr/No module named 'demo'/, '... and is gone');
    is(listed(), 'claims 1.0', '... from the list, too');
    installed_well($_) for '-u claims', '-i demo==1.0';
    return;
}

# Names and versions alone get to pip: each is refused before anything is asked.
sub no_option
{
    my $asked = PyExec::Test::slurp("$server->{dir}/asked");

    for my $pip ('-i --index-url http://127.0.0.1/ demo', '-i demo -r /etc/passwd', '-i -e .',
                 '-i --target=/tmp/x demo', "-i demo @ http://localhost:$files/files/demo-2.0-py3-none-any.whl",
                 "-i http://localhost:$files/files/demo-2.0-py3-none-any.whl", '-i ./demo', '-i /tmp',
                 "-i demo;os_name=='posix'", '-i demo --pre', '-u demo -y', '-u -r x', "-i demo\n--pre",
                 '-i $(id)', '-i `id`', '-i demo#egg=x', 'demo', '-i') {
        my $answer = ask($pip);

        is($answer->{status}, 400, ($pip =~ s/\n/ /gr) . ': 400');
    }
    is(PyExec::Test::slurp("$server->{dir}/asked"), $asked, 'and nobody was asked for any of it');
    return;
}

sub removal
{
    fails('-u nosuch', qr/nosuch.*not installed|not installed.*nosuch/);
    fails('-u pip', qr/pip.*not installed|not installed.*pip/);
    fails('-u numpy', qr/numpy.*not installed|not installed.*numpy/, undef,
          'what is the machine\'s own');
    return;
}

# ---- more than one at a time ----

# A run that goes on has what it began with, also what it imports later.
sub in_use
{
    my $run = meanwhile(sub { run_code('/waits', <<"END", @port)->{output} });
import demo, time, urllib.request
print(demo.VERSION)
def is_there(name):
    try: return urllib.request.urlopen('http://localhost:$files/' + name).status == 200
    except OSError: return False
is_there('begun')
while not is_there('go'): time.sleep(0.1)
import demo.later
print(demo.later.VERSION)
END

    ok(wait_for(sub { PyExec::Test::slurp("$server->{dir}/asked") =~ m{GET /begun } }, 20),
       'a run has begun');
    installed_well('-u demo', 'uninstalled while a run uses it');
    like(says('import demo'), qr/No module named 'demo'/, '... new runs have it no more');
    open my $go, '>', "$www/go" or die;
    close $go or die;
    chmod 0644, "$www/go" or die;
    is($run->(), "1.0\n1.0\n", '... the one that goes on ends with what it had');
    return;
}

sub many_at_once
{
    my @waiting = map { my $name = $_; meanwhile(sub { ask("-i pkg$name")->{body} }) } 'a' .. 'f';

    is(join('', map { $_->() } @waiting),
       join('', ('{"result": "Library Installation Successfully"}' . "\n") x 6), 'six at the same time');
    is(listed(), join(', ', map { "pkg$_ 1.0" } 'a' .. 'f'), '... and none of them lost');
    installed_well('-u pkga pkgb pkgc pkgd pkge pkgf');
    return;
}

sub under_load
{
    my $load = "for number in range(3): pass\nprint('fine')";
    my @clients = map {
        meanwhile(sub {
            my ($bad, $end) = ('', time + 15);

            while (time < $end && $bad eq '') {
                my $answer = run_code('/any', $load, @port);

                $bad = json_text($answer) if ($answer->{output} // '') ne "fine\n";
            }
            return $bad eq '' ? 'fine' : $bad;
        })
    } 1 .. 2;

    for my $round (1 .. 3) {
        installed_well('-i demo==1.0', "under load, round $round");
        is(says("import demo\nprint(demo.VERSION)"), '1.0', '... there at once');
        installed_well('-i demo==2.0', '... another one');
        is(says("import demo\nprint(demo.VERSION)"), '2.0', '... there at once');
    }
    is(join(' ', map { $_->() } @clients), 'fine fine', '... and no run failed');
    return;
}

# ---- limits ----

sub limits
{
    my $took;

    installed_well('-i demo==1.0', 'a small one', '/small');
    fails('-i large', qr/No space left|Connection (?:broken|reset)/, '/small', 'more than PyExecInstallSize');
    fails('-i bomb', qr/No space left/, '/small', 'more than that when it is unpacked');
    installed_well('-i demo==2.0', '... and another small one', '/small');
    is(listed('/small'), 'demo 2.0', '... is what is there');
    is(found(qr/\.bin$/), '', '... and of the large ones nothing');
    $took = seconds(sub { fails('-i demo', qr/timed out after 3 seconds/, '/slow', 'an index that says nothing') });
    cmp_ok($took, '<', 20, '... does not hold anybody up');
    like(ask('-i demo', '/slow', timeout => 1)->{json}{error}, qr/timed out after 1 second/,
         'a client may shorten it');
    is(ask('-i demo==1.0', '/small', usage => \1)->{json}{usage}{ended_by}, 'done', 'usage tells');
    return;
}

sub sources
{
    fails('-i source', qr/No matching distribution found for source/);
    # pip would build what is named by its address all the same; nothing can be
    # started, which that needs.
    fails('-i links', qr/not permitted/, undef, 'one that another names by its address');
    installed_well('-i source', 'a package that is built', '/built');
    is(says("import source\nprint(source.BUILT)", '/built'), 'True', '... is there');
    installed_well('-u source', 'a module alone, and the last one', '/built');
    return;
}
