# SPDX-License-Identifier: Apache-2.0
# The helper as a service (PyExecHelper unix:/path): who starts first, who is
# killed, who may say how it serves, and that nobody waits for nobody.
use strict;
use warnings FATAL => 'all';
use PyExec::Load;
use PyExec::Service;
use PyExec::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $pools = "PyExecPreload none\nPyExecConcurrency 2\nPyExecTimeout 20\n"
    . "KeepAliveTimeout 60\nMaxKeepAliveRequests 0";
# httpd looks every ten seconds whether the service is there.
my $look_s = 25;

my $place = service_place();
my $server;

httpd_first();
served();
graceful_under_load();
keeper_killed();
crashes();
another_httpd();
back_to_spawn();
service_killed();
service_told_to_end();
for my $how ('perl', 'activated') {
    activated($how);
}
done_testing();

sub httpd
{
    my ($where, %opt) = @_;

    return own_server($opt{more} // $pools, who => $where->{directive},
                      health => $opt{health} || 200);
}

sub answer_of
{
    my ($port) = @_;

    return post_json('/execute', { code => 'print(6 * 7)' }, port => $port);
}

sub is_well
{
    my $answer = answer_of($_[0] || $server->{port});

    return $answer->{status} == 200 && $answer->{json}{output} eq "42\n";
}

# 503 with Retry-After at once, and not when the queue's time is over.
sub refused_at_once
{
    my ($name, $port) = @_;
    my $answer;
    my $took = seconds(sub { $answer = answer_of($port || $server->{port}) });

    is($answer->{status}, 503, "$name: 503");
    ok($answer->{headers}{'retry-after'} && ref $answer->{json} eq 'HASH'
       && $took < 5, "$name: when to try again, at once") or diag($took);
    return;
}

# One place of the log that was not there at $from.
sub logged
{
    my ($pattern, $name, $log) = @_;

    ok(wait_for(sub { ($log ? $log->() : error_log($server)) =~ $pattern }, 10),
       "$name: the log tells");
    return;
}

sub httpd_first
{
    $server = httpd($place, health => 503);
    refused_at_once('no service');
    logged(qr/:crit\].*PYX0112: the service at '\Q$place->{path}\E' cannot be used.*cannot connect to/,
           'no service');
    logged(qr/PYX0216: run \S+ refused at once: there is no helper/,
           'no service: the run');
    like(request('GET', '/metrics', port => $server->{port})->{body},
         qr/^pyexec_up 0$/m, 'no service: the metrics');
    service_start($place);
    ok(wait_for(\&is_well, $look_s), 'a service that comes after httpd serves');
    logged(qr/PYX0111: the service at/, 'a service that comes after httpd');
    return;
}

sub served
{
    my $health = request('GET', '/health', port => $server->{port})->{json};
    my @state = stat "$place->{dir}/setup";
    my @control = stat "$place->{path}.control";

    is($health->{status}, 'healthy', 'the health answer is the keeper\'s');
    like(request('GET', '/metrics', port => $server->{port})->{body},
         qr/^pyexec_up 1$/m, 'so are the metrics');
    ok(!grep({ $_->{Name} =~ /^pyexec/ } descendants($server->{pid})),
       'httpd has started no helper');
    is(sprintf('%o', $state[2]), '100600', 'the set-up is kept for its owner');
    is(sprintf('%o', $control[2] & 0777), '600', '... who has the control socket');
    like(run_code('/execute', "try:\n    open('$place->{dir}/setup')\n    print('open')\n"
                  . "except OSError as e:\n    print(type(e).__name__)",
                  port => $server->{port})->{output}, qr/^(?:FileNotFound|Permission)Error$/,
         'no run can open it');
    is((proc_status(keeper($place->{pid}))->{Uid} =~ /^(\d+)/)[0],
       as_root() ? getpwnam('daemon') : $>, 'the keeper runs as whom it shall');
    return;
}

sub graceful_under_load
{
    my $old = keeper($place->{pid});
    my $load = load_start($server->{port}, '--clients', 8);
    my $long = started($server->{port}, "import time\ntime.sleep(4)\nprint('survived')");
    my ($done, $answer);

    sleep 1;
    kill 'USR1', $server->{pid};
    ok(wait_for(sub { (keeper($place->{pid}) || $old) != $old }, 20),
       'graceful: another keeper serves');
    sleep 1;
    kill 'HUP', $place->{pid};
    sleep 1;
    $done = load_end($load);
    is($done->{bad}, 0, 'graceful, and the service\'s SIGHUP: no request fails')
        or diag(json_text($done));
    is(join(' ', keys %{ $done->{statuses} }), '200', '... none gets another status')
        or diag(json_text($done));
    $answer = raw_answer($long, 30);
    is($answer && $answer->{json}{output}, "survived\n",
       '... a long run survives both');
    ok(wait_for(sub { 1 == keepers($place->{pid}) }, 10), '... one keeper is left');
    return;
}

sub keeper_killed
{
    my $old = keeper($place->{pid});
    my $socket = started($server->{port}, 'while True: pass');
    my $answer;

    ok(spinning_job($place->{pid}), 'keeper killed: a run goes on');
    kill 'KILL', $old;
    $answer = raw_answer($socket, 10);
    is($answer && $answer->{status}, 503, 'keeper killed: its run is told');
    ok(wait_for(\&is_well, 10), '... and the next one works');
    logged(qr/PYX0514: keeper $old ended by signal 9/, 'keeper killed',
           sub { service_log($place) });
    return;
}

# From the third death on there is a pause, in which nobody is kept waiting.
sub crashes
{
    for (1 .. 3) {
        my $keeper = wait_for(sub { keeper($place->{pid}) }, 10) or last;

        kill 'KILL', $keeper;
        wait_for(sub { (keeper($place->{pid}) || 0) != $keeper }, 10);
    }
    ok(service_says($place, qr/PYX0515: .*crashed \d times/), 'crashes: a pause');
    refused_at_once('crashes');
    logged(qr/PYX0215: run \S+ refused at once: the service's keeper crashes/,
           'crashes');
    ok(wait_for(\&is_well, 20), 'crashes: it comes back');
    return;
}

# What it left behind (socket, set-up) is what the next one begins with.
sub service_killed
{
    my @ours = descendants($place->{pid});
    my $generation = () = error_log($server) =~ /PYX0111/g;

    # It would look, sooner or later; its children serve all the same.
    kill 'STOP', $server->{pid};
    service_stop($place, 'KILL');
    ok(wait_for(sub { !grep { is_alive($_->{Pid}) } @ours }, 5),
       'service killed: its keeper ends, and all that it has');
    refused_at_once('service killed');
    service_start($place);
    ok(wait_for(\&is_well, 10), 'service killed: the next one serves');
    is(scalar(() = error_log($server) =~ /PYX0111/g), $generation,
       '... without httpd') or diag(error_log($server));
    kill 'CONT', $server->{pid};
    ok(service_says($place, qr/PYX0533: /), '... with the set-up that was kept');
    return;
}

sub service_told_to_end
{
    my $socket = started($server->{port},
                         "import time\ntime.sleep(4)\nprint('survived')");
    my $said = length service_log($place);
    my $answer;

    wait_for(sub { request('GET', '/health', port => $server->{port})
                       ->{json}{running} }, 10);
    kill 'TERM', $place->{pid};
    ok(wait_for(sub {
        substr(service_log($place), $said) =~ /PYX0536: .*PYX0322: draining/s;
    }, 10), 'told to end: both begin to');
    refused_at_once('told to end');
    $answer = raw_answer($socket, 20);
    is($answer && $answer->{json}{output}, "survived\n",
       'told to end: what runs may finish');
    is(service_stop($place), 0, '... and then it leaves in peace');
    ok(!-e $place->{path} && !-e "$place->{path}.control",
       '... without its sockets');
    service_start($place);
    ok(wait_for(\&is_well, 10), 'told to end: the next one serves');
    $server->{stop}->();
    service_stop($place);
    return;
}

# One owner at a time. A set-up that others may have read, or that is broken, is
# not used; who waits for the service gets it when the first httpd is gone.
sub another_httpd
{
    my $state = "$place->{dir}/setup";
    my $other = httpd($place, health => 503);

    refused_at_once('another httpd', $other->{port});
    like(error_log($other), qr/PYX0112: .*another httpd, process $server->{pid} of user/,
         'another httpd: its log tells whose the service is');
    ok(is_well(), 'another httpd: the first one is served');
    # Neither looks for the service meanwhile.
    kill 'STOP', $server->{pid}, $other->{pid};
    service_stop($place, 'KILL');
    chmod 0644, $state or die;
    service_start($place);
    ok(service_says($place, qr/PYX0532: .* not used: it must be a file of the service's user with mode 0600/),
       'an open set-up file is not used');
    refused_at_once('no set-up');
    logged(qr/PYX0215: run \S+ refused at once: the service has no set-up yet/,
           'no set-up');
    service_stop($place);
    open my $out, '>', $state or die;
    print $out wire_frame(8, 'x' x 100);
    close $out or die;
    chmod 0600, $state or die;
    service_start($place);
    ok(service_says($place, qr/PYX0532: .* not used: the set-up is not to be/),
       'nor is a broken one');
    kill 'CONT', $server->{pid}, $other->{pid};
    $server->{stop}->();
    ok(wait_for(sub { is_well($other->{port}) }, $look_s),
       'another httpd: served when the first one has ended');
    $server = $other;
    return;
}

sub back_to_spawn
{
    my $file = "$server->{dir}/httpd.conf";
    my $text = do { local (@ARGV, $/) = $file; <> };
    my $helper = var('helper_user') . "\nPyExecHelperProgram \""
        . var('helper_program') . '"';

    $text =~ s/^PyExecHelper unix:.*$/$helper/m or die;
    open my $out, '>', $file or die;
    print $out $text;
    close $out or die;
    kill 'USR1', $server->{pid};
    ok(wait_for(sub { keeper($server->{pid}) }, 10) && wait_for(\&is_well, 10),
       'back to spawn: httpd has a helper of its own');
    ok(service_says($place, qr/PYX0520: httpd process $server->{pid} has left/),
       '... and has let the service go');
    $server->{stop}->();
    $server = httpd($place);
    return;
}

sub activated
{
    my ($how) = @_;

  SKIP: {
        skip 'no systemd-socket-activate here', 3 if $how eq 'activated'
            && !grep { -x "$_/systemd-socket-activate" } split /:/, $ENV{PATH};
        my $here = service_place();

        service_start($here, how => $how);
        my $own = httpd($here);

        ok(is_well($own->{port}), "$how: runs are served");
        is(service_stop($here), 0, "$how: it ends in peace");
        ok(-S $here->{path}, "$how: and leaves the sockets to whose they are");
        $own->{stop}->();
    }
    return;
}
