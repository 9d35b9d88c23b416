#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every log code stands in one place of the source, and CODES.md or README.md
# tells its meaning. Module: PYXNO(0101); helper: the number before a text.
cd "${srcdir:-.}" || exit 99
exec perl -we '
    use strict;
    my (%places, $documented);

    local $/ = undef;
    for my $file (glob("mod_pyexec/*.c"), glob("sandbox-helper/*.c")) {
        open my $in, "<", $file or die "$file: $!\n";
        my $text = <$in>;
        my $pattern = $file =~ /^mod/ ? qr/PYXNO\((\d+)\)/
            : qr/[(,]\s*([1-9]\d\d)\s*,\s*"/;
        push @{ $places{sprintf "%04d", $1} }, $file while $text =~ /$pattern/g;
    }
    $documented = "";
    for my $file ("README.md", glob("*/CODES.md")) {
        open my $in, "<", $file or next;
        $documented .= <$in>;
    }
    print "1..", 1 + 2 * keys %places, "\n";
    print keys %places > 10 ? "" : "not ", "ok 1 - codes were found\n";
    my $n = 1;
    for my $code (sort keys %places) {
        my @in = @{ $places{$code} };
        print @in == 1 ? "" : "not ", "ok ", ++$n, " - PYX$code stands once",
            @in == 1 ? "" : " (@in)", "\n";
        print $documented =~ /\bPYX$code\b/ ? "" : "not ", "ok ", ++$n,
            " - PYX$code is documented\n";
    }'
