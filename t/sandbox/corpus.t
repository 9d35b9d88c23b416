# SPDX-License-Identifier: Apache-2.0
# The corpus of attacks, honest programs and abusive requests, each with the
# policy on and with the kernel layers alone. t/corpus/replay.py sends the cases
# and judges the answers; every case is a test here.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my $dir = var('t_dir') . '/corpus';
# AddressSanitizer has a handler of its own for a null dereference, and ends
# with status 1.
my %instead = ('lim-080' => 1);
my @modes = (['on', '/execute'], ['off', '/policy-off/execute']);

# Fewer cases than the files hold would mean that something was passed over.
my $cases = 0;
for my $name (qw(attacks faithful requests)) {
    open my $in, '<', "$dir/$name.jsonl" or die "$name: $!\n";
    $cases += grep { /\S/ } <$in>;
}

for my $mode (@modes) {
    my ($policy, $path) = @$mode;
    my $url = 'http://127.0.0.1:' . var('port') . $path;
    my ($passed, $skipped) = (0, 0);

    open my $out, '-|', '/usr/bin/python3', "$dir/replay.py", '--url', $url,
        '--usage', '-v', '--policy', $policy,
        map { "$dir/$_.jsonl" } qw(attacks faithful requests)
        or die "replay.py: $!\n";
    while (my $line = <$out>) {
        next unless $line =~ /^(PASS|FAIL|WARN|SKIP) (\S+) (.*)/;
        if ($1 eq 'SKIP') { $skipped++; next }
        # Advisory cases are no promise: WARN is told, and counts as seen.
        my $failed = $1 eq 'FAIL' && !(sanitized() && $instead{$2});
        ok(!$failed, "policy $policy: $2 $3");
        note("advisory: $2 $3") if $1 eq 'WARN';
        $passed++;
    }
    close $out;
    is($passed + $skipped, $cases, "policy $policy: every case was judged");
    # Cases that are about the check itself, and nothing else.
    is($skipped, $policy eq 'off' ? 28 : 0, "policy $policy: cases passed over");
}
done_testing();
