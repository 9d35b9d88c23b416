# SPDX-License-Identifier: Apache-2.0
# An MPM that becomes another user for each request (mpm-itk): that user needs
# PyExecSocketMode or PyExecSocketOwner to reach the helper, and nothing else,
# for the token is what lets a request in.
use strict;
use warnings FATAL => 'all';
use PyExec::Process qw(slurp);
use PyExec::Test;
use Test::More;

my @asked = ('games', 'news');
my $modules = var('modules_dir');

plan skip_all => 'only root becomes others' unless as_root();
plan skip_all => 'there is no mpm-itk here (libapache2-mpm-itk)'
    unless -e "$modules/mpm_itk.so" && -e "$modules/mod_mpm_prefork.so";

reached('a mode for all', 'PyExecSocketMode 0666', '666', 'root');
reached('a group', "PyExecSocketMode 660\nPyExecSocketOwner root:$asked[0]", '660',
        $asked[0]);
not_reached();
done_testing();

# The same as the server under test, with another MPM.
sub itk_server
{
    my ($directives, $health) = @_;
    my $others = slurp(var('httpd_conf'))
        =~ s{<IfModule !mpm_\w+_module>.*?</IfModule>\n}{}sr;
    my @host = map { PyExec::Test::free_port() } 1;
    my $server = own_server(<<"END", modules => <<"MODULES", health => $health);
$directives
PyExecPreload none
PyExecMaxQueue 4
AssignUserID $asked[0] $asked[0]
Listen 127.0.0.1:$host[0]
<VirtualHost *:$host[0]>
    ServerName other.example
    AssignUserID $asked[1] $asked[1]
</VirtualHost>
END
LoadModule mpm_prefork_module "$modules/mod_mpm_prefork.so"
LoadModule mpm_itk_module "$modules/mpm_itk.so"
$others
MODULES
    $server->{other} = $host[0];
    return $server;
}

sub socket_of
{
    my ($server) = @_;

    return (glob "$server->{dir}/pyexec/*.sock")[0];
}

sub reached
{
    my ($name, $directives, $mode, $group) = @_;
    my $server = itk_server($directives, 200);
    my @stat = stat socket_of($server);

    is(run_code('/execute', 'print(6 * 7)', port => $server->{port})->{output},
       "42\n", "$name: a run as another user");
    is(sprintf('%o', $stat[2] & 0777), $mode, "$name: the socket's mode");
    if ($name eq 'a group') {
        is($stat[5], scalar getgrnam $group, "$name: its group");
        refused($name, $server, $server->{other}, $asked[1]);
    }
    else {
        is(run_code('/execute', 'print(6 * 7)', port => $server->{other})->{output},
           "42\n", "$name: and as a third one");
    }
    unlike(error_log($server), qr/wrong token/, "$name: by the token");
    $server->{stop}->();
    return;
}

sub refused
{
    my ($name, $server, $port, $user) = @_;
    my $answer = post_json('/execute', { code => 'print(1)' }, port => $port);
    my $uid = getpwnam $user;

    is($answer->{status}, 503, "$name: $user, who may not, gets 503");
    ok($answer->{headers}{'retry-after'} && ref $answer->{json} eq 'HASH',
       "$name: which says when to try again");
    ok(wait_for(sub {
        error_log($server) =~ /PYX0217: run \S+ cannot be passed on: user $uid, .*PyExecSocketMode and PyExecSocketOwner/
    }, 5), "$name: the log names user and directives");
    return;
}

sub not_reached
{
    my $server = itk_server('', 503);

    refused('without directives', $server, $server->{port}, $asked[0]);
    $server->{stop}->();
    return;
}
