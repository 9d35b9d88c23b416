# SPDX-License-Identifier: Apache-2.0
# A helper on a kernel that seems to lack something.
package PyExec::Hide;
use strict;
use warnings FATAL => 'all';

# Writes a program into $dir that is the program $helper under $hide, which is
# t/tools/hide, with these features hidden. Returns its path.
sub program
{
    my ($dir, $hide, $helper, @features) = @_;

    open my $script, '>', "$dir/pyexecd" or die "$dir/pyexecd: $!";
    print $script "#!/bin/sh\nexec '$hide' @features -- '$helper' \"\$@\"\n";
    close $script or die;
    chmod 0755, "$dir/pyexecd" or die;
    return "$dir/pyexecd";
}

1;
