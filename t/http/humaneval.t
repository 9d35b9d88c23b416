# SPDX-License-Identifier: Apache-2.0
# 164 real programs (openai/human-eval, MIT licence): each ends with status 0
# and prints nothing, with the policy in front of it and without.
use strict;
use warnings FATAL => 'all';
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use PyExec::Test;
use Test::More;

once_only();
my @places = ('/compat/code/execute', '/policy-off/execute');
my @programs = programs();

plan tests => 1 + @places * @programs;
is(scalar @programs, 164, 'all programs are there');
for my $place (@places) {
    for my $program (@programs) {
        my $got = run_code($place, $program->{source});

        is_deeply([@$got{qw(returncode output error)}], [0, '', ''],
                  "$program->{name} at $place");
    }
}

sub programs
{
    my $file = var('t_dir') . '/data/HumanEval.jsonl.gz';
    my $text;

    gunzip $file => \$text or die "$file: $GunzipError";
    return map {
        my $problem = json_value($_);

        { name => $problem->{task_id},
          source => "$problem->{prompt}$problem->{canonical_solution}\n"
            . "$problem->{test}\ncheck($problem->{entry_point})\n" }
    } grep { /\S/ } split /\n/, $text;
}
