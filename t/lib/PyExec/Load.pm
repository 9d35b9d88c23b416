# SPDX-License-Identifier: Apache-2.0
# Busy clients beside a test (t/lib/load.py), and runs that it does not wait
# for.
package PyExec::Load;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Open2 qw(open2);
use PyExec::Test;

our @EXPORT = qw(load_start load_end started);

# load_start($port, options of load.py ...)
sub load_start
{
    my ($port, @options) = @_;
    my $pid = open2(my $out, my $in, '/usr/bin/python3', '-B',
        var('t_dir') . '/lib/load.py', '--port', $port, @options);

    return { pid => $pid, out => $out, in => $in };
}

# What came of it: the JSON object of load.py, or what fails all comparisons.
sub load_end
{
    my ($load) = @_;
    my $text;

    close $load->{in};
    {
        local $/ = undef;
        $text = readline $load->{out};
    }
    waitpid $load->{pid}, 0;
    return json_value($text) || { answers => 0, statuses => {}, bad => -1,
                                  examples => ['the load generator failed'] };
}

# Starts a run without waiting for it; raw_answer() has its answer later.
sub started
{
    my ($port, $source, $path) = @_;
    my $socket = raw_open(port => $port);
    my $body = json_text({ code => $source, timeout => 30 });

    print $socket 'POST ' . ($path || '/policy-off/execute') . " HTTP/1.1\r\n"
        . "Host: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return $socket;
}

1;
