# SPDX-License-Identifier: Apache-2.0
# An index of packages (PEP 503) that a server of a test's own has on loopback,
# and a forward proxy that lets through nothing else.
package PyExec::Index;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Temp ();
use PyExec::Egress;
use PyExec::Test;

our @EXPORT = qw(index_make index_modules index_served);

# index_make($program, @arguments) has t/data/$program fill a directory:
# { www: the directory, removed with it; port: of the index, $program's second
# argument; url; proxy, tls: ports }
sub index_make
{
    my ($program, @arguments) = @_;
    my $source = var('locations') =~ s{/conf/locations\.conf$}{}r;
    my $www = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
    my %index = (www => $www, map { $_ => PyExec::Test::free_port() } qw(port proxy tls));

    chmod 0755, $www or die;
    system('/usr/bin/python3', "$source/t/data/$program", "$www", $index{port}, @arguments) == 0
        or die "$program: no index";
    system('chmod', '-R', 'a+rX', "$www") == 0 or die;
    $index{url} = "http://localhost:$index{port}/simple/";
    return \%index;
}

# What is needed for that, and @more.
sub index_modules
{
    return egress_modules() . join '', map {
        "<IfModule !${_}_module>\nLoadModule ${_}_module \"" . httpd_module($_) . "\"\n</IfModule>\n"
    } 'dir', @_;
}

# Lines for the server, behind those: each request is a line of `asked`, of the
# proxy one of `egress_log`. %opt is for egress_proxy().
sub index_served
{
    my ($index, %opt) = @_;

    return egress_proxy(port => $index->{proxy}, tls => $index->{tls}, files => $index->{port},
                        addresses => '127.0.0.1', log => 'egress_log', %opt) . <<"END";
Listen 127.0.0.1:$index->{port}
<VirtualHost 127.0.0.1:$index->{port}>
    ServerName localhost:$index->{port}
    DocumentRoot "$index->{www}"
    DirectoryIndex index.html
    <Directory "$index->{www}">
        Require all granted
    </Directory>
    <Files index.html>
        ForceType text/html
    </Files>
    CustomLog asked "%r"
</VirtualHost>
END
}

1;
