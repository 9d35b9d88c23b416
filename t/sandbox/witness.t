# SPDX-License-Identifier: Apache-2.0
# The corpus' attacks, run with plain python3 in a place that is thrown away:
# there each does what the sandbox keeps it from, or t/corpus/witness.jsonl says
# why it cannot. An attack that fails everywhere would show nothing.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

once_only();
my $dir = var('t_dir') . '/corpus';
my @files = map { "$dir/$_.jsonl" } qw(attacks witness);
my ($attacks, $witnesses) = map { my $file = $_;
    open my $in, '<', $file or die "$file: $!\n";
    [map { json_value($_) } grep { /\S/ } <$in>] } @files;

open my $out, '-|', '/usr/bin/python3', "$dir/witness.py", @files
    or die "witness.py: $!\n";
my @lines = <$out>;
close $out or die "witness.py failed\n";
chomp @lines;

plan skip_all => $1 if @lines && $lines[-1] =~ /^skip (.*)/;
plan tests => @$attacks + 3;
my %seen;
for my $line (@lines) {
    my ($not, $id, $rest) = $line =~ /^(not )?ok (\S+) (.*)$/
        or die "what is this: $line\n";

    ok(!$not, "$id: $rest");
    $seen{$id} = 1;
}
is_deeply([sort keys %seen], [sort map { $_->{id} } @$attacks],
          'every attack has its witness');
is(scalar(grep { ($_->{witness} // '') eq 'not run' && !$_->{why} } @$witnesses),
   0, 'what is not run has a reason');
cmp_ok(scalar(grep { !ref $_->{witness} && $_->{witness} eq 'differs' }
              @$witnesses), '>=', 140, 'most attacks succeed there');
