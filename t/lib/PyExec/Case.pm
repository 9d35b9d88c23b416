# SPDX-License-Identifier: Apache-2.0
# A line of t/data: one request and what its answer has to be. Beside what the
# contracts' own file uses (id, dialect, method, path, headers, json, body,
# form, status, expect, exact, expect_headers) a line may have
#   body, bytes  a list of texts and of [text, how often]; in `bytes` every
#                character is one byte
#   place        where the path begins, instead of the dialect's own place
#   absent       names that the answer must not have
#   members      the only names that it may have
#   raw          what the bytes of the answer match
#   seconds      [least, most] that the answer may take
#   why          reading help
package PyExec::Case;
use strict;
use warnings FATAL => 'all';

use Encode ();
use Exporter 'import';
use PyExec::Test;

our @EXPORT = qw(ask case_path faults);

my %mounts = (auto => '', run => '', map { $_ => "/compat/$_" }
    qw(code main-json main-object main-report));

sub case_path
{
    my ($case) = @_;

    return ($case->{place} // $mounts{ $case->{dialect} }) . $case->{path};
}

# Sends the request; the answer of request(), with `took` and `sent`: media
# type and bytes.
sub ask
{
    my ($case) = @_;
    my ($type, $content) = body_of($case);
    my %headers = (defined $type ? ('Content-Type' => $type) : (),
                   %{ $case->{headers} || {} });
    my $answer;
    my $took = seconds(sub {
        $answer = request($case->{method}, case_path($case),
                          headers => \%headers,
                          defined $content ? (content => $content) : ());
    });

    $answer->{took} = $took;
    $answer->{sent} = [$headers{'Content-Type'}, $content];
    return $answer;
}

sub body_of
{
    my ($case) = @_;

    return ('application/json', json_text($case->{json}))
        if exists $case->{json};
    return ('multipart/form-data; boundary=pyexec', form_of($case->{form}))
        if exists $case->{form};
    return (undef, pieces($case->{bytes})) if exists $case->{bytes};
    return (undef, Encode::encode('UTF-8', pieces($case->{body})))
        if exists $case->{body};
    return;
}

sub pieces
{
    my ($body) = @_;

    return join '', map { ref $_ ? $_->[0] x $_->[1] : $_ }
        ref $body ? @$body : $body;
}

sub form_of
{
    my ($form) = @_;

    return join('', map { form_part($_, $form->{$_}) } sort keys %$form)
        . "--pyexec--\r\n";
}

sub form_part
{
    my ($name, $value) = @_;
    my $file = ref $value ? qq(; filename="$value->{filename}") : '';
    my $content = Encode::encode('UTF-8', ref $value ? $value->{content}
                                                     : $value);

    return "--pyexec\r\nContent-Disposition: form-data; name=\"$name\"$file"
        . "\r\n\r\n$content\r\n";
}

# All that does not match, as sentences.
sub faults
{
    my ($case, $answer) = @_;
    my $got = ref $answer->{json} eq 'HASH' ? $answer->{json} : {};
    my $seconds = $case->{seconds};
    my @wrong;

    push @wrong, "status $answer->{status}, not $case->{status}"
        if $answer->{status} != $case->{status};
    push @wrong, 'no JSON' if $case->{status} != 204
        && ref $answer->{json} ne 'HASH';
    push @wrong, sprintf 'took %.2f s', $answer->{took}
        if $seconds && ($answer->{took} < $seconds->[0]
                        || $answer->{took} > $seconds->[1]);
    push @wrong, 'bytes: ' . substr $answer->{body}, 0, 300
        if $case->{raw} && $answer->{body} !~ /$case->{raw}{re}/;
    return (@wrong, member_faults($case, $got),
            header_faults($case, $answer->{headers}));
}

sub member_faults
{
    my ($case, $got) = @_;
    my $expect = $case->{expect};
    my %may = map { $_ => 1 } $case->{exact} ? keys %$expect
        : @{ $case->{members} || [keys %$got] };
    my @wrong;

    for my $key (sort keys %$expect) {
        push @wrong, "$key is " . substr json_text($got->{$key}), 0, 600
            unless exists $got->{$key}
                && matches($got->{$key}, $expect->{$key});
    }
    push @wrong, map { "has $_" } grep { !$may{$_} } sort keys %$got;
    push @wrong, map { "has $_: " . substr json_text($got->{$_}), 0, 300 }
        grep { exists $got->{$_} } @{ $case->{absent} || [] };
    return @wrong;
}

sub header_faults
{
    my ($case, $headers) = @_;
    my $expect = $case->{expect_headers} || {};

    return map { "header $_ is " . ($headers->{ lc $_ } // 'absent') }
        grep { !matches($headers->{ lc $_ }, $expect->{$_}) }
        sort keys %$expect;
}

1;
