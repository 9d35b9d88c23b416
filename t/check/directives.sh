#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every directive of the module's list has a default, a scope with rules of
# merging, a help text, a paragraph in the commented example, a line in README.md
# and a test that uses it; and the configuration files know no other. What the
# defaults are, and how values merge, t/http/directives.t tests for each, of the
# list; t/http/config.t compares the example with the defaults. t/check/guard.sh
# sees each of this fail.
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
    # Those that are generated from the list, or of mistakes only, count for none.
    my @tests = grep { !m{/(?:config|directives|htaccess)\.t$} }
        glob("t/http/*.t t/sandbox/*.t");
    my $tests = slurp(@tests, "t/conf/extra.conf.in", "t/TEST.in");
    my $each = slurp("t/http/directives.t");
    my $merging = slurp("mod_pyexec/pyexec_config.c");

    $list =~ s/\\\n//g;
    # scope, kind, field, name, default, least, most, help
    my $text = qr/"(?:[^"\\]|\\.)*"/;
    my %rows = map { /^X\(\w+\s*,\s*(\w+)\s*,\s*\w+\s*,\s*"(PyExec\w+)"\s*,(.*)/s ? ($2 => [$1, $3]) : () }
        $list =~ /(\bX\([A-Z]+(?:[^()"]|$text|\([^()]*\))*)\)/g;
    my @names = sort keys %rows;
    check(@names > 25, "directives were found");
    check(@names == (() = $list =~ /\bX\([A-Z]+,/g), "each was read");
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
        my ($kind, $rest) = @{ $rows{$name} };
        my ($default, $least, $most, @help) =
            $rest =~ /\s*((?:[^,"()]|$text|\([^()]*\))*?)\s*(?:,|\z)/g;

        pop @help; # what is behind the end
        check(length $default && length $least && defined $most && $most =~ /^[^"]/,
              "$name has a default and a range");
        check(@help == 1 && $help[0] =~ /^(?:\s*$text)+$/ && $help[0] =~ /"[^"]{8}/,
              "$name has help");
        check($merging =~ /\bVALUE_$kind\(/ && $each =~ /^ {4}$kind => \[\[/m,
              "$name is of a kind whose defaults and merging are tested");
        # A paragraph begins with a comment and ends with its directives.
        check($example =~ /^\#\s+\#?\s*[A-Z][^\n]*\n(?:\#[^\n]*\n)*?\#\s*$name [^\n]/m
              || $example =~ /^\# [^\n]*\n(?:\#[^\n]*\n)*?\#$name [^\n]/m,
              "$name is explained in the example");
        check($readme =~ /\b$name\b/, "$name is in README.md");
        # In a Perl string it may follow \n.
        check($tests =~ /(?:\\n|(?<![\w<]))$name +["\$\\\w*+-]/, "a test uses $name");
    }
    # The bodies of the loops that merge: each joins a field of the one with the
    # same field of the other.
    my @bodies = $merging =~ /#define MERGE\([^)]*\)(.*?)\n {4}PYEXEC_/gs;
    check(@bodies == 3 && !grep({ !/place->((?:tight|ceiling)\.)?field =[^;]*inner->(?(1)\1)field\b/ } @bodies),
          "merging takes what is inside");
    check($merging =~ /made\.field = INHERIT_##kind\(pool, made\.field, defaults->field\)/,
          "pools take what they lack from the default of all");
    check($each =~ /for my \$directive \(\@directives\)/ && $each =~ /pyexec_directives\.h/,
          "a test sees the default and the merging of each");
    my %known = map { $_ => 1 } @names;
    my $used = slurp(glob("conf/*.conf conf/*.conf.in conf/*/*.conf t/conf/*.conf.in"));
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
