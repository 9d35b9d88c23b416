# SPDX-License-Identifier: Apache-2.0
# What the server tests share: requests, raw connections, and a look at our
# processes from outside. Never sleeps to wait: wait_for() polls a condition.
package PyExec::Test;
use strict;
use warnings FATAL => 'all';

use Apache::TestConfig ();
use Exporter 'import';
use Fcntl qw(O_RDONLY);
use File::Path ();
use File::Temp ();
use HTTP::Tiny ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use PyExec::Hide ();
use PyExec::Port qw(free_port);
use PyExec::Process;
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(request post_json run_code raw raw_open raw_answer
    json_text json_value matches wait_for seconds usual var data_lines
    own_server run_own end_own error_log as_root once_only sanitized mpm mpm_workers
    httpd_module exec_httpd helper_dir);
push @EXPORT, grep { !/^(?:slurp|cpu_ticks)$/ } @PyExec::Process::EXPORT;

my $json = JSON::PP->new->utf8->canonical->allow_nonref->allow_bignum;
my $vars;

# Servers of a test's own, by their pid. A test that dies would leave them
# behind, and the harness waiting for the end of its output.
my %own;
my $owner = $$;

# Perl ends without a word, and without its END, when it writes to somebody who
# has gone.
$SIG{PIPE} ||= sub { die 'written to a closed pipe or connection' };

END {
    local $?;
    stop_own($_) for $$ == $owner ? values %own : ();
}

# ---- the server under test ----

sub var
{
    my ($name) = @_;

    $vars ||= Apache::TestConfig->thaw->{vars};
    return $vars->{$name};
}

sub as_root { return $> == 0 }

# What does not depend on who asks and serves is left out where root has just
# been through it (./bootstrap check).
sub once_only
{
    return unless $ENV{PYEXEC_CHECK_AGAIN};
    Test::More::plan(skip_all => 'done once, as root');
}

sub sanitized { return $ENV{PYEXEC_SANITIZERS} ? 1 : 0 }

# event, worker or prefork.
sub mpm
{
    my ($name) = slurp(var('httpd_conf')) =~ /^<IfModule !mpm_(\w+)_module>/m
        or die 'no MPM in ' . var('httpd_conf');

    return $name;
}

# An empty directory of the helper's user, removed with the object. With
# umask 077 it would not be readable for whom httpd's parent is not.
sub helper_dir
{
    my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');

    chmod 0755, $dir or die "$dir: $!";
    if (as_root()) {
        my ($uid) = var('helper_user') =~ /#(\d+)/ or die 'no helper_user';

        chown $uid, -1, $dir or die "$dir: $!";
    }
    return $dir;
}

# The file of one of httpd's own modules.
sub httpd_module
{
    my ($dir) = slurp(var('httpd_conf')) =~ m{LoadModule\s+\S+\s+"?(\S+)/mod_\w+\.so}
        or die 'no module in ' . var('httpd_conf');

    return "$dir/mod_$_[0].so";
}

# Lines for a server's configuration: as many children with as many threads each
# at the start, and as many workers at the most. With prefork as many children
# as these are threads.
sub mpm_workers
{
    my ($children, $threads, $workers) = @_;
    my $start = $children * $threads;

    return "StartServers $start\nMinSpareServers $start\nMaxSpareServers @{[ $start + 1 ]}\n"
        . "ServerLimit $workers\nMaxRequestWorkers $workers\n" if mpm() eq 'prefork';
    return "StartServers $children\nServerLimit @{[ $workers / $threads ]}\n"
        . "ThreadLimit $threads\nThreadsPerChild $threads\nMaxRequestWorkers $workers\n"
        . "MinSpareThreads $start\nMaxSpareThreads @{[ $start + $threads ]}\n";
}

sub json_text { return $json->encode($_[0]) }

# undef, also in a list, when it is not one well-formed value.
sub json_value
{
    my ($text) = @_;
    my $value = eval { $json->decode($text) };

    # RFC 8259 lets a lone surrogate be written as an escape, JSON::PP does not.
    if (!defined $value && defined $text
        && $text =~ s{ (\\u[dD][89abAB]..\\u[dD][c-fC-F]..)
                     | \\u[dD][89a-fA-F].. | (\\.) }
                     { $1 // $2 // '\ufffd' }gexs) {
        $value = eval { $json->decode($text) };
    }
    return scalar $value;
}

# ---- requests ----

# request($method, $path, headers => {}, content => bytes, port => n,
#         host => name for the Host header)
# Returns status, headers (hash), body (bytes), json (undef: it is none).
sub request
{
    my ($method, $path, %opt) = @_;
    my $port = $opt{port} || var('port');
    my $http = HTTP::Tiny->new(timeout => 180, max_redirect => 0,
                               proxy => undef, http_proxy => undef);
    my $host = $opt{host} || '127.0.0.1';
    my $answer = $http->request($method, "http://$host:$port$path", {
        peer => '127.0.0.1',
        headers => $opt{headers} || {},
        defined $opt{content} ? (content => $opt{content}) : (),
    });

    return { status => $answer->{status}, headers => $answer->{headers},
             body => $answer->{content},
             json => json_value($answer->{content}) };
}

sub post_json
{
    my ($path, $value, %opt) = @_;

    return request('POST', $path, %opt, content => json_text($value), headers =>
        { 'Content-Type' => 'application/json', %{ $opt{headers} || {} } });
}

# The answer's JSON with its usage, or a stand-in that fails every comparison.
# fields => {}: more of the request.
sub run_code
{
    my ($path, $source, %opt) = @_;
    my $answer = post_json($path, { code => $source, usage => \1,
                                    %{ $opt{fields} || {} } }, %opt);

    return $answer->{json} if $answer->{status} == 200
        && ref $answer->{json} eq 'HASH';
    return { output => "status $answer->{status}", returncode => 'none',
             error => $answer->{body}, status => $answer->{status},
             usage => { ended_by => "status $answer->{status}" } };
}

# ---- raw connections ----

# port => n, from => address of ours

sub raw_open
{
    my (%opt) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $opt{port} || var('port'), Timeout => 10,
        $opt{from} ? (LocalAddr => $opt{from}) : ())
        or die "connect: $@";

    $socket->autoflush(1);
    return $socket;
}

# Reads one answer: { status, headers, body }, or undef when the connection
# ends before a whole one. Takes at most `seconds`.
sub raw_answer
{
    my ($socket, $seconds, $no_body) = @_;
    my $end = time + ($seconds || 10);
    my $buffer = '';

    while (time < $end) {
        my $answer = parse_answer($buffer, $no_body);

        return $answer if $answer;
        next unless IO::Select->new($socket)->can_read($end - time);
        last unless sysread $socket, $buffer, 65536, length $buffer;
    }
    return parse_answer($buffer, $no_body);
}

sub parse_answer
{
    my ($bytes, $no_body) = @_;
    my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
    my ($first, @lines);
    my %headers;
    my $length;

    return unless defined $body;
    ($first, @lines) = split /\r\n/, $head;
    for (@lines) {
        $headers{lc $1} = $2 if /^([^:]+):\s*(.*)$/;
    }
    return unless $first =~ m{^HTTP/1\.[01] (\d{3})};
    $length = $no_body || $1 == 204 || $1 < 200 ? 0
        : $headers{'content-length'} || 0;
    return if length $body < $length;
    return { status => $1, headers => \%headers,
             body => substr($body, 0, $length),
             json => json_value(substr $body, 0, $length) };
}

# Sends bytes as they are, returns the first answer.
sub raw
{
    my ($bytes, %opt) = @_;
    my $socket = raw_open(%opt);

    {
        local $SIG{PIPE} = 'IGNORE';
        print $socket $bytes;
    }
    return raw_answer($socket, $opt{seconds}, $opt{no_body})
        || { status => 0, headers => {}, body => '' };
}

# ---- comparing with the data of the contracts ----

# True when $got is what $want describes: { re }, { type }, { length } of a
# text, { some } of a list's members, or a value.
sub matches
{
    my ($got, $want) = @_;

    if (ref $want eq 'HASH' && keys %$want == 1) {
        return defined $got && !ref $got && $got =~ /$want->{re}/
            if defined $want->{re};
        return json_type($got) eq $want->{type} if defined $want->{type};
        return defined $got && !ref $got && length $got == $want->{length}
            if defined $want->{length};
        return ref $got eq 'ARRAY' && grep { matches($_, $want->{some}) } @$got
            if defined $want->{some};
    }
    if (ref $want eq 'HASH') {
        return ref $got eq 'HASH'
            && json_text([sort keys %$got]) eq json_text([sort keys %$want])
            && !grep { !matches($got->{$_}, $want->{$_}) } keys %$want;
    }
    if (ref $want eq 'ARRAY') {
        return ref $got eq 'ARRAY' && @$got == @$want
            && !grep { !matches($got->[$_], $want->[$_]) } 0 .. $#$want;
    }
    return json_text($got) eq json_text($want);
}

sub json_type
{
    my ($value) = @_;
    my $text = json_text($value);

    return 'object' if ref $value eq 'HASH';
    return 'array' if ref $value eq 'ARRAY';
    return 'boolean' if JSON::PP::is_bool($value);
    return 'null' if !defined $value;
    return $text =~ /^"/ ? 'string' : 'number';
}

# The values of a file in t/data, one JSON text a line.
sub data_lines
{
    my ($name) = @_;
    my $file = var('t_dir') . "/data/$name";
    my @lines;

    open my $in, '<', $file or die "$file: $!";
    @lines = map { $json->decode($_) } grep { /\S/ } <$in>;
    die "$file is empty" unless @lines;
    return @lines;
}

# ---- waiting and time ----

# Polls until the function is true; its value, or the last one after $seconds.
# One that dies, of an answer that has not yet what it looks at, is not true
# yet; what the last one died of is told when the time is over.
sub wait_for
{
    my ($condition, $seconds) = @_;
    my $end = time + $seconds;
    my ($value, $died);

    while (1) {
        local $@;

        $value = eval { $condition->() };
        $died = $@;
        last if $value || time >= $end;
        sleep 0.01;
    }
    Test::More::diag("waited in vain: $died") if $died;
    return $value;
}

sub seconds
{
    my ($block) = @_;
    my $start = time;

    $block->();
    return time - $start;
}

# What $block gives, a time of something that is to take less than $bound: the
# first time, or where that is more the median of eleven. Others who compute on
# this machine make some attempts late, what is slow by itself most of them.
sub usual
{
    my ($bound, $block) = @_;
    my @all = $block->();

    return $all[0] if $all[0] < $bound;
    push @all, map { scalar $block->() } 1 .. 10;
    @all = sort { $a <=> $b } @all;
    return $all[5];
}

# ---- servers of a test's own ----

# Starts an httpd like the one under test; $extra is added to its
# configuration. Returns { pid, port, dir, stop }; die when it does not answer.
#   ulimit => '-n 400'    what it is started under
#   hide => [feature...]  its helper runs under t/tools/hide
#   helper => path        another one than the server under test has
#   health => 503         what /health is to answer (default 200)
#   module, helper => files  others than those under test
#   port => n             a free one that is known already
#   bare => 1             no Listen, no module and no places of ours: all that is
#                         in $extra
#   who => text           in place of the directives that say who the helper is
#   modules => text       in place of the MPM and the rest that is loaded
sub own_server
{
    my ($extra, %opt) = @_;
    my $dir = File::Temp::tempdir('pyxXXXXX', DIR => '/tmp');
    my $port = $opt{port} || free_port();
    my $root = as_root();
    my $user = $root ? 'User ' . var('user') . "\nGroup " . var('group') : '';
    my $server = { dir => $dir, port => $port, opt => \%opt };
    my $helper = $opt{helper} || var('helper_program');
    my $module = $opt{module} || var('module_file');
    # Each connection needs one of its own, and more of them come slowly.
    my $children = mpm() eq 'prefork' ? mpm_workers(1, 32, 256) : '';
    my $ours;

    chmod 0711, $dir or die;
    $helper = PyExec::Hide::program($dir, var('t_dir') . '/tools/hide',
                                    $helper, @{ $opt{hide} }) if $opt{hide};
    my $who = $opt{who} // qq(@{[ var('helper_user') ]}\nPyExecHelperProgram "$helper");
    my $modules = $opt{modules} // qq(Include "@{[ var('httpd_conf') ]}");

    $ours = $opt{bare} ? '' : <<"END";
Listen 127.0.0.1:$port
LoadModule pyexec_module "$module"
LogLevel info pyexec:debug
$who
Define PYEXEC_POLICY_OFF
Include "@{[ var('locations') ]}"
END
    open my $conf, '>', "$dir/httpd.conf" or die;
    print $conf <<"END";
ServerName 127.0.0.1:$port
ServerRoot "$dir"
DefaultRuntimeDir "$dir"
PidFile "$dir/httpd.pid"
ErrorLog "$dir/error_log"
$modules
$user
$ours
$children$extra
END
    close $conf or die;
    $server->{stop} = sub { stop_own($server) };
    run_own($server);
    return $server;
}

# Starts it, for the first time or after it has ended.
sub run_own
{
    my ($server) = @_;
    my ($dir, %opt) = ($server->{dir}, %{ $server->{opt} });

    $server->{pid} = start_httpd("$dir/httpd.conf", $opt{ulimit});
    $own{ $server->{pid} } = $server;
    # It may be slow, but not gone.
    (wait_for(sub {
        return 'up' if request('GET', '/health', port => $server->{port})->{status}
            == ($opt{health} || 200);
        return is_alive($server->{pid}) ? undef : 'ended';
    }, 60) // '') eq 'up'
        or do {
            my $log = slurp("$dir/error_log");

            stop_own($server);
            die "a server of our own does not answer:\n$log";
        };
    return;
}

# The lines of an own server's error log so far.
sub error_log
{
    my ($server) = @_;

    return slurp("$server->{dir}/error_log") // '';
}

sub start_httpd
{
    my ($conf, $ulimit) = @_;
    my @limited = defined $ulimit
        ? ('sh', '-c', "ulimit $ulimit && exec \"\$\@\"", 'sh') : ();
    my $pid = fork;

    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    POSIX::setsid();
    exec_httpd(\@limited, '-D', 'FOREGROUND', '-f', $conf);
}

# Instead of this process, and never returns; @$before is what httpd is started by.
sub exec_httpd
{
    my ($before, @arguments) = @_;

    # The module of a build with sanitizers needs their library in whoever loads it.
    if ($ENV{PYEXEC_SAN_PRELOAD}) {
        $ENV{LD_PRELOAD} = $ENV{PYEXEC_SAN_PRELOAD};
        $ENV{ASAN_OPTIONS} = 'detect_leaks=0';
    }
    exec @$before, var('httpd'), @arguments or POSIX::_exit(127);
}

sub stop_own
{
    my ($server) = @_;

    if (delete $own{ $server->{pid} }) {
        kill 'TERM', $server->{pid};
        kill 'CONT', $server->{pid}; # a test that died may have stopped it
        waitpid $server->{pid}, 0;
        kill 'KILL', -$server->{pid};
    }
    File::Path::remove_tree($server->{dir});
    return;
}

# Ends it by a signal, KILL with all of its children at once, and waits for
# that; run_own() starts it again.
sub end_own
{
    my ($server, $signal) = @_;

    delete $own{ $server->{pid} } or die 'it has ended before';
    kill $signal, $signal eq 'KILL' ? -$server->{pid} : $server->{pid};
    waitpid $server->{pid}, 0;
    return;
}

1;
