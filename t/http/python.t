# SPDX-License-Identifier: Apache-2.0
# Two interpreters side by side: the second is the first one's files in another
# prefix (t/tools/prefix.sh), with a zygote program of its own.
use strict;
use warnings FATAL => 'all';
use Cwd ();
use File::Temp ();
use PyExec::Config;
use PyExec::Hide ();
use PyExec::Test;
use Test::More;

my $build = Cwd::realpath(var('t_dir') . '/python');
my $prefix = "$build/prefix";
my $second = "$build/libexec/pyexecd";
my $ask = <<'END';
import json, sys, os, ssl, sysconfig, _ctypes
print(json.dumps({'prefix': sys.prefix, 'executable': sys.executable,
                  'os': os.__file__, 'extension': _ctypes.__file__,
                  'path': sys.path, 'version': sys.version.split()[0]}))
END
my $run = q(import subprocess, sys
print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.prefix)'],
                     capture_output=True, text=True).stdout))
    =~ s/^\s+//gmr;

sub place
{
    my ($pool) = @_;

    return <<"END";
<Location "/$pool">
    SetHandler pyexec
    PyExecEngine On
    PyExecPolicy Off
    PyExecPool $pool
</Location>
END
}

# Its user must be able to read the second one.
sub is_readable
{
    my @names = split m{/}, $prefix;
    my $path = '';

    for (@names[1 .. $#names]) {
        $path .= "/$_";
        return 0 unless (stat $path)[2] & 01;
    }
    return 1;
}

plan skip_all => "$prefix is not for everyone to read" unless is_readable();

sub pool { return "<PyExecPool $_[0]>\nPyExecPreload none\n$_[1]\n</PyExecPool>\n" }

my $server = own_server(join('', pool('first', ''),
    pool('second', 'PyExecPython second'),
    pool('programs', "PyExecPython second\nPyExecProcesses 4"),
    (map { place($_) } qw(first second programs)),
    qq(<Location "/health-of-all">\nSetHandler pyexec-health\nPyExecMetrics On\n</Location>\n)),
    helper => $second);
END { $server->{stop}->() if $server }
# On a kernel that seems to have no user namespaces: without a root of its own.
my $low = own_server("PyExecPython second\nPyExecIsolation restricted\n"
    . pool('low', '') . place('low'), helper => $second, hide => ['userns']);
END { $low->{stop}->() if $low }

sub answer
{
    my ($pool, $code) = @_;

    return run_code("/$pool", $code,
                    port => ($pool eq 'low' ? $low : $server)->{port});
}

plan tests => 28;

# ---- side by side ----

my %said = map { $_ => json_value(answer($_, $ask)->{output}) || {} }
    qw(first second low);

for my $name (qw(second low)) {
    my $got = $said{$name};

    is($got->{prefix}, $prefix, "$name: its own prefix");
    is($got->{executable}, "$prefix/bin/python3", '... and program');
    like($got->{os}, qr{^\Q$prefix\E/lib/python3[^/]+/os\.py$}, '... library');
    like($got->{extension}, qr{^\Q$prefix\E/lib/}, '... extension modules');
    is_deeply([grep { $_ ne '' && !/^\Q$prefix\E/ } @{ $got->{path} }], [],
              '... and nothing of the other on its path');
}
like($said{first}{prefix} // 'none', qr{^/(?!\Q@{[ substr $prefix, 1 ]}\E)}, 'first: another prefix');
unlike(json_text($said{first}), qr/\Q$prefix\E/, '... in all');
is(answer('programs', $run)->{output} =~ s/\s+\z//r, $prefix,
   'a program of its own can be started, with its library');

# ---- who sees what ----

is(answer('first', "import os\nprint(os.path.exists('$prefix'))")->{output},
   "False\n",
   'the other\'s runs do not see its files');
is(answer('low', "try: open('$prefix/bin/python3')\n"
          . "except PermissionError: print('no')")->{output}, "no\n",
   'below isolation full a run reads the library alone');

# ---- what is told ----

my $usage = post_json('/second', { code => 'pass', usage => JSON::PP::true() },
                      port => $server->{port})->{json}{usage};
is($usage->{python}, $said{second}{version}, 'usage tells the version');
my $health = request('GET', '/health-of-all', port => $server->{port})->{json};
my %version = map { $_->{name} => $_->{python} } @{ $health->{pools} };
is($version{second}, $said{second}{version}, '/health tells it of a pool');
is($version{first}, $said{first}{version}, '... and of the other');
like(config_test(pool('p', 'PyExecPython second'), define => 'DUMP_PYEXEC',
                 helper => $second)->{output},
     qr/^ +PyExecPython +second +FILE:3$/m, 'the dump tells which');

my $check = qx('$second' --check@{[ as_root() ? ' --user=65534:65534' : '' ]});
is($? >> 8, 0, '--check tries each') or diag($check);
like($check, qr/^Isolation "full" PyExecPython second: reached and tested, Python \Q$said{second}{version}\E\.$/m,
     '... and says so');

# ---- mistakes ----

my $unknown = config_test(pool('p', 'PyExecPython python9'), helper => $second);
isnt($unknown->{status}, 0, 'an interpreter that is none: refused');
like($unknown->{output},
     qr/PYX0031: FILE:3: PyExecPython: .* not built for 'python9'; it was for: first second$/m,
     '... with those that there are');
my $default = config_test("PyExecPython second\n", helper => $second);
is($default->{status}, 0, 'outside of pools: accepted') or diag($default->{output});
like(config_test("PyExecPython python9\nPyExecEngine On\n", helper => $second)
         ->{output}, qr/PYX0031: FILE:1:/, '... and judged there');
like(config_test("PyExecPython ../x\n")->{output},
     qr{PyExecPython: '\.\./x' is not the name of an interpreter},
     'a path is no name');

# ---- the keeper's own refusal ----

# Started by a script, whose directory says nothing.
my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
chmod 0711, $dir or die;
open my $script, '>', "$dir/pyexecd" or die;
print $script "#!/bin/sh\nexec '$second' \"\$@\"\n";
close $script or die;
chmod 0755, "$dir/pyexecd" or die;
is(config_test(pool('p', 'PyExecPython python9'), helper => "$dir/pyexecd")
       ->{status}, 0, 'where the programs cannot be seen -t leaves it');
my $refused = own_server(pool('p', 'PyExecPython python9'),
                         helper => "$dir/pyexecd", health => 503);
ok(wait_for(sub {
    PyExec::Test::error_log($refused) =~ /PYX0310: .*wants an interpreter/;
}, 10), '... to the helper, which serves nothing');
$refused->{stop}->();
