# SPDX-License-Identifier: Apache-2.0
# CPython's own tests inside a job: a legitimate program notices nothing of the
# sandbox. t/data/cpython-tests.txt lists the modules; a test may fail only for
# want of what scripts do not get.
use strict;
use warnings FATAL => 'all';
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

once_only();
plan skip_all => "CPython's tests are not installed"
    unless glob '/usr/lib/python3.*/test/test_math.py';

my %wants = (
    files => qr/PermissionError: \[Errno 1\]|No usable temporary directory/,
    processes => qr/PermissionError: \[Errno 1\]/,
    threads => qr/can't start new thread/,
);
my $program = do { local $/ = undef; <DATA> };

open my $in, '<', var('t_dir') . '/data/cpython-tests.txt' or die "$!\n";
my @modules = map { [split] } grep { !/^(?:#|\s*$)/ } <$in>;
plan tests => 2 * @modules;

my @answers = in_parallel(3, sub {
    my $answer = run_code("/t/cpython", $program =~ s/MODULE/$_[0][0]/r);

    return { output => $answer->{output}, error => $answer->{error} };
}, @modules);
for my $row (@modules) {
    my ($module, @words) = @$row;
    my $answer = shift @answers;
    my $output = $answer->{output} // '';
    my ($run) = $output =~ /^RUN (\d+)$/m;
    my @bad = $output =~ /^BAD (.*)$/mg;

    for my $word (@words) {
        @bad = grep { $_ !~ $wants{$word} } @bad;
    }
    cmp_ok($run // 0, '>', 0, "$module: tests ran")
        or diag(substr($answer->{error} // '', -500));
    is("@bad", '', "$module: none fails for another reason");
}

__DATA__
import importlib, io, sys, unittest
sys.argv = ['script.py']
from test import support
support.verbose = False
tests = unittest.defaultTestLoader.loadTestsFromModule(
    importlib.import_module('test.MODULE'))
result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(tests)
print('RUN', result.testsRun)
for test, text in result.failures + result.errors:
    print('BAD', test.id(), '|', text.strip().split('\n')[-1][:200])
