# SPDX-License-Identifier: Apache-2.0
# A cluster on this machine: a front and nodes, each an httpd of its own with
# the files of conf/cluster, of which only what an administrator edits is
# changed. The nodes see the front as 127.0.0.2.
package PyExec::Cluster;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use PyExec::Process qw(slurp);
use PyExec::Test;
use Test::More ();
use Time::HiRes qw(sleep);

our @EXPORT = qw(cluster_start node_of node_log front_log front_members
    wait_for_members drain undrain node_runs);

my @front_modules = qw(slotmem_shm watchdog proxy proxy_http proxy_balancer
    proxy_hcheck lbmethod_bybusyness asis remoteip);

sub conf_dir { return dirname(var('locations')) . '/cluster' }

# LoadModule lines; what is built into httpd has no file.
sub load_modules
{
    return join '', map { my $file = httpd_module($_);
        -f $file ? "<IfModule !${_}_module>\nLoadModule ${_}_module \"$file\"\n</IfModule>\n"
                 : '' } @_;
}

# A file of conf/cluster with other values; each must be there.
sub edited
{
    my ($file, @pairs) = @_;
    my $text = slurp(conf_dir() . "/$file") or die "$file: $!";

    while (my ($from, $to) = splice @pairs, 0, 2) {
        $text =~ s/$from/$to/mg or die "$file has no $from";
    }
    return $text;
}

# Its reader is httpd's user.
sub place
{
    my ($dir, $name, $text) = @_;

    open my $out, '>', "$dir/$name" or die "$dir/$name: $!";
    print $out $text;
    close $out or die;
    chmod 0644, "$dir/$name" or die;
    return;
}

sub shared_dir
{
    my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');

    chmod 0755, $dir or die;
    for my $file (qw(lost.asis absent.asis refused.asis)) {
        place($dir, $file, slurp(conf_dir() . "/$file"));
    }
    return $dir;
}

sub start_node
{
    my ($shared, $number, $port, $extra) = @_;
    my $text = edited('node.conf',
        '^Define PYEXEC_NODE_LISTEN .*' => "Define PYEXEC_NODE_LISTEN \"$port\"",
        '^Listen .*' => "Listen 127.0.0.1:$port",
        '^Define PYEXEC_FRONTS .*' => 'Define PYEXEC_FRONTS "127.0.0.2"',
        '^Define PYEXEC_DRAIN .*' => "Define PYEXEC_DRAIN \"$shared/drain$number\"",
        '^Define PYEXEC_NODE_LOGS .*' => "Define PYEXEC_NODE_LOGS \"$shared/node$number\"",
        'ServerName pyexec\.example' => "ServerName localhost\nServerAlias 127.0.0.1 x");

    mkdir "$shared/node$number", 0755 or die;
    place($shared, "node$number.conf", $text);
    return own_server(load_modules('remoteip') . <<"END", port => $port, bare => 1);
LoadModule pyexec_module "@{[ var('module_file') ]}"
LogLevel info
@{[ var('helper_user') ]}
PyExecHelperProgram "@{[ var('helper_program') ]}"
Header always set X-Test-Node "$number"
Include "$shared/node$number.conf"
$extra
END
}

sub start_front
{
    my ($shared, $interval, @ports) = @_;
    my $port = PyExec::Test::free_port();
    my $text = edited('front.conf',
        '^Define PYEXEC_CLUSTER .*' => "Define PYEXEC_CLUSTER \"$shared\"",
        '^Define PYEXEC_FRONT_LISTEN .*' => "Define PYEXEC_FRONT_LISTEN \"$port\"",
        '^Listen .*' => "Listen 127.0.0.1:$port",
        '^Define PYEXEC_FRONT_LOGS .*' => "Define PYEXEC_FRONT_LOGS \"$shared\"",
        'hcinterval=2 ' => "hcinterval=$interval ",
        '^ *BalancerMember "http://192.0.2.1[23].*' => '',
        '^ *BalancerMember "http://192.0.2.11.*' => join("\n",
            map { "BalancerMember \"http://127.0.0.1:$_\" \${PYEXEC_NODE}" } @ports),
        'ServerName pyexec\.example' => 'ServerName localhost');

    place($shared, 'front.conf', $text);
    # There is no HTTP/2 with prefork.
    return own_server(load_modules(@front_modules, mpm() eq 'prefork' ? () : 'http2')
        . <<"END", port => $port, bare => 1);
LogLevel info proxy_hcheck:debug
<IfModule http2_module>
    Protocols h2c http/1.1
    H2Direct on
</IfModule>
ProxySourceAddress 127.0.0.2
Include "$shared/front.conf"
END
}

# cluster_start(nodes => 3, node => configuration, interval => of the checks)
# Returns { front, port, nodes, shared }; all of it is up.
sub cluster_start
{
    my (%opt) = @_;
    my @ports = map { PyExec::Test::free_port() } 1 .. $opt{nodes} || 3;
    my $cluster = { shared => shared_dir() };

    $cluster->{nodes} = [map { start_node($cluster->{shared}, $_,
        $ports[$_ - 1], $opt{node} || '') } 1 .. @ports];
    $cluster->{front} = start_front($cluster->{shared}, $opt{interval} || '200ms',
                                    @ports);
    $cluster->{port} = $cluster->{front}{port};
    return $cluster;
}

# ---- looking at it ----

# The number of the node that gave an answer.
sub node_of { return $_[0]{headers}{'x-test-node'} || 0 }

sub front_log { return slurp("$_[0]{shared}/pyexec_front.log") // '' }

sub node_log
{
    my ($cluster, $number) = @_;

    return slurp("$cluster->{shared}/node$number/pyexec_node.log") // '';
}

# What the front thinks of its nodes: a text for each, as on its own page.
sub front_members
{
    my ($cluster) = @_;
    my $page = request('GET', '/balancer-manager',
                       port => $cluster->{port})->{body};

    return map {
        my $port = $_->{port};

        $page =~ m{http://127\.0\.0\.1:$port</a></td>.*?<td>((?:Init|Ok|[A-Z])[^<]*)</td>}s
            ? $1 : 'unknown';
    } @{ $cluster->{nodes} };
}

# Waits until the front uses exactly those nodes.
sub wait_for_members
{
    my ($cluster, @wanted) = @_;
    my %wanted = map { $_ => 1 } @wanted;
    my @are;

    return 1 if wait_for(sub {
        my $number = 0;

        @are = front_members($cluster);
        return @are == @{ $cluster->{nodes} }
            && !grep { $number++; $_ eq 'unknown' || !$wanted{$number} == !/HcFl|Err/ } @are;
    }, 30);
    Test::More::diag('the nodes are ' . join ', ', @are);
    return;
}

sub drain
{
    my ($cluster, $number) = @_;

    place($cluster->{shared}, "drain$number", '');
    return;
}

sub undrain { return unlink "$_[0]{shared}/drain$_[1]" }

# Runs that go on or wait, by the node's own word.
sub node_runs
{
    my ($cluster, $number) = @_;
    my $text = raw("GET /metrics HTTP/1.1\r\nHost: pyexec-node\r\n"
        . "Connection: close\r\n\r\n",
        port => $cluster->{nodes}[$number - 1]{port})->{body};
    my $sum = 0;

    return -1 unless $text =~ /^pyexec_up 1$/m;
    $sum += $1 while $text =~ /^pyexec_(?:running|queue_length)\{.*\} (\d+)$/mg;
    return $sum;
}

1;
