# SPDX-License-Identifier: Apache-2.0
# The dialects: their documented contracts, word for word (dialects.jsonl), and
# what else they promise (more.jsonl), a line a test.
use strict;
use warnings FATAL => 'all';
use PyExec::Case;
use PyExec::Test;
use Test::More;

my @cases = map { data_lines($_) } 'dialects.jsonl', 'more.jsonl';
my %seen;

plan tests => 1 + @cases;
is(join(' ', grep { $seen{$_}++ } map { $_->{id} } @cases), '',
   'no two cases have one name');
for my $case (@cases) {
    my @faults = faults($case, ask($case));

    ok(!@faults, $case->{id});
    diag("$case->{id}: $_") for @faults;
}
