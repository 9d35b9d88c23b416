#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every directive of the module's list has a scope with rules of merging, a
# help text, a paragraph in the commented example, a line in README.md and a test
# that names it; and the configuration files know no other. Defaults: the list
# does not compile without, and t/http/config.t compares the example with them.
cd "${srcdir:-.}" || exit 99
exec perl -we '
    use strict;
    my @verdicts;

    sub slurp
    {
        my $text = "";
        for my $file (@_) {
            open my $in, "<", $file or die "$file: $!\n";
            local $/ = undef;
            $text .= <$in>;
        }
        return $text;
    }
    # In scalar context: a pattern that does not match is no empty list then.
    sub check ($$) { push @verdicts, [@_]; return }

    my $list = slurp("mod_pyexec/pyexec_directives.h");
    my $example = slurp("conf/pyexec.conf.in");
    my $readme = slurp("README.md");
    my $tests = slurp(glob("t/http/*.t t/sandbox/*.t"), "t/conf/extra.conf.in");
    my $merging = slurp("mod_pyexec/pyexec_config.c");

    $list =~ s/\\\n//g;
    my @names = $list =~ /\bX\(\w+, \w+, \w+, "(PyExec\w+)"/g;
    check(@names > 25, "directives were found");
    check($list =~ /PYEXEC_DIRECTIVES\(X\)\s+PYEXEC_PLACE_/, "the list is whole");
    for my $scope (qw(PLACE WISH CEILING POOL GLOBAL)) {
        check($merging =~ /PYEXEC_${scope}_DIRECTIVES\(FILL\)/
              || $merging =~ /PYEXEC_${scope}_DIRECTIVES\(BOUND\)/,
              "$scope is filled with defaults");
        check($scope eq "GLOBAL" || $scope eq "POOL"
              || $merging =~ /PYEXEC_${scope}_DIRECTIVES\(MERGE\)/,
              "$scope is merged");
    }
    for my $name (@names) {
        my ($rest) = $list =~ /"$name",(.*?)(?=\bX\(|#define|\z)/s;

        check($rest =~ /"[^"]{8}/, "$name has help");
        # A paragraph begins with a comment and ends with its directives.
        check($example =~ /^\#\s+\#?\s*[A-Z][^\n]*\n(?:\#[^\n]*\n)*?\#\s*$name [^\n]/m
              || $example =~ /^\# [^\n]*\n(?:\#[^\n]*\n)*?\#$name [^\n]/m,
              "$name is explained in the example");
        check($readme =~ /\b$name\b/, "$name is in README.md");
        # In a Perl string it may follow \n.
        check($tests =~ /(?:\\n|\b)$name\b/, "a test names $name");
    }
    my %known = map { $_ => 1 } @names;
    my $used = slurp(glob("conf/*.conf conf/*.conf.in t/conf/*.conf.in"));
    my %used = map { $_ => 1 } $used =~ /^#*\s*(PyExec[A-Za-z]*)\s/gm;
    check($known{$_}, "$_ of the configuration exists") for sort keys %used;
    # Words of the documentation that look like a directive.
    my %told = map { $_ => 1 }
        slurp("README.md", "SECURITY.md", glob("*/CODES.md"), glob("sandbox-helper/*.c"))
            =~ /\b(PyExec[A-Z]\w*)/g;
    check($known{$_}, "$_ of the documentation exists") for sort keys %told;

    print "1..", scalar @verdicts, "\n";
    my $n = 0;
    print $_->[0] ? "" : "not ", "ok ", ++$n, " - $_->[1]\n" for @verdicts;'
