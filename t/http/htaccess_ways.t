# SPDX-License-Identifier: Apache-2.0
# A hostile .htaccess once more, as a table: every directive of the list in
# every context that httpd has for it, under every AllowOverride; and every way
# to our handlers that other modules give. Nothing is loosened, nothing runs
# where the engine is off. What tightens, and how values join, is htaccess.t's.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Test;
use Test::More;

# [scope, kind, name]
my @directives = do {
    my $text = PyExec::Test::slurp(var('locations') =~ s{conf/locations\.conf$}
        {mod_pyexec/pyexec_directives.h}r) =~ s/\\\n//gr;

    map { [split /\W+/] } $text =~ /\bX\((\w+, \w+, \w+, "PyExec\w+)/g;
};
my %scope = map { $_->[3] => $_->[0] } @directives;
# What each is worth to a tenant: by kind, or by name.
my %worth = (
    FLAG => 'On', BYTES => '16M', MEBIBYTES => '4G', DURATION => 300, PERIOD => 0, COUNT => 64,
    DIALECT => 'run', ORIGIN => '*', LEVEL => 'restricted', PATH => '/bin/true', ACCOUNT => 'root',
    LIST => 'os', POOLNAME => 'shared', TENANT => 'someone-else', IMPORTS => '*', FORBID => 'none',
    HELPER => 'spawn', OWNER => 'root', MODE => '0666', ENV => 'A b', PYTHON => 'first', DIRS => 'none',
    NETWORK => 'proxy=127.0.0.1:3128', DIR => '/srv', URL => 'http://a.example/', EGRESS => 'any', PyExecPolicy => 'Off',
);
my %line = map { $_->[3] => "$_->[3] " . ($worth{ $_->[3] } // $worth{ $_->[1] } // die "kind $_->[1]") }
    @directives;
my @wishes = sort grep { $scope{$_} eq 'WISH' } keys %scope;
my @others = sort grep { $scope{$_} ne 'WISH' } keys %scope;
# httpd itself keeps those of the main server out of AllowOverrideList.
my $listed = join ' ', grep { $scope{$_} !~ /^(?:POOL|GLOBAL)$/ } sort keys %scope;

# Contexts that are open to .htaccess: what stands there is read as elsewhere.
my %open = (
    'plain' => '%s', 'odd case' => '%s',
    '<IfModule>' => "<IfModule pyexec_module>\n%s\n</IfModule>",
    '<IfModule !>' => "<IfModule !no_module>\n%s\n</IfModule>",
    '<IfDefine !>' => "<IfDefine !NOT_DEFINED>\n%s\n</IfDefine>",
    '<IfVersion>' => "<IfVersion >= 2.4>\n%s\n</IfVersion>",
    '<IfDirective>' => "<IfDirective SetHandler>\n%s\n</IfDirective>",
    '<IfFile>' => "<IfFile /etc/passwd>\n%s\n</IfFile>",
    '<If>' => "<If \"true\">\n%s\n</If>",
    '<ElseIf>' => "<If \"false\">\n</If>\n<ElseIf \"true\">\n%s\n</ElseIf>",
    '<Else>' => "<If \"false\">\n</If>\n<Else>\n%s\n</Else>",
    '<If> in <If>' => "<If \"true\">\n<If \"true\">\n%s\n</If>\n</If>",
    '<Files>' => "<Files \"*\">\n%s\n</Files>", '<Files ~>' => "<Files ~ \".\">\n%s\n</Files>",
    '<FilesMatch>' => "<FilesMatch \".\">\n%s\n</FilesMatch>",
    '<If> in <Files>' => "<Files *>\n<If \"true\">\n%s\n</If>\n</Files>",
    '<Macro>' => "<Macro Mine>\n%s\n</Macro>\nUse Mine",
    'in <IfModule> in <IfDefine>' => "<IfDefine !A>\n<IfModule pyexec_module>\n%s\n</IfModule>\n</IfDefine>",
);
# And those where nothing of ours may stand: an error.
my %closed = (
    '<Limit>' => "<Limit POST>\n%s\n</Limit>", '<LimitExcept>' => "<LimitExcept GET>\n%s\n</LimitExcept>",
    (map { ("<Require$_>" => "<Require$_>\nRequire all granted\n%s\n</Require$_>") } 'All', 'Any', 'None'),
    '<Limit> in <Files>' => "<Files *>\n<Limit POST>\n%s\n</Limit>\n</Files>",
    '<Location>' => "<Location \"/\">\n%s\n</Location>", '<Directory>' => "<Directory \"/\">\n%s\n</Directory>",
    '<LocationMatch>' => "<LocationMatch .>\n%s\n</LocationMatch>",
    '<DirectoryMatch>' => "<DirectoryMatch .>\n%s\n</DirectoryMatch>",
    '<Proxy>' => "<Proxy *>\n%s\n</Proxy>", '<VirtualHost>' => "<VirtualHost *>\n%s\n</VirtualHost>",
    '<PyExecPool>' => "<PyExecPool mine>\n%s\n</PyExecPool>",
);
# What AllowOverride lets through: [of httpd's words, wishes are read, others are errors]
my %overrides = (
    all => ['All', 'read'], fileinfo => ['FileInfo', 'read'],
    list => ["None\nAllowOverrideList $listed SetHandler", 'read'],
    both => ["All\nAllowOverrideList $listed", 'read'],
    nonfatal => ["FileInfo Nonfatal=All", 'read', 'skipped'],
    unknown => ["FileInfo Nonfatal=Unknown", 'read'],
    override => ["AuthConfig Nonfatal=Override", 'skipped', 'skipped'],
    auth => ['AuthConfig', 'error'], limit => ['Limit', 'error'], indexes => ['Indexes', 'error'],
    options => ['Options', 'error'],
    none => ["None\nAllowOverrideList None", 'skipped', 'skipped'],
);
# Where nothing may run: what makes httpd hand a request to our handler, the
# path, and the status: 403 is ours, 200 httpd's, which shows the file.
my $run = 'run.py';
my @ways = (
    (map { ["SetHandler $_->[0]", "SetHandler $_->[0]", $run, $_->[1]] }
     ['pyexec', 403], ['PyExec', 403], ['pyexec-metrics', 403], ['"expr=pyexec"', 200],
     ['application/pyexec', 200]),
    ['AddHandler', 'AddHandler pyexec .py', $run, 403],
    ['AddHandler of a name with two', 'AddHandler pyexec .py', 'x.py.txt', 403],
    ['ForceType', 'ForceType pyexec', $run, 403], ['AddType', 'AddType pyexec .py', $run, 403],
    ['DefaultType', 'DefaultType pyexec', $run, 200], ['Action', "Action x-py /on/run\nAddHandler x-py .py", $run, 403],
    ['RewriteRule, handler', "RewriteEngine On\nRewriteRule . - [H=pyexec]", $run, 403],
    ['RewriteRule, type', "RewriteEngine On\nRewriteRule . - [T=pyexec]", $run, 403],
    ['RewriteRule, engine', "RewriteEngine On\nRewriteRule . - [E=PyExecEngine:On,H=pyexec]", $run, 403],
    ['SetEnv', "SetEnv PyExecEngine On\nSetHandler pyexec", $run, 403],
    ['SetEnvIf', "SetEnvIf Host . PyExecEngine=On pyexec=On\nSetHandler pyexec", $run, 403],
    ['RequestHeader', "RequestHeader set PyExecEngine On\nSetHandler pyexec", $run, 403],
    ['php_flag', "php_flag PyExecEngine On\nSetHandler pyexec", $run, 500],
    ['php_value', "php_value PyExecTimeout 300", $run, 500],
    ['LoadModule', 'LoadModule x modules/mod_x.so', $run, 500], ['Define', "Define X\nSetHandler pyexec", $run, 500],
    ['Include', 'Include /etc/passwd', $run, 500], ['Options', "Options +ExecCGI +Includes\nSetHandler pyexec", $run, 403],
    ['SetInputFilter', "SetInputFilter pyexec\nSetHandler pyexec", $run, 403],
    # Others' places by a detour: no request of a client's own.
    ['RewriteRule into a place', "RewriteEngine On\nRewriteRule . /on/run [L]", $run, 403],
    ['... passed through', "RewriteEngine On\nRewriteRule . /execute [PT]", $run, 403],
    ['... with another method', "RewriteEngine On\nRewriteCond %{REQUEST_METHOD} POST\nRewriteRule . /execute [END]", $run, 403],
    ['ErrorDocument', 'ErrorDocument 404 /execute', 'nothing-there', 403],
    ['ErrorDocument of our own refusal', "SetHandler pyexec\nErrorDocument 403 /execute", $run, 403],
    ['DirectoryIndex', "DirectoryIndex /execute", '', 404],
    ['FallbackResource', 'FallbackResource /execute', 'nothing-there', 404],
    ['Redirect', 'Redirect 307 / /execute', $run, 307],
    ['SSI', "Options +Includes\nSetOutputFilter INCLUDES", 'page.html', 200],
);
my $docs = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $n = 0;
# What it prints is not in it, nor in any address or number of a page.
my $runs = "print('has' + 'run')";
my $sections = join '', map { <<"END" } sort keys %overrides;
<Directory "$docs/$_">
    AllowOverrideList None
    AllowOverride $overrides{$_}[0]
</Directory>
END
my $modules = join '', map { <<"END" } qw(rewrite mime actions include dir setenvif env);
<IfModule !${_}_module>
    LoadModule ${_}_module "@{[ httpd_module($_) ]}"
</IfModule>
END
my $server;

chmod 0755, $docs or die;
directory($_) for qw(on off), sort keys %overrides;
$server = own_server(<<"END");
$modules
TypesConfig /dev/null
DocumentRoot "$docs"
AccessFileName .htaccess
PyExecPreload none
<PyExecPool shared>
</PyExecPool>
<Directory "$docs">
    Require all granted
    Options FollowSymLinks
    AllowOverride All
    AllowOverrideList $listed
    AllowOverride All
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect code
    PyExecTimeout 3
    PyExecMemory 128
    PyExecOutput 1000
    PyExecBody 2000
    PyExecImports math resource
</Directory>
$sections
<Directory "$docs/off">
    SetHandler none
    PyExecEngine Off
</Directory>
END
END { local $?; $server->{stop}->() if $server }

my $plain = allowed(fresh('on', ''));

plan tests => 2 + keys(%open) * (1 + @others) + keys(%closed) * (@wishes + @others)
    + 2 * keys(%overrides) + @ways + 6;

like($plain, qr/^5 \d+ 9\d\d 400 400 413$/, 'what the places allow');
is(join(' ', grep { !exists $line{$_} } map { $_->[3] } @directives), '', 'every directive is tried');
for my $way (sort keys %open) {
    my $text = join "\n", @line{@wishes};

    $text = lc $text if $way eq 'odd case';
    is(allowed(fresh('on', sprintf $open{$way}, $text)), $plain, "$way: no wish loosens anything");
    are_errors($way, $open{$way}, $way eq 'odd case', @others);
}
are_errors($_, $closed{$_}, 0, @wishes, @others) for sort keys %closed;
for my $name (sort keys %overrides) {
    my ($words, $wishes, $rest) = @{ $overrides{$name} };

    $words =~ s/\n.*//s;
    is(allowed(fresh($name, join "\n", @line{@wishes})), $wishes eq 'error' ? 500 : $plain,
       "AllowOverride $words: wishes: " . ($wishes eq 'error' ? 'an error' : 'nothing is loosened'));
    my @got = statuses(12, map { fresh($name, $line{$_}) } @others);
    is("@got", join(' ', ($rest ? 200 : 500) x @others),
       '... all others: ' . ($rest ? 'not there' : 'errors'));
}
for my $case (@ways) {
    my ($name, $text, $path, $status) = @$case;
    my $directory = fresh('off', $text);
    my $answer = ask($directory, $runs, $path);

    ok($answer->{status} == $status && $answer->{body} !~ /hasrun|pyexec_runs/
       && ($status != 403 || $answer->{json}{error})
       && ($status != 500 || is_about({ errors() }->{$directory} // '', $name, $text)),
       "$name: $status, and nothing runs")
        or diag("$answer->{status} $answer->{body}");
}
links();

sub directory
{
    my ($path) = @_;

    mkdir "$docs/$path", 0755 or die "$path: $!\n";
    chmod 0755, "$docs/$path" or die;
    return;
}

# A new directory with this .htaccess, and files to ask for.
sub fresh
{
    my ($parent, $text) = @_;
    my $path = "$parent/d" . ++$n;
    my %files = ('.htaccess' => "$text\n");

    directory($path);
    %files = (%files, 'run.py' => "$runs\n", 'x.py.txt' => "$runs\n",
              'page.html' => '<!--#include virtual="/execute" -->') if $parent eq 'off';
    for my $name (keys %files) {
        open my $out, '>', "$docs/$path/$name" or die "$path/$name: $!\n";
        print $out $files{$name};
        close $out or die;
        chmod 0644, "$docs/$path/$name" or die;
    }
    return $path;
}

sub ask
{
    my ($path, $code, $file) = @_;

    return post_json("/$path/" . ($file // 'run'), { code => $code }, port => $server->{port});
}

# Each of these directives in a context.
sub are_errors
{
    my ($way, $text, $lower, @names) = @_;
    # mod_macro has one table for all threads, and no lock.
    my @paths = map { fresh('on', sprintf $text, $lower ? lc $line{$_} : $line{$_}) } @names;
    my @got = statuses($way =~ /Macro/ ? 1 : 12, @paths);
    my %error = errors();

    for my $i (0 .. $#names) {
        my $error = $error{ $paths[$i] } // '';

        ok($got[$i] == 500 && is_about($error, $names[$i], $text), "$way: $names[$i] is an error")
            or diag("$got[$i]: $error");
    }
    return;
}

# What httpd says of each .htaccess that is in error.
sub errors { return PyExec::Test::error_log($server) =~ m{ \Q$docs\E/(\S+)/\.htaccess: (.*)}g }

# The directive, or the section around it, is what httpd refuses.
sub is_about
{
    my ($error, $name, $text) = @_;
    my ($what) = $error =~ /^(?:Invalid command ')?(\S+?)'?,? (?:not allowed |cannot occur |perhaps misspelled)/ or return;

    return lc $what eq lc $name || $what =~ /^</ && index($text, $what) >= 0;
}

# Of runs in these directories, so many at a time.
sub statuses
{
    my ($at_a_time, @paths) = @_;
    my @got;

    while (my @some = splice @paths, 0, $at_a_time) {
        my @sockets = map { raw_open(port => $server->{port}) } @some;

        for my $i (0 .. $#some) {
            print { $sockets[$i] } "POST /$some[$i]/run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                . "Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"code\": \"print(1)\"}";
        }
        push @got, map { (raw_answer($_, 60) || { status => 0 })->{status} } @sockets;
    }
    return @got;
}

# Limits, output, imports, calls and body, as one line; the status of what is an
# error.
sub allowed
{
    my ($path) = @_;
    my $limits = ask($path, "import resource\nprint(resource.getrlimit(resource.RLIMIT_CPU)[0], "
                     . "resource.getrlimit(resource.RLIMIT_AS)[0] >> 20, 'x' * 3000)");

    return $limits->{status} if $limits->{status} != 200;
    my ($cpu, $memory, $output) = ($limits->{json}{output} // '') =~ /^(\d+) (\d+) (x+)/;

    return join ' ', $cpu // '?', $memory // '?', length($output // ''),
        map { ask($path, $_)->{status} } 'import os', 'open("/tmp/x", "w")', '#' x 2500;
}

# Where a path leads decides what is read there, and not what holds there.
sub links
{
    symlink "$docs/on", "$docs/off/link" or die;
    symlink "$docs/off", "$docs/on/link" or die;
    is(ask('off/link', 'print(1)')->{status}, 404, 'a link to where runs are allowed allows none');
    is(allowed('on/link'), $plain, 'a link the other way: the place is the path');
    my $deep = fresh('on', join "\n", @line{@wishes});
    my $deeper = "$deep/" . join '/', ('d') x 10;

    directory($deep . '/d' x $_) for 1 .. 10;
    is(allowed($deeper), $plain, 'ten directories deep');
    my $mixed = fresh('on', "PyExecTimeout 1\n$line{PyExecTimeout}");
    like(allowed($mixed), qr/^3 /, 'what was tightened stays so');
    for my $place ('on', 'off') {
        my $answer = request('GET', '/' . fresh($place, 'SetHandler pyexec-metrics') . '/run', port => $server->{port});

        ok($answer->{status} == 403 && $answer->{body} !~ /pyexec_/, "no metrics: $place")
            or diag("$answer->{status} $answer->{body}");
    }
    return;
}
