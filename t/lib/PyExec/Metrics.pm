# SPDX-License-Identifier: Apache-2.0
# Reads Prometheus' text format, strictly: what a monitor would not take, or
# take for something else, dies here.
package PyExec::Metrics;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PyExec::Test;

our @EXPORT = qw(metrics metrics_of grown series histogram_faults);

my %suffixes = (counter => [''], gauge => [''],
                histogram => [qw(_bucket _sum _count)]);

# Fetches and reads: { 'name{a="x",b="y"}' => value }, labels sorted.
sub metrics
{
    my ($port, $path) = @_;
    my $answer = request('GET', $path || '/metrics', port => $port);

    die "metrics: $answer->{status}" unless $answer->{status} == 200;
    return metrics_of($answer->{body});
}

sub metrics_of
{
    my ($text) = @_;
    my (%values, %done, $help, $family, $type);

    utf8::decode(my $copy = $text) or die 'not UTF-8';
    die 'no line end at the end' unless $text =~ /\n\z/;
    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP ([a-z_]+) \S/) {
            die "twice: $1" if $done{$1}++;
            $help = $1;
        }
        elsif ($line =~ /^# TYPE ([a-z_]+) (counter|gauge|histogram)\z/) {
            die "type without help: $line" unless $help eq $1;
            ($family, $type) = ($1, $2);
            die "a counter's name: $1"
                if ($type eq 'counter') != ($1 =~ /_total\z/);
        }
        else {
            my ($name, $labels, $value) = sample($line);
            my $key = series($name, %$labels);

            die "in the wrong family: $line"
                unless grep { $name eq $family . $_ } @{ $suffixes{$type} };
            die "twice: $key" if exists $values{$key};
            $values{$key} = $value;
        }
    }
    return \%values;
}

sub sample
{
    my ($line) = @_;
    my %labels;

    $line =~ /\G([a-z_]+)/gc or die "no sample: $line";
    my $name = $1;
    if ($line =~ /\G\{/gc) {
        while ($line =~ /\G([a-z]+)="((?:[^"\\]|\\["\\n])*)"/gc) {
            my ($label, $value) = ($1, $2);

            die "label twice: $line" if exists $labels{$label};
            $labels{$label} =
                $value =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ger;
            last unless $line =~ /\G,/gc;
        }
        $line =~ /\G\}/gc or die "labels: $line";
    }
    $line =~ /\G (\d+(?:\.\d+)?)\z/gc or die "value: $line";
    return ($name, \%labels, $1);
}

sub series
{
    my ($name, %labels) = @_;

    return $name . '{' . join(',', map { qq($_="$labels{$_}") }
                              sort keys %labels) . '}';
}

# What is more in the second than in the first, of one name.
sub grown
{
    my ($before, $after, $name) = @_;

    return { map { $_ => $after->{$_} - ($before->{$_} // 0) }
             grep { /^\Q$name\E\{/ && $after->{$_} != ($before->{$_} // 0) }
             keys %$after };
}

# What is wrong with a histogram's series of one pool, as sentences.
sub histogram_faults
{
    my ($values, $name, $pool) = @_;
    my %buckets = map {
        /^${name}_bucket\{le="([^"]+)",pool="\Q$pool\E"\}\z/
            ? ($1 => $values->{$_}) : ()
    } keys %$values;
    my $all = delete $buckets{'+Inf'};
    my $count = $values->{ series("${name}_count", pool => $pool) };
    my $sum = $values->{ series("${name}_sum", pool => $pool) };
    my @wrong;
    my $before = 0;
    my $least = 0;
    my $last = 0;

    return 'there is none' unless defined $all && defined $count
        && defined $sum;
    push @wrong, 'few buckets' unless keys %buckets > 5;
    for my $bound (sort { $a <=> $b } keys %buckets) {
        push @wrong, "fewer at $bound" if $buckets{$bound} < $before;
        $least += ($buckets{$bound} - $before) * $last;
        ($before, $last) = ($buckets{$bound}, $bound);
    }
    push @wrong, 'fewer at +Inf' if $all < $before;
    push @wrong, "+Inf is $all, the count $count" unless $all == $count;
    # Each is above the bound of the bucket below its own.
    push @wrong, "a sum of $sum, at least $least" if $sum < $least;
    return @wrong;
}

1;
