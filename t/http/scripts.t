# SPDX-License-Identifier: Apache-2.0
# Scripts with a main(), hostile ones and honest ones (t/data/scripts.jsonl):
# an answer is one JSON object with a result or an error, whatever main() does,
# with the policy in front of it and without.
use strict;
use warnings FATAL => 'all';
use Encode ();
use PyExec::Test;
use Test::More;

my @places = ('/execute', '/policy-off/execute');
my @cases = data_lines('scripts.jsonl');

# How `expect` is read: each returns true when its word holds.
my %words = (
    not_stdout_re => sub { $_[0]{json}{stdout} !~ /$_[1]/ },
    stdout => sub { $_[0]{json}{stdout} eq $_[1] },
    valid_json => sub { 1 },
    valid_utf8 => sub { is_utf8($_[0]{body}) },
    not_body_re => sub { $_[0]{body} !~ /$_[1]/ },
    is_error => sub { !has_result($_[0]) },
    error_re => sub { !has_result($_[0]) && $_[0]{json}{message} =~ /$_[1]/ },
    result => sub { has_result($_[0]) && matches($_[0]{json}{result}, $_[1]) },
    # Either is right; that the answer is one or the other is always asked.
    result_or_error => sub { 1 },
    max_body => sub { length $_[0]{body} <= $_[1] },
    max_seconds => sub { $_[0]{took} <= $_[1] },
    alive => sub { run_code('/execute', 'print(6 * 7)')->{output} eq "42\n" },
);

plan tests => 1 + @places * @cases;
is(scalar(grep { $_->{id} =~ /^(?:ftm|spm)-\d+$/ } @cases), 20,
   'all scripts are there');
for my $place (@places) {
    ok(holds($_, $place), "$_->{id} at $place: $_->{title}") for @cases;
}

sub holds
{
    my ($case, $place) = @_;
    my $answer;
    my $took = seconds(sub {
        $answer = post_json($place, { script => $case->{code} });
    });
    my @wrong;

    $answer->{took} = $took;
    if (is_answer($answer)) {
        @wrong = grep { !$words{$_}->($answer, $case->{expect}{$_}) }
            sort keys %{ $case->{expect} };
    }
    else {
        @wrong = 'neither a result nor an error';
    }
    diag("$case->{id}: @wrong; $answer->{status} ",
         substr $answer->{body}, 0, 600) if @wrong;
    return !@wrong;
}

sub has_result { return exists $_[0]{json}{result} }

# As main-report promises it, and nothing beside it.
sub is_answer
{
    my ($answer) = @_;
    my $json = $answer->{json};
    my %may = map { $_ => 1 } qw(success result error message stdout
        suggestions available_functions return_code);

    return ref $json eq 'HASH' && ($answer->{status} == 200
                                   || $answer->{status} == 400)
        && !grep({ !$may{$_} } keys %$json) && defined $json->{stdout}
        && exists $json->{result} == !exists $json->{error}
        && ($json->{success} ? 1 : 0) == (exists $json->{result} ? 1 : 0);
}

sub is_utf8
{
    my ($bytes) = @_;

    return eval { Encode::decode('UTF-8', $bytes, Encode::FB_CROAK); 1 };
}
