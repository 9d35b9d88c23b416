# SPDX-License-Identifier: Apache-2.0
# The documented contracts, word for word: t/data/dialects.jsonl replayed for
# every dialect that the server's configuration serves.
use strict;
use warnings FATAL => 'all';
use PyExec::Test;
use Test::More;

my %served = map { $_ => 1 } served_dialects();
my @cases = grep { $served{ $_->{dialect} } && is_decodable($_) }
    data_lines('dialects.jsonl');

plan tests => scalar @cases;
ok(meets($_), $_->{id}) for @cases;

# `auto` hands a `script` on to the main-report contract.
sub is_decodable
{
    my ($case) = @_;

    return $case->{dialect} ne 'auto' || $served{'main-report'}
        || !exists $case->{json} || !exists $case->{json}{script}
        || exists $case->{json}{code};
}

sub body_of
{
    my ($case) = @_;
    my %headers = %{ $case->{headers} || {} };
    my $body = $case->{body};

    if (exists $case->{json}) {
        $headers{'Content-Type'} ||= 'application/json';
        $body = json_text($case->{json});
    }
    if (exists $case->{form}) {
        $headers{'Content-Type'} = 'multipart/form-data; boundary=pyexec';
        $body = join '', map { form_part($_, $case->{form}{$_}) }
            sort keys %{ $case->{form} };
        $body .= "--pyexec--\r\n";
    }
    return (headers => \%headers, defined $body ? (content => $body) : ());
}

sub form_part
{
    my ($name, $value) = @_;
    my $file = ref $value ? qq(; filename="$value->{filename}") : '';
    my $content = ref $value ? $value->{content} : $value;

    return "--pyexec\r\nContent-Disposition: form-data; name=\"$name\"$file"
        . "\r\n\r\n$content\r\n";
}

# All that does not match, told as diagnostics.
sub meets
{
    my ($case) = @_;
    my $mount = $case->{dialect} eq 'auto' ? '' : "/compat/$case->{dialect}";
    my $answer = request($case->{method}, $mount . $case->{path},
                         body_of($case));
    my $expect = $case->{expect};
    my $got = ref $answer->{json} eq 'HASH' ? $answer->{json} : {};
    my @wrong;

    push @wrong, "status $answer->{status}, not $case->{status}"
        if $answer->{status} != $case->{status};
    for my $key (sort keys %$expect) {
        push @wrong, "$key is " . json_text($got->{$key})
            unless exists $got->{$key} && matches($got->{$key}, $expect->{$key});
    }
    if ($case->{exact}) {
        push @wrong, map { "has $_" } grep { !exists $expect->{$_} } keys %$got;
    }
    for my $name (sort keys %{ $case->{expect_headers} || {} }) {
        push @wrong, "header $name is "
            . ($answer->{headers}{ lc $name } // 'absent')
            unless matches($answer->{headers}{ lc $name },
                           $case->{expect_headers}{$name});
    }
    push @wrong, 'no JSON' if $case->{status} != 204
        && ref $answer->{json} ne 'HASH';
    diag("$case->{id}: $_") for @wrong;
    return !@wrong;
}
