# SPDX-License-Identifier: Apache-2.0
# The OpenAPI document that the server serves: it is one, and it says of every
# answer to every line of the contracts' data what that answer is.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Case;
use PyExec::Parallel;
use PyExec::Test;
use Test::More;

once_only();

# As many at once as the server under test runs.
my $workers = 4;
# jsonschema is packaged for the system's interpreter alone.
my $python = '/usr/bin/python3';

my @cases = grep { is_described($_) }
    map { data_lines($_) } 'dialects.jsonl', 'more.jsonl';
my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $document = request('GET', '/execute/openapi.json');
my @verdicts;

-x $python or plan skip_all => "there is no $python";
write_lines("$dir/lines", one_line($document->{body}),
    in_parallel($workers, \&exchange, @cases));
@verdicts = judged("$dir/lines");
plan skip_all => $verdicts[0] =~ s/^SKIP: //r if $verdicts[0] =~ /^SKIP: /;

plan tests => 4 + 6 + @cases;
is($document->{status}, 200, 'the document is there');
is($document->{headers}{'content-type'}, 'application/json', 'its type');
is(json_value($document->{body})->{info}{title}, 'mod_pyexec', 'its title');
is(scalar @verdicts, 6 + @cases, 'everything was judged');
for my $verdict (map { json_value($_) } @verdicts) {
    my ($name, $faults) = @$verdict;

    ok(!@$faults, $name);
    diag("$name: $_") for @$faults;
}

# What is served beside the dialects (tests' own places, what is below a place)
# is not in the document, and OPTIONS is in its prose.
sub is_described
{
    my ($case) = @_;

    return !exists $case->{place} && $case->{status} != 404
        && $case->{method} ne 'OPTIONS';
}

sub exchange
{
    my ($case) = @_;
    my $answer = ask($case);
    my ($type, $content) = @{ $answer->{sent} };

    return json_text({
        id => $case->{id}, method => $case->{method},
        path => case_path($case), status => $answer->{status} + 0,
        type => $answer->{headers}{'content-type'} // 'none',
        answer => text($answer->{body}),
        $answer->{status} == 200 && $case->{method} eq 'POST'
            && $type =~ m{^application/json}
            ? (sent => ['application/json', text($content)]) : (),
    });
}

sub text
{
    my ($bytes) = @_;

    utf8::decode($bytes) or die 'not UTF-8';
    return $bytes;
}

sub one_line { return $_[0] =~ s/\n/ /gr }

sub write_lines
{
    my ($file, @lines) = @_;

    open my $out, '>', $file or die "$file: $!";
    print $out "$_\n" for @lines;
    close $out or die "$file: $!";
    return;
}

sub judged
{
    my ($lines) = @_;
    my $t = var('t_dir');
    my @verdicts;

    open my $pipe, '-|', 'sh', '-c', 'exec "$0" -I "$1" "$2" <"$3"', $python,
        "$t/openapi.py", "$t/data/openapi-3.1.json", $lines or die "$python: $!";
    @verdicts = <$pipe>;
    close $pipe or die "openapi.py failed";
    return @verdicts;
}
