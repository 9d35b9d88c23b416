# SPDX-License-Identifier: Apache-2.0
# A forward proxy that anything may be asked of, with PyExecEgress: by schemes
# whose connections mod_proxy keeps to itself nothing is reached that it does not
# list. The same proxy without it shows that each of them would come through.
use strict;
use warnings FATAL => 'all';
use IO::Select ();
use IO::Socket::INET ();
use PyExec::Test;
use Test::More;

my ($libexec) = do {
    open my $in, '<', var('httpd_conf') or die "httpd.conf: $!";
    local $/ = undef;
    <$in> =~ m{LoadModule \S+ (\S+)/mod_unixd\.so};
};
my @schemes = qw(fcgi scgi ajp);
my @missing = grep { !-e "$libexec/mod_proxy_$_.so" } @schemes;
plan skip_all => "this httpd has no mod_proxy_@missing" if @missing;

my ($open, $public) = map { PyExec::Test::free_port() } 1 .. 2;
my $load = join '', map {
    "<IfModule !${_}_module>\nLoadModule ${_}_module $libexec/mod_$_.so\n</IfModule>\n"
} 'proxy', 'proxy_http', map { "proxy_$_" } @schemes;
my $server = own_server(<<"END");
$load
<Macro PyExecProxy \$port \$addresses>
    Listen 127.0.0.1:\$port
    <VirtualHost 127.0.0.1:\$port>
        ProxyRequests On
        ProxyTimeout 10
        <Proxy "*">
            Require all granted
        </Proxy>
        PyExecEgress \$addresses
    </VirtualHost>
</Macro>
Use PyExecProxy $open any
Use PyExecProxy $public public
END
my $backend = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die $!;

# Status, and how many bytes came to the backend: -1 without a connection.
sub ask
{
    my ($port, $scheme) = @_;
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 60) or die $!;
    my $both = IO::Select->new($client, $backend);
    my $reached = -1;

    print $client "GET $scheme://127.0.0.1:" . $backend->sockport
                  . "/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    while (my @ready = $both->can_read(60)) {
        if (grep { $_ == $backend } @ready) {
            my $peer = $backend->accept;

            $reached = sysread($peer, my $bytes, 4096) // -2;
            close $peer;
            next;
        }
        last;
    }
    my ($status) = (<$client> // '') =~ m{^HTTP/1\.1 (\d+)};
    return ($status // 0, $reached);
}

for my $scheme ('http', @schemes) {
    my ($status, $reached) = ask($open, $scheme);

    cmp_ok($reached, '>', 0, "$scheme: without PyExecEgress it comes through");
    ($status, $reached) = ask($public, $scheme);
    is($status, 403, '... with it: refused');
    cmp_ok($reached, '<=', 0, '... and nothing was sent there');
}
for my $scheme (map({ uc } @schemes), 'ftp', 'proxy:fcgi', 'nothing') {
    my ($status, $reached) = ask($public, $scheme);

    like($status, qr/^40[03]$/, "$scheme: refused");
    is($reached, -1, '... without a connection');
}
like(error_log($server), qr/PYX0219: a request to mod_proxy was refused: of its scheme "PyExecEgress public"/,
     'it is told');
$server->{stop}->();

done_testing();
