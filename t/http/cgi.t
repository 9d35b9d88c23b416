# SPDX-License-Identifier: Apache-2.0
# A CGI script has httpd's own user, as PHP often has. It tries to have code run
# without httpd, and to find the token that it lacks: in memory, environment and
# descriptors of httpd and of the helper. The same attempts on a process of its
# own succeed.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $modules = var('modules_dir');

plan skip_all => 'there is no mod_cgid here' unless -e "$modules/mod_cgid.so";

my $server = own_server(<<"END");
LoadModule cgid_module "$modules/mod_cgid.so"
ScriptSock cgid.sock
PyExecPreload none
ScriptAlias "/cgi/" "@{[ var('t_dir') ]}/data/cgi/"
<Directory "@{[ var('t_dir') ]}/data/cgi">
    Require all granted
</Directory>
END
my $port = $server->{port};

attacked('after the start');
# What is forked from now on has the token in the memory that it inherits.
restarted();
attacked('after a restart');
is(run_code('/execute', 'print(6 * 7)', port => $port)->{output}, "42\n",
   'runs are served as ever');
$server->{stop}->();
done_testing();

sub restarted
{
    my $keeper = keeper($server->{pid});

    kill 'USR1', $server->{pid};
    ok(wait_for(sub { (keeper($server->{pid}) || $keeper) != $keeper }, 20), 'another keeper after a restart');
    ok(wait_for(sub { request('GET', '/health', port => $port)->{status} == 200 }, 20), '... which serves');
    return;
}

sub attacked
{
    my ($when) = @_;
    my $log_at = length error_log($server);
    my ($socket) = glob "$server->{dir}/pyexec/*.sock";
    # All but the inits of PID namespaces, which setns(2) needs to be dumpable and
    # which hold neither a descriptor nor a secret (slot.c).
    my @pids = map { $_->{Pid} }
        grep { $_->{Name} =~ /^(?:pyexec|apache2|httpd)/ && $_->{NSpid} !~ /\s1$/ }
        proc_status($server->{pid}), descendants($server->{pid});
    my $answer = request('GET', "/cgi/attack.py?$socket," . join(',', @pids),
                         port => $port);
    my $told = $answer->{json} || {};

    is($answer->{status}, 200, "$when: the script runs")
        or diag($answer->{body}, error_log($server));
    is($told->{uid}, as_root() ? getpwnam(var('user')) : $>,
       '... as httpd\'s user');
    is(json_text($told->{witness} || []),
       '["attach","environ","fd","maps","mem","pidfd_getfd","vm_readv"]',
       '... and its attempts are good ones');
    is($told->{connected}, 6, '... it can connect to the helper');
    is(json_text($told->{answers} || ['none']), '[]', '... which answers nothing');
    cmp_ok(scalar @pids, '>', 4, '... there are processes to look into');
    is(json_text($told->{reached} || ['none']), '[]', '... and none can be');
    # One line a second: which of them it names is chance.
    ok(wait_for(sub { substr(error_log($server), $log_at) =~ /PYX0330: closed a connection: / }, 5),
       '... the log tells');
    like(request('GET', '/metrics', port => $port)->{body},
         qr/^pyexec_up 1\n(?!.*^pyexec_runs_total\{[^}]*\} [1-9])/ms,
         '... and nothing was run');
    return;
}
