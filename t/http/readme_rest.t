# SPDX-License-Identifier: Apache-2.0
# What README.md shows outside of the chapters that t/http/readme.t and
# t/http/install.t are about: each block is run here with other ports and paths,
# or is run somewhere else, in the
# same words, or nobody would notice when it is wrong.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use IO::Socket::UNIX ();
use PyExec::Config;
use PyExec::Test;
use Socket qw(SOCK_STREAM);
use Test::More;

my $source = var('locations') =~ s{/conf/locations\.conf$}{}r;
my $readme = slurp_file("$source/README.md")
    =~ s/^## Put it into your server\n.*?^(?=## What a request looks like$)//msr
    =~ s/^## Let clients install packages\n.*?^(?=## )//msr;
my $container = slurp_file("$source/conf/doc/container.md");
my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
# Of lines, the first of each that begins so.
my @known = (
    # t/tools/try_run.sh, and whoever runs these tests so.
    [qr{\A\./bootstrap (?:run|check)$}, sub { -x "$source/bootstrap" }],
    [qr{\Acurl }, \&answers],
    [qr/\A\{/, sub { defined json_value($_[0]) }],
    [qr/\Apyexecd --service /, \&serves],
    # t/http/python.t
    [qr/\A\.\/configure --with-python=\S+,\S+$/, sub { 1 }],
    [qr/\A<PyExecPool new>/, \&accepted],
    [qr/\A<PyExecPool apis>/, \&accepted],
    [qr/\Adocker run .* …$/, sub { 1 }], # what is not needed here
    [qr/\Adocker build /, \&is_in_the_page],
);

chmod 0711, $dir or die;
my @blocks = map { s/^ {4}//mgr =~ s/\n\z//r } grep { !/^ {5}/ }
    $readme =~ /((?:^ {4}[^\n]*\n)+)/mg;
plan tests => 1 + @blocks;
cmp_ok(scalar @blocks, '>=', @known, 'blocks were found');
for my $n (0 .. $#blocks) {
    my $block = $blocks[$n];
    my ($first) = $block =~ /\A(.{1,60})/;
    my ($known) = grep { $block =~ $_->[0] } @known;

    ok($known && $known->[1]->($block, $blocks[$n + 1]), $first);
}

sub slurp_file { return PyExec::Test::slurp($_[0]) // die "$_[0]: $!" }

# The command's answer is the next block, or has the usage that the text
# promises.
sub answers
{
    my ($typed, $shown) = @_;
    my $count = $typed =~ s{http://127\.0\.0\.1:8080/}{"http://127.0.0.1:@{[ var('port') ]}/"}ge;
    my $got = $count == 1 ? json_value(scalar `$typed`) : undef;
    my $wanted = json_value($shown);

    return $got && $got->{output} eq "hi\n" && $got->{usage}{ended_by} eq 'done'
        if $typed =~ /"usage"/;
    delete $_->{execution_time} for grep { $_ } $got, $wanted;
    return $got && $wanted && json_text($got) eq json_text($wanted);
}

sub serves
{
    my ($typed) = @_;
    my $program = var('service_program');
    my $socket = "$dir/runs.sock";
    my ($pid, $client, $said);

    $typed =~ s/^pyexecd/$program/;
    $typed =~ s{--socket=\S+}{--socket=$socket};
    $typed =~ s{--state=\S+}{--state=$dir/setup};
    # A user that there is; only root can become another one.
    $typed =~ s{ --user=pyexec}{as_root() ? ' --user=daemon' : ''}e or return 0;
    $pid = fork // die "fork: $!";
    exec "exec $typed 2>$dir/log" or POSIX::_exit(127) if !$pid;
    # The file is there before anybody listens.
    wait_for(sub {
        $client = IO::Socket::UNIX->new(Peer => $socket, Type => SOCK_STREAM)
            || !is_alive($pid);
    }, 10);
    sysread $client, $said, 4096 if ref $client;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    return 1 if $? == 0 && ($said // '') =~ /no set-up yet/;
    diag("status $?, said ", $said // 'nothing', "\n", slurp_file("$dir/log"));
    return 0;
}

# httpd -t of it, with an interpreter and a directory that are there.
sub accepted
{
    my ($text) = @_;
    my $python = run_code('/policy-off/execute',
        "import sys\nprint('python%d.%d' % sys.version_info[:2], end='')")->{output};
    my $modules = join '', map { my $file = httpd_module($_);
        "<IfModule !${_}_module>\nLoadModule ${_}_module $file\n</IfModule>\n"
    } qw(logio proxy proxy_http proxy_connect);
    my $said;

    $text =~ s/python3\.12$/$python/m;
    mkdir "$dir/site-packages", 0755;
    $text =~ s{/srv/new/\S+}{$dir/site-packages};
    # With a directory for its log that is there.
    open my $egress, '>', "$dir/egress.conf" or die;
    print $egress slurp_file("$source/conf/egress.conf") =~ s{logs/}{$dir/}r;
    close $egress or die;
    $text =~ s{conf/egress\.conf}{"$dir/egress.conf"};
    $said = config_test("$modules$text\n");
    diag($said->{output}) if $said->{status} != 0;
    return $said->{status} == 0;
}

# Run with podman by t/container: the same options.
sub is_in_the_page
{
    my ($block) = @_;
    my ($build, $run, @more) = split /\n/, $block;
    my ($built) = $container =~ /^podman (build -t .*)$/m;
    my ($ran) = $container =~ /^docker run -d --name pyexec (.*)$/m;

    return !@more && $build eq "docker $built" && $run eq "docker run $ran";
}
