# SPDX-License-Identifier: Apache-2.0
# Makes every system call from inside a job and compares what it answers with
# the table of the filter. t/unit/test_seccomp says what the table promises,
# t/data/syscalls.txt how to make a call that is allowed without any effect.
package PyExec::Walk;
use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PyExec::Test;
use POSIX ();
use Test::More;

our @EXPORT = qw(walk_tests);

# Beyond every kernel's last number. i386 has as many; x32 has its own up to
# 547, of which a run each is made for some: t/unit/test_seccomp has them all.
my $last = 600;
my @compat = 0 .. 480;
my @x32 = grep { $_ % 16 == 0 || $_ >= 512 } 0 .. 547;

# The kernel answers these itself, before any filter is asked: they are for the
# return from a probe, and SIGILL or ENXIO for everybody else.
my %probe_return = (335 => 1, 336 => 1);

# Where the server is; undef: the server under test.
my $port;

my %answers = (
    EPERM => POSIX::EPERM(), ENOSYS => POSIX::ENOSYS(),
    ENOMEM => POSIX::ENOMEM());

# walk_tests(place => path, variant => of the table): the whole test file.
#   port => n      where another server is
#   native => 1    without the entries of other architectures, which are the
#                  same for all variants
sub walk_tests
{
    my (%opt) = @_;
    my $program = var('t_dir') . '/unit/test_seccomp';

    plan skip_all => 'numbers and machine code are for x86_64'
        if (POSIX::uname())[4] ne 'x86_64';
    plan skip_all => 't/unit/test_seccomp was not built: there is no cmocka'
        unless -x $program;

    my @cases = expected($program, $opt{variant});
    my %recipes = recipes();
    my %by_call;

    push @{ $by_call{ $_->{call} } }, $_ for @cases;
    my %alone = map { $_->{call} => 1 }
        grep { $_->{verdict} eq 'allow' && $recipes{ $_->{name} }
               && $recipes{ $_->{name} }{end} } @cases;

    $port = $opt{port};
    plan tests => 1 + keys(%by_call) + 1
        + ($opt{native} ? 0 : @compat + @x32 + 2);
    is_deeply([sort keys %recipes],
        [sort keys %{ { map { $_->{name} => 1 } grep { $_->{name} ne '-' }
                        map { expected($program, $_) } 'full', 'network' } }],
        't/data/syscalls.txt names the calls of the table and no other');
    $_->{args} = arguments($_, $recipes{ $_->{name} }) for @cases;

    together($opt{place}, \%by_call,
        [grep { !$alone{ $_->{call} } && !$probe_return{ $_->{call} } } @cases]);
    for my $call (sort { $a <=> $b } keys %alone) {
        my $case = $by_call{$call}[0];
        my $end = $recipes{ $case->{name} }{end};

        # AddressSanitizer handles that signal itself.
        $end = 1 if sanitized() && $end eq -11;
        # What it takes from the stack must be nothing in every run.
        my $entry = $case->{name} eq 'rt_sigreturn' ? 'stackless' : 'made';

        is(ending($opt{place}, $entry, $call, $case->{args}, $end), $end,
           "$case->{name} ($call): through, and its effect is there");
    }
    for my $call (sort keys %probe_return) {
        like(ending($opt{place}, 'made', $call, ''),
             qr/^(?:-4|0 \[(?:1|6)\])$/,
             "- ($call): the kernel's own, and nothing for a script");
    }
    foreign($opt{place}) unless $opt{native};
    return;
}

# The cases of the table: { verdict, name, call, compared => { index => text } }.
sub expected
{
    my ($program, $variant) = @_;
    my @cases;

    open my $in, '-|', $program, '--list', $variant, $last
        or die "$program: $!\n";
    while (my $line = <$in>) {
        my ($verdict, $name, $call, @compared) = split ' ', $line;

        push @cases, { verdict => $verdict, name => $name, call => $call,
                       compared => { map { /^(\d)=(.+)$/ } @compared } };
    }
    close $in or die "$program --list failed\n";
    return @cases;
}

sub recipes
{
    my %found;

    open my $in, '<', var('t_dir') . '/data/syscalls.txt' or die "$!\n";
    while (my $line = <$in>) {
        next if $line =~ /^(?:#|\s*$)/;
        my ($call, $end) = split /\s*;\s*/, $line;
        my ($name, @args) = split ' ', $call;

        die "$name is there twice\n" if $found{$name};
        $found{$name} = { args => \@args, end => scalar status_of($end) };
    }
    return %found;
}

# `exit 7` and `signal 9` as a run's status.
sub status_of
{
    my ($end) = @_;

    return unless defined $end;
    $end =~ /^(exit|signal) (\d+)$/ or die "what becomes of a run: $end\n";
    return $1 eq 'exit' ? $2 : -$2;
}

# One word an argument: what the script computes it from.
sub arguments
{
    my ($case, $recipe) = @_;
    my @args = $recipe ? @{ $recipe->{args} } : (-1) x 6;

    for my $index (keys %{ $case->{compared} }) {
        my $value = $case->{compared}{$index};
        my $base = $args[$index];

        die "$case->{name}: argument $index is compared, but not given\n"
            unless defined $base;
        $args[$index] = $value =~ /^pid/ ? $value
            : sprintf('0x%s|%s', $value, $base);
    }
    return join ' ', @args;
}

# All that can be called one after the other by one script.
sub together
{
    my ($place, $by_call, $cases) = @_;
    my $rows = join "\n", map { "$_->{call} $_->{args}" } @$cases;
    my $answer = run_code($place, program() . <<"END", port => $port);
for row in '''$rows'''.split('\\n'):
    call, *args = row.split()
    print(made(int(call), args))
END
    my @got = split /\n/, $answer->{output} // '';
    my %wrong;
    my %seen;

    is(scalar @got, scalar @$cases, 'every case was answered')
        or diag(json_text($answer->{error}));
    for my $i (0 .. $#$cases) {
        my $case = $cases->[$i];
        my $got = $got[$i] // 'nothing';
        my $fine = $case->{verdict} eq 'allow'
            ? $got =~ /^\d+$/ && $got != POSIX::EPERM()
              && $got != POSIX::ENOSYS()
            : $got eq $answers{ $case->{verdict} };

        $seen{ $case->{call} } = 1;
        push @{ $wrong{ $case->{call} } },
            "$case->{verdict}, but $got: $case->{args}" unless $fine;
    }
    for my $call (sort { $a <=> $b } keys %seen) {
        my $cases_of = $by_call->{$call};

        ok(!$wrong{$call}, "$cases_of->[0]{name} ($call): "
           . (@$cases_of > 1 ? scalar(@$cases_of) . ' ways'
              : $cases_of->[0]{verdict}))
            or diag(join "\n", @{ $wrong{$call} }[0 .. 0]);
    }
    return;
}

# A run of its own for one call: its status, and errno if it came back. One that
# is to wait until a signal comes is sent it; for all others it could come before
# the call on a busy machine.
sub ending
{
    my ($place, $entry, $call, $args, $end) = @_;
    my $timer = ($end // 0) == -14 ? 0.5 : 0;
    my $answer = run_code($place, program() . <<"END", port => $port);
signal.setitimer(signal.ITIMER_REAL, $timer)
print('[%s]' % $entry($call, '$args'.split()))
END
    my $came_back = ($answer->{output} // '') =~ s/\n//r;

    return $answer->{returncode} . ($came_back ne '' ? " $came_back" : '');
}

# The other ways into the kernel end the process, each number by itself.
sub foreign
{
    my ($place) = @_;

    for my $call (@compat) {
        is(ending($place, 'compat', $call, ''), -31,
           "int 0x80, $call: the process ends");
    }
    for my $call (@x32) {
        is(ending($place, 'made', $call | 0x40000000, ''), -31,
           "x32, $call: the process ends");
    }
    # The same code with another last instruction does come back.
    is(ending($place, 'harmless', 7, ''), '0 [7]',
       'witness: code of its own comes back');
    is(ending($place, 'made', 39, ''), '0 [0]', 'witness: getpid comes back');
    return;
}

sub program
{
    return <<'END';
import ctypes, mmap, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
buffer = ctypes.create_string_buffer(4096)
pid = os.getpid()

def value(word):
    result = 0
    for part in word.split('|'):
        if part.startswith('pid^'):
            part = pid ^ int(part[4:], 16)
        elif part == 'buffer':
            part = ctypes.addressof(buffer)
        else:
            part = int(part, 0)
        result |= part
    return result

def made(call, args):
    ctypes.set_errno(0)
    args = [ctypes.c_ulong(value(word) & (1 << 64) - 1) for word in args]
    failed = libc.syscall(ctypes.c_long(call), *args) == -1
    return ctypes.get_errno() if failed else 0

def code(instructions):
    place = libc.mmap(None, 4096, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    ctypes.memmove(place, instructions, len(instructions))
    return ctypes.CFUNCTYPE(ctypes.c_int)(place)()

def compat(call, args):
    return code(b'\xb8' + call.to_bytes(4, 'little') + b'\xcd\x80\xc3')

# A handler may come in between: an answer of 0 ends in a fault, too, and any
# other one as an illegal instruction.
def stackless(call, args):
    return code(b'\x31\xe4\xb8' + call.to_bytes(4, 'little')
                + b'\x0f\x05\x85\xc0\x74\x02\x0f\x0b\xf4')

def harmless(call, args):
    return code(b'\xb8' + call.to_bytes(4, 'little') + b'\x90\x90\xc3')
END
}

1;
