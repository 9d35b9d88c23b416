# SPDX-License-Identifier: Apache-2.0
# An httpd's forward proxy as conf/egress.conf has it, with names, ports and
# addresses of a test's own, and a certificate for localhost.
package PyExec::Egress;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename ();
use PyExec::Test;

our @EXPORT = qw(egress_proxy egress_modules egress_certificate);

# The file with other values: each must be there.
sub changed
{
    my ($text, @changes) = @_;

    while (my ($what, $by) = splice @changes, 0, 2) {
        my $count = $text =~ s/\Q$what\E/$by/g;

        die "conf/egress.conf has no '$what'" unless $count;
    }
    return $text;
}

# A virtual host at `port` that lets through what is at localhost: with CONNECT
# `tls` (a port) and the targets of `more`, in plain `files` and the ports of
# `plain`; connections to `addresses` only, and logged in `log`.
sub egress_proxy
{
    my (%opt) = @_;
    my $file = File::Basename::dirname(var('locations')) . '/egress.conf';
    my $list = join ', ', map { "'$_'" } "localhost:$opt{tls}",
        @{ $opt{more} || [] };

    open my $in, '<', $file or die "$file: $!";
    local $/ = undef;
    return changed(scalar <$in>,
        'Listen 127.0.0.1:3128' => "Listen 127.0.0.1:$opt{port}",
        '<VirtualHost 127.0.0.1:3128>' => "<VirtualHost 127.0.0.1:$opt{port}>",
        'AllowCONNECT 443' => "AllowCONNECT $opt{tls}",
        "'api.example.com:443', 'example.org:443'" => $list,
        '#<Proxy "http://example.org/">' =>
            "<Proxy \"http://localhost:$opt{files}/\">",
        q(#    Require expr "%{REQUEST_METHOD} != 'CONNECT'") =>
            q(    Require expr "%{REQUEST_METHOD} != 'CONNECT'"),
        '    #</Proxy>' => join('', "    </Proxy>\n", map {
            "<Proxy \"http://localhost:$_/\">\n"
                . "Require expr \"%{REQUEST_METHOD} != 'CONNECT'\"\n</Proxy>\n"
            } @{ $opt{plain} || [] }),
        'PyExecEgress public' => "PyExecEgress $opt{addresses}",
        'logs/egress_log' => $opt{log});
}

# What it needs, and TLS.
sub egress_modules
{
    return join '', map {
        "<IfModule !${_}_module>\nLoadModule ${_}_module \""
            . httpd_module($_) . "\"\n</IfModule>\n"
    } qw(logio proxy proxy_http proxy_connect socache_shmcb ssl);
}

# In the files `key` and `cert` of a directory, for each name.
sub egress_certificate
{
    my ($dir, @names) = @_;
    my $names = join ',', map { "DNS:$_" } @names;

    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj"
           . " /CN=$names[0] -addext subjectAltName=$names"
           . " -keyout $dir/key -out $dir/cert 2>$dir/log") == 0
        or die 'openssl makes no certificate: ' . (slurp("$dir/log") // '');
    return;
}

sub slurp { return PyExec::Process::slurp(@_) }

1;
