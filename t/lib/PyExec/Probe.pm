# SPDX-License-Identifier: Apache-2.0
# Runs a probe of t/probe in the sandbox and, as its witness, without one. What
# an attempt is called, and who can be its witness, is read from its source.
package PyExec::Probe;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Temp ();
use POSIX ();
use PyExec::Test;
use PyExec::Witness;
use Test::More;

our @EXPORT = qw(probe_tests probe_attempts);

# The place without policy: there the kernel's layers stand alone.
my $place = '/policy-off/execute';

# Plans and runs everything for the probe $name: the whole test file.
sub probe_tests
{
    my ($name) = @_;
    my $marker = File::Temp->new(TEMPLATE => 'pyxXXXXX', DIR => '/tmp');
    my $source = source($name, $marker);
    my @attempts = attempts($source);
    my ($inside, $outside);

    # Anybody could read it, if only it were there.
    chmod 0644, $marker->filename or die;
    print $marker "marker\n";
    close $marker or die;
    plan tests => 2 + 2 * @attempts;
    cmp_ok(scalar @attempts, '>', 0, "$name makes attempts");

    $inside = run_code($place, $source);
    is($inside->{returncode}, 0, "$name runs to its end")
        or diag(json_text($inside));
    $inside = verdicts($inside->{output});
    $outside = verdicts(outside($source)->{output});
    judge($_, $inside->{ $_->{name} }, $outside->{ $_->{name} })
        for @attempts;
    return;
}

# Runs the probe $name on the server at $port: its attempts, as [name, what came
# of it].
sub probe_attempts
{
    my ($name, $port) = @_;
    my $marker = File::Temp->new(TEMPLATE => 'pyxXXXXX', DIR => '/tmp');
    my $source = source($name, $marker);
    my $inside;

    chmod 0644, $marker->filename or die;
    print $marker "marker\n";
    close $marker or die;
    $inside = verdicts(run_code($place, $source, port => $port)->{output});
    return map { [ $_->{name}, $inside->{ $_->{name} } // 'no verdict' ] }
        attempts($source);
}

sub judge
{
    my ($attempt, $inside, $outside) = @_;
    my $name = $attempt->{name};
    my $witness = $attempt->{witness};

    like($inside // 'no verdict', qr/^blocked:/, "$name: not in the sandbox");
  SKIP: {
        skip "$name: its witness would be $witness", 1
            if $witness eq 'none' || ($witness eq 'root' && !as_root());
        is($outside // 'no verdict', "ESCAPED:$name", "$name: but outside");
    }
    return;
}

sub read_file
{
    my ($file) = @_;

    open my $in, '<', $file or die "$file: $!";
    local $/ = undef;
    return scalar <$in>;
}

sub source
{
    my ($name, $marker) = @_;
    my $dir = var('t_dir') . '/probe';
    my $source = read_file("$dir/prelude.py") . read_file("$dir/$name.py");
    my %words = (
        PORT => var('port'), HOSTNAME => (POSIX::uname())[1],
        DOCROOT => var('documentroot'), MARKER => $marker->filename,
        MARKER_NAME => $marker->filename =~ s{.*/}{}r, PATH => $ENV{PATH},
    );

    $source =~ s/\@([A-Z_]+)\@/$words{$1} \/\/ die "unknown word $1"/ge;
    return $source;
}

sub attempts
{
    my ($source) = @_;
    my @found;

    for (split /\n/, $source) {
        my ($name) = /^attempt\('([^']+)'/ or next;
        my ($witness) = /witness='(\w+)'\)$/;

        push @found, { name => $name, witness => $witness || 'any' };
    }
    return @found;
}

sub verdicts
{
    my ($output) = @_;

    return { map { /^(?:ESCAPED|blocked):([^:\n]+)/ ? ($1 => $_) : () }
             split /\n/, $output // '' };
}

1;
