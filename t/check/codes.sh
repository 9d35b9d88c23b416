#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every log code stands in one place of the source, and one row of a CODES.md
# tells its level, its meaning and the remedy; no row is left of a code that is
# gone. Module: PYXNO(0101); helper: the number before a text.
cd "${srcdir:-.}" || exit 99
exec perl -we '
    use strict;
    my (%places, %levels, %rows, @tests);
    my %names = (CRIT => "critical", ERR => "error", ERROR => "error",
                 WARNING => "warning", INFO => "info", DEBUG => "debug");

    sub slurp { open my $in, "<", $_[0] or die "$_[0]: $!\n"; local $/; <$in> }
    for my $file (glob("mod_pyexec/*.c"), glob("sandbox-helper/*.c")) {
        my $text = slurp($file);
        my $pattern = $file =~ /^mod/ ? qr/PYXNO\((\d+)\)/
            : qr/(?:[(,]\s*|\.code = )([1-9]\d\d)\s*(?:,\s*"|\})/;
        push @{ $places{sprintf "%04d", $1} }, $file while $text =~ /$pattern/g;
        $levels{$2} = $names{$1} while $text =~
            /ap_log_\w+\([^;]*?APLOG_(CRIT|ERR|WARNING|INFO|DEBUG),[^;"]*PYXNO\((\d+)\)/g;
        $levels{"0$2"} = $names{$1} while $text =~
            /log_line\(LOG_LEVEL_(\w+),\s*(\d+),/g;
        $levels{"0$1"} = "error" while $text =~
            /check_or_die\([^;"]*,\s*([1-9]\d\d)\s*,\s*"/g;
    }
    for my $file (glob("*/CODES.md")) {
        for (split /\n/, slurp($file)) {
            push @{ $rows{$1} }, $_ if /^\|\s*PYX(\d+)/;
        }
    }
    push @tests, [keys %places > 10, "codes were found"];
    push @tests, [keys %levels > keys(%places) - 6, "levels were found"];
    for my $code (sort keys %places) {
        my @in = @{ $places{$code} };
        my @row = @{ $rows{$code} || [] };
        my ($level) = @row == 1 && $row[0] =~
            /^\| PYX\d{4} \| (\S[^|]*) \| \S[^|]* \| \S[^|]* \|$/;
        push @tests, [@in == 1, "PYX$code stands once (@in)"];
        push @tests, [defined $level, "PYX$code has one row, with all columns"];
        push @tests, [!$levels{$code} || ($level || "") eq $levels{$code},
                      "PYX$code: the level of its row"];
    }
    push @tests, [!!$places{$_}, "PYX$_ of a row exists"] for sort keys %rows;
    print "1..", scalar @tests, "\n";
    for my $n (1 .. @tests) {
        my ($fine, $name) = @{ $tests[$n - 1] };
        print $fine ? "" : "not ", "ok $n - $name\n";
    }'
