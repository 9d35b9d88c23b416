# SPDX-License-Identifier: Apache-2.0
# Configurations that no server need run with: what `httpd -t` says of them.
package PyExec::Config;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Temp ();
use PyExec::Test;

our @EXPORT = qw(config_test);

# config_test($text, define => name, bare => 1: without our own lines,
#             helper => path of another one than the server under test has)
# Returns { status, output } of httpd -t; in the output, FILE is the file's name. Line 1
# of the text is line 1 of the file.
sub config_test
{
    my ($text, %opt) = @_;
    my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
    my $helper = $opt{helper} || var('helper_program');
    my $user = as_root() ? "User " . var('user') . "\nGroup " . var('group') : '';
    my @define = map { ('-D', $_) } $opt{define} || ();
    my $output;

    chmod 0711, $dir or die;
    open my $conf, '>', "$dir/c.conf" or die;
    print $conf $text;
    close $conf or die;
    open $conf, '>', "$dir/httpd.conf" or die;
    print $conf <<"END";
ServerName main.example
Listen 127.0.0.1:1
ServerRoot "$dir"
DefaultRuntimeDir "$dir"
ErrorLog "$dir/error_log"
Include "@{[ var('httpd_conf') ]}"
LoadModule pyexec_module "@{[ var('module_file') ]}"
$user
@{[ $opt{bare} ? '' : var('helper_user') ]}
@{[ $opt{bare} ? '' : "PyExecHelperProgram \"$helper\"" ]}
Include "$dir/c.conf"
END
    close $conf or die;
    my $pid = open my $pipe, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        exec_httpd([], '-t', '-f', "$dir/httpd.conf", @define);
    }
    {
        local $/ = undef;
        $output = <$pipe>;
    }
    close $pipe;
    # What it says before it crashes is no verdict.
    die 'httpd -t ended by signal ' . ($? & 127) . ":\n$output" if $? & 127;
    $output =~ s{\Q$dir\E/c\.conf}{FILE}g;
    return { status => $? >> 8, output => $output };
}

1;
