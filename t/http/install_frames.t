# SPDX-License-Identifier: Apache-2.0
# What the module makes of packages between a client and the helper: the set-up
# and the frames that it sends, and the answers that it makes of what comes back,
# which a keeper of this test's own says word for word. t/http/install.t installs.
use strict;
use warnings FATAL => 'all';
use IO::Select ();
use IO::Socket::UNIX ();
use POSIX ();
use PyExec::Service;
use PyExec::Test;
use Socket qw(SOCK_STREAM);
use Test::More;

my $place = service_place();
my $dir = helper_dir();
my $keeper = start_keeper();
END {
    local $?;
    kill "KILL", $keeper if $keeper;
}
my $files = "$place->{dir}/www";

for my $name ('', qw(plain list none less more star)) {
    mkdir "$files/$name" or die;
    chmod 0755, "$files/$name" or die;
    spew("$files/$name/x", '') if $name;
}
spew("$files/list/.htaccess", "PyExecImports math json\n");
spew("$files/none/.htaccess", "PyExecImports none\n");
spew("$files/less/.htaccess", "PyExecImports -environment\n");
spew("$files/more/.htaccess", "PyExecImports +environment -os\n");
spew("$files/star/.htaccess", "PyExecImports *\n");

my $server = own_server(<<"END", who => $place->{directive});
DocumentRoot "$files"
PyExecPreload math
<PyExecPool science>
    PyExecEnvironment "$dir"
    PyExecNetwork proxy=127.0.0.1:3128
    PyExecInstall On
    PyExecInstallIndex http://index.example/simple/
    PyExecInstallTimeout 70s
    PyExecInstallSize 100M
    PyExecConcurrency 3
    PyExecEnv A b
    PyExecTenantQueue 7
</PyExecPool>
<PyExecPool built>
    PyExecEnvironment "$dir"
    PyExecEnvironment none
</PyExecPool>
<PyExecPool public>
    PyExecEnvironment "$dir"
</PyExecPool>
<Macro PyExecWay \$pool \$dialect \$imports>
    <Location "/\$pool/\$dialect">
        SetHandler pyexec
        PyExecEngine On
        PyExecDialect \$dialect
        PyExecPool \$pool
        PyExecImports \$imports
    </Location>
</Macro>
Use PyExecWay science run +environment
Use PyExecWay public run +environment
Use PyExecWay public code +environment
Use PyExecWay built code +environment
<Location "/public/list">
    SetHandler pyexec
    PyExecEngine On
    PyExecPool public
    PyExecDialect code
    PyExecImports environment
</Location>
<Macro PyExecList \$pool>
    <Location "/\$pool/packages">
        SetHandler pyexec-packages
        PyExecEngine On
        PyExecPool \$pool
        PyExecMemory 300
    </Location>
</Macro>
Use PyExecList science
Use PyExecList public
Use PyExecList built
<Location "/off/packages">
    SetHandler pyexec-packages
    PyExecEngine Off
    PyExecPool public
</Location>
<Directory "$files">
    Require all granted
    AllowOverride FileInfo
    SetHandler pyexec
    PyExecEngine On
    PyExecDialect code
    PyExecPool public
    PyExecImports +environment
</Directory>
END
END {
    local $?;
    $server->{stop}->() if $server;
}
my @port = (port => $server->{port});

the_set_up();
what_is_sent();
who_may_not();
what_is_no_name();
what_may_be_imported();
what_is_answered();
what_is_listed();
done_testing();

# ---- a keeper that does nothing but listen and say what it is told to ----

sub spew
{
    my ($file, $text) = @_;

    open my $out, '>:raw', "$file.new" or die "$file: $!";
    print $out $text;
    close $out or die;
    rename "$file.new", $file or die;
    return;
}

sub start_keeper
{
    my @listeners = map {
        IO::Socket::UNIX->new(Local => $_, Listen => 64, Type => SOCK_STREAM)
            || die "listen: $!";
    } "$place->{path}.control", $place->{path};
    my $parent = $$;
    my $pid;

    chmod 0666, $place->{path} or die;
    $pid = fork // die "fork: $!";
    return $pid if $pid;
    eval {
        my $all = IO::Select->new(@listeners);
        my @kept; # the control connection stays open

        while (getppid() == $parent) {
            for my $ready ($all->can_read(1)) {
                my $client = $ready->accept or next;

                push @kept, $client if serve($client, $ready == $listeners[0]);
            }
        }
    };
    POSIX::_exit(0);
}

sub serve
{
    my ($client, $is_control) = @_;
    my $bytes = '';
    my ($type, $body);

    while (IO::Select->new($client)->can_read(10)) {
        sysread $client, $bytes, 1 << 16, length $bytes or last;
        while (length $bytes >= 12
               && length $bytes >= 12 + unpack 'V', substr $bytes, 8, 4) {
            my $size = unpack 'V', substr $bytes, 8, 4;

            ($type, $body) = (unpack('x6v', $bytes), substr $bytes, 12, $size);
            substr $bytes, 0, 12 + $size, '';
            if ($type == 8) {
                spew("$place->{dir}/setup", $body);
                syswrite $client, wire_frame(9, wire_field(62, pack 'V', 1)
                                                . wire_field(61, 'x'));
                return 1;
            }
            if ($type == 6) {
                syswrite $client, wire_frame(7, wire_field(62, pack 'V', 1)
                    . wire_field(60, 'full') . wire_field(61, 'x'));
                return 0;
            }
            if ($type == 4) {
                my $told = PyExec::Test::slurp("$place->{dir}/told") // '';

                spew("$place->{dir}/run", $body);
                syswrite $client, wire_frame(5, $told);
                return 0;
            }
        }
    }
    return 0;
}

# { tag => value } of a body; of those that are repeated a list.
sub fields
{
    my ($body) = @_;
    my %fields;

    while (length $body) {
        my ($tag, undef, $size) = unpack 'vvV', $body;

        push @{ $fields{$tag} }, substr $body, 8, $size;
        substr $body, 0, 8 + $size, '';
    }
    return { map { $_ => @{ $fields{$_} } > 1 ? $fields{$_} : $fields{$_}[0] } keys %fields };
}

sub u32 { return wire_field($_[0], pack 'V', $_[1]) }

# What the keeper was sent for the request that was just answered; undef: no
# run.
sub sent
{
    my $body = PyExec::Test::slurp("$place->{dir}/run");

    unlink "$place->{dir}/run";
    return defined $body ? fields($body) : undef;
}

# ---- the set-up ----

sub the_set_up
{
    my $setup = fields(PyExec::Test::slurp("$place->{dir}/setup"));
    my %pools = map { my $pool = fields($_); ($pool->{2} => $pool) } @{ $setup->{40} };
    my ($runs, $installs) = @pools{'science', 'science+install'};
    my $number = sub { return unpack 'V', $_[0] };

    is(join(' ', grep { /\+/ } sort keys %pools), 'science+install',
       'a second pool where packages are installed, and only there');
    is($runs->{80}, "$dir", 'the pool of runs has the directory');
    is(join(' ', grep { $runs->{$_} } 81 .. 84), '', '... and installs nothing');
    is($pools{public}{80}, "$dir", 'so has one that installs nothing');
    ok($pools{built} && !exists $pools{built}{80}, '"none" is none');
    is($installs->{80}, "$dir", 'the pool that installs: the directory');
    is(unpack('Q<', $installs->{81}), 100 << 20, '... its size');
    is($installs->{82}, 'http://index.example/simple/', '... the index');
    is($number->($installs->{83}), 0, '... wheels only');
    is($installs->{72}, '127.0.0.1:3128', '... the proxy');
    is($number->($installs->{74}), 1024, '... connections of its own');
    is(unpack('Q<', $installs->{75}), 100 << 20, '... and bytes');
    like($installs->{49}, qr/^A=b$/, '... the same variables');
    is($installs->{41}, '', '... nothing is preloaded');
    is_deeply([map { $number->($installs->{$_}) } 36, 43, 44, 45, 37, 38, 39, 48],
              [1, 1, 16, 70_000, 0, 0, 10_000, 1],
              '... lazy, one at a time, who waits waits as long as one may take');
    is_deeply([map { $number->($runs->{$_}) } 43, 44, 38], [3, 128, 7],
              'runs are as they were');
    return;
}

# ---- requests ----

sub told { spew("$place->{dir}/told", join '', @_); return }

sub ask
{
    my ($pip, %more) = @_;
    my $where = delete $more{where} || '/science/run';

    return post_json($where, { script => '', parameters => [], pip => $pip, %more }, @port);
}

sub what_is_sent
{
    my ($answer, $run);

    told(u32(20, 2));
    $answer = ask('-i numpy pandas >= 2, <3 requests[socks]');
    is_deeply([$answer->{status}, $answer->{json}],
              [200, { result => 'Library Installation Successfully' }], 'installed');
    $run = sent();
    is($run->{84}, "install\nnumpy\npandas>=2,<3\nrequests[socks]", '... by this list');
    is($run->{2}, 'science+install', '... in the pool for it');
    is($run->{4}, '', '... with no source');
    is_deeply([grep { exists $run->{$_} } 5, 6, 7, 15, 16, 17, 18, 77, 85], [],
              '... and nothing of a script');
    is_deeply([map { unpack 'V', $run->{$_} } 8, 9, 10, 12, 13, 14],
              [0, 70_000, 71_000, 65536, 256, 64], '... and limits of its own');
    is(unpack('Q<', $run->{11}), (512 + 2 * 100) << 20, '... memory, too');
    $answer = ask('-u numpy pandas');
    is_deeply([$answer->{status}, $answer->{json}],
              [200, { result => 'Library Uninstallation Successfully' }], 'uninstalled');
    is(sent()->{84}, "uninstall\nnumpy\npandas", '... by this list');
    ask('-i a', timeout => 1.5, stdin => 'x', args => ['y'], function => 'f', params => [1]);
    $run = sent();
    is_deeply([map { unpack 'V', $run->{$_} } 9, 10], [1500, 2500], 'a client may shorten it');
    is_deeply([grep { exists $run->{$_} } 5, 6, 15, 16, 17], [], '... and what is for scripts is not sent');
    ask('-i a', timeout => 1000);
    is(unpack('V', sent()->{9}), 70_000, '... but not lengthen');
    $answer = request('POST', '/science/run', @port, headers => { 'Content-Type' =>
        'multipart/form-data; boundary=b' }, content => join "\r\n", '--b',
        'Content-Disposition: form-data; name="pip"', '', "-i a", '--b--', '');
    is($answer->{status}, 200, 'a form can ask for it');
    is(sent()->{84}, "install\na", '... all the same');
    $answer = post_json('/science/run', { pip => '-i a' }, @port);
    is($answer->{status}, 200, 'no script is as good as an empty one');
    sent();
    return;
}

sub who_may_not
{
    for my $case (['-i numpy'], ['numpy'], ['-i --index-url=x'], [' '],
                  ['-i a', script => 'print(1)'], ['-i a', timeout => 'x']) {
        my ($pip, %more) = @$case;
        my $answer = ask($pip, where => '/public/run', %more);

        is_deeply([$answer->{status}, $answer->{json}], [403, { error =>
            "Installing packages is not enabled here; leave 'pip' empty." }],
            "$pip where nothing is installed: 403");
    }
    is(sent(), undef, '... and nothing was sent');
    return;
}

sub what_is_no_name
{
    for my $case (['numpy', qr/begins with 'numpy' instead of -i \(install\) or -u/],
                  ['-i', qr/names no package/], ['-i -r x', qr/has '-r', which is neither/],
                  ['-i a --index-url http://b/', qr/has '--index-url', which is neither/],
                  ['-i http://b/a.whl', qr/has 'http:\/\/b\/a\.whl'/],
                  ['-i /etc/passwd', qr/has '\/etc\/passwd'/],
                  ["-i a\e[31m", qr/has 'a\?\[31m'/],
                  ["-i <script>\x{e9}</script>", qr/has '<script>\?\?<\/script>'/],
                  ['-u a==1', qr/has 'a==1', but -u takes names alone/],
                  ['-i a ' . 'b' x 300, qr/has 'b{40}\.\.\.', which is longer/],
                  ['-i' . ' a' x 21, qr/names more packages than/]) {
        my ($pip, $says) = @$case;
        my $answer = ask($pip);

        is($answer->{status}, 400, substr($pip, 0, 30) =~ s/[^ -~]/?/gr . ': 400');
        like($answer->{json}{error}, qr/^The field 'pip' $says/, '... and why');
    }
    for my $field (qw(script code file)) {
        my $answer = ask('-i a', script => undef, $field => 'print(1)');

        is($answer->{status}, 400, "with $field as well: 400");
        like($answer->{json}{error}, qr/install first, then run/, '... and why');
    }
    is(ask('-i a', timeout => 'x')->{status}, 400, 'a field of another type: 400');
    is(ask(5)->{status}, 400, 'pip of another type: 400');
    is(sent(), undef, '... and nothing of all that was sent');
    return;
}

# ---- scripts ----

# Whether what is installed may be imported.
sub what_may_be_imported
{
    my $is_open = sub {
        my ($path, $field) = @_;

        post_json($path, { $field || 'code' => 'x' }, @port);
        return unpack 'V', sent()->{85} // pack 'V', 0;
    };

    is($is_open->('/public/code'), 1, '+environment: on top of a list');
    is($is_open->('/public/run', 'script'), 1, '... or of none');
    is($is_open->('/science/run', 'script'), 1, '... where packages are installed, too');
    is($is_open->('/built/code'), 0, '... but not where no directory is');
    is($is_open->('/public/list'), 0, 'environment without a sign is a module');
    is($is_open->('/plain/x'), 1, 'in a directory');
    is($is_open->('/more/x'), 1, '.htaccess: +environment and -name leave it');
    is($is_open->('/star/x'), 1, '.htaccess: so does *');
    is($is_open->("/$_/x"), 0, ".htaccess: $_ takes it away") for qw(list none less);
    return;
}

# ---- answers ----

sub what_is_answered
{
    my $e = "\xe2\x82\xac"; # a character of three bytes
    my $notice = "[notice] A new release of pip is available\n";
    my $traceback = "Traceback (most recent call last):\n  File \"x\", line 1, in y\n    z\n";
    my @cases = (
        ['done', [u32(20, 2), wire_field(27, "WARNING: x\n")],
         qr/^Library Installation Successfully$/, 'result'],
        ['done, with what went wrong afterwards', [u32(20, 2), wire_field(21, 'No space.')],
         qr/^No space\.$/],
        ['pip\'s reasons', [u32(20, 3), u32(22, 1), wire_field(27, "WARNING: x\n"
            . "ERROR: Could not find a version\nERROR: No matching\n$notice")],
         qr/^ERROR: Could not find a version\nERROR: No matching$/],
        ['what is indented below', [u32(20, 3), u32(22, 1), wire_field(27, "ERROR: HASHES.\n"
            . "    a from b:\n        Expected\n$notice")],
         qr/^ERROR: HASHES\.\n    a from b:\n        Expected$/],
        ['a build\'s', [u32(20, 3), u32(22, 1), wire_field(27, "x\n  error: subprocess\nerror: "
            . "subprocess-exited\n\n  exit code: 1\nx\n")], qr/^error: subprocess-exited\n\n  exit code: 1$/],
        ['ours goes before', [u32(20, 3), u32(22, 1), wire_field(21, 'Ours.'),
            wire_field(27, "ERROR: x\n")], qr/^Ours\.$/],
        ['without a mark', [u32(20, 3), u32(22, 1), wire_field(27, "Traceback\nOops\n")],
         qr/^Traceback\nOops$/],
        ['without a word', [u32(20, 3), u32(22, 2)], qr/^The script ended with exit status 2$/],
        ['a signal', [u32(20, 9), u32(22, 256 + 11)], qr/ended by signal 11$/],
        ['the time limit', [u32(20, 4), wire_field(27, "ERROR: x\n")],
         qr/^Execution timed out after 70 seconds$/],
        ['the memory limit', [u32(20, 6)], qr/memory limit of 712 MiB/],
        ['a failure of pip', [u32(20, 3), u32(22, 2), wire_field(27, "ERROR: Exception:\n${traceback}KeyError: 1\n\n"
            . "During handling of that, another one occurred:\n\n${traceback}OSError: 2\n$notice")],
         qr/^ERROR: Exception:\nKeyError: 1\n\nOSError: 2$/],
        ['a failure of ours', [u32(20, 3), u32(22, 1), wire_field(27, "${traceback}OSError: no space\n")],
         qr/^OSError: no space$/],
        ['a long reason', [u32(20, 3), wire_field(27, "ERROR: $e" . $e x 1000)],
         qr/^\.\.\. \x{20ac}{666}$/],
        ['many reasons', [u32(20, 3), wire_field(27, "ERROR: 12345\n" x 5000)],
         qr/^\.\.\. .*(?:ERROR: 12345\n){150}ERROR: 12345$/s],
        ['no UTF-8', [u32(20, 3), wire_field(27, "ERROR: \xff\"\\\0\e\n")],
         qr/^ERROR: \x{fffd}"\\\0\e$/],
        ['refused', [u32(20, 1), u32(31, 1), wire_field(21, 'Not now.')], qr/^Not now\.$/, 'error', 400],
    );

    for my $case (@cases) {
        my ($name, $fields, $says, $member, $status) = @$case;
        my $answer;

        told(@$fields);
        $answer = ask('-i a');
        is($answer->{status}, $status || 200, "$name: the status");
        is(join(' ', keys %{ $answer->{json} }), $member || 'error', "$name: the only member");
        like($answer->{json}{ $member || 'error' }, $says, "$name: the text");
        cmp_ok(length $answer->{json}{ $member || 'error' }, '<', 2010, "$name: ... is short");
    }
    told(u32(20, 3), wire_field(27, "ERROR: x\n"), wire_field(23, pack 'Q<', 2_500_000),
         u32(74, 3), wire_field(75, pack 'Q<', 99));
    my $usage = ask('-i a', usage => \1)->{json}{usage};

    is_deeply([@$usage{qw(wall_seconds network_connections network_bytes ended_by)}],
              [2.5, 3, 99, 'exit'], 'usage tells what it took');
    told(u32(20, 32));
    is(ask('-i a')->{status}, 503, 'busy: 503, as for runs');
    sent();
    return;
}

# ---- the list ----

sub value { return u32(20, 2), u32(32, 1), wire_field(29, $_[0]) }

sub what_is_listed
{
    my $list = '{"packages": [{"name": "a", "version": "1"}]}';
    my $get = sub { return request($_[0], $_[1], @port) };
    my ($answer, $run);

    told(value(" $list\n"));
    $answer = $get->('GET', '/science/packages');
    is($answer->{status}, 200, 'a list');
    is($answer->{body}, "$list\n", '... as it came');
    is($answer->{headers}{'content-type'}, 'application/json', '... as JSON');
    $run = sent();
    is($run->{2}, 'science', '... of a run in the pool of runs');
    is_deeply(json_value($run->{17}), { top => "$dir" }, '... which is told the directory');
    like($run->{4}, qr/^def main\(top\):/m, '... and given a script');
    is_deeply([map { unpack 'V', $run->{$_} } 8, 9, 15], [0, 5000, 1],
              '... that may import what it needs, with the limits of the place');
    is(unpack('Q<', $run->{11}), 300 << 20, '... memory, too');
    is($get->('HEAD', '/public/packages')->{status}, 200, 'HEAD, and a pool that installs nothing');
    for my $case (['no JSON', value("$list,")], ['no object', value('[]')],
                  ['no value', u32(20, 2), u32(32, 2), wire_field(21, 'x')],
                  ['a limit', u32(20, 4)]) {
        my ($name, @fields) = @$case;

        told(@fields);
        is($get->('GET', '/science/packages')->{status}, 500, "$name: 500");
    }
    like(error_log($server), qr/PYX0243: run \S+ did not list the packages of '\Q$dir\E', it ended with: time/,
         '... and the log tells');
    told(u32(20, 32));
    is($get->('GET', '/science/packages')->{status}, 503, 'busy: 503');
    sent();
    is_deeply([$get->('GET', '/built/packages')->{status}, $get->('GET', '/off/packages')->{status}],
              [403, 403], 'no directory, or no PyExecEngine: 403');
    $answer = $get->('POST', '/science/packages');
    is_deeply([$answer->{status}, $answer->{headers}{allow}], [405, 'GET, HEAD'], 'POST: 405');
    is($get->('GET', '/science/packages/x')->{status}, 404, 'below: 404');
    is(sent(), undef, '... and nothing was sent');
    return;
}
