# SPDX-License-Identifier: Apache-2.0
# The dialects: their documented contracts, word for word (dialects.jsonl), and
# what else they promise (more.jsonl), a line a test.
use strict;
use warnings FATAL => 'all';
use PyExec::Case;
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

once_only();
my @cases = map { data_lines($_) } 'dialects.jsonl', 'more.jsonl';
my %seen;

plan tests => 1 + @cases;
is(join(' ', grep { $seen{$_}++ } map { $_->{id} } @cases), '',
   'no two cases have one name');
# As many at once as the server under test runs.
my @faults = in_parallel(4, sub { [faults($_[0], ask($_[0]))] }, @cases);
for my $case (@cases) {
    my @faults = @{ shift @faults };

    ok(!@faults, $case->{id});
    diag("$case->{id}: $_") for @faults;
}
