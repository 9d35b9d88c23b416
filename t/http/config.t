# SPDX-License-Identifier: Apache-2.0
# What an administrator can get wrong is found by `httpd -t`, with file, line,
# directive, value and what would be right.
use strict;
use warnings FATAL => 'all';
use File::Temp ();
use PyExec::Config;
use PyExec::Test;
use Test::More;

my $on = "PyExecEngine On\n";
my $long = 'x' x 250;
my $dir = File::Temp->newdir('pyxXXXXX', DIR => '/tmp');
my $deep = "$dir/" . 'x' x 100;

mkdir $deep or die;

# Directories for packages: one that is right, and others that are not.
my $packages = helper_dir();
my ($shared, $foreign) = (helper_dir(), helper_dir());

chmod 0775, $shared or die;
chown 0, 0, $foreign or die if as_root();

# Pools that may install, each with a name and more lines.
sub installing
{
    my (@pools) = @_;
    my $text = '';

    while (my ($name, $more) = splice @pools, 0, 2) {
        $text .= "<PyExecPool $name>\nPyExecEnvironment $packages\n"
            . "PyExecNetwork proxy=127.0.0.1:3128\n$more\n</PyExecPool>\n";
    }
    return $text;
}

sub place { return "<Location \"/execute\">\n$_[0]\n</Location>\n" }

# What -t refuses: name, text, what it must say.
my @refused = (
    # values
    ['PyExecEngine: no flag', 'PyExecEngine maybe',
     qr/line 1 of FILE:.*PyExecEngine must be On or Off/s],
    ['PyExecDialect: unknown', "\nPyExecDialect perl",
     qr/line 2 of FILE:\nPyExecDialect: 'perl' is none of: auto, code/],
    ['PyExecTimeout: no number', 'PyExecTimeout long',
     qr/line 1 of FILE:\nPyExecTimeout: 'long' is not within 100ms to 300s \(a whole number of seconds, or with ms, s, min or h\)/],
    ['PyExecTimeout: too short', 'PyExecTimeout 99ms',
     qr/'99ms' is not within 100ms to 300s/],
    ['PyExecTimeout: too long', 'PyExecTimeout 301',
     qr/'301' is not within 100ms to 300s \(a whole number of seconds,/],
    ['PyExecTimeout: negative', 'PyExecTimeout -5', qr/'-5' is not within/],
    ['PyExecCPUTime: too short', 'PyExecCPUTime 5ms',
     qr/PyExecCPUTime: '5ms' is not within 0, or 100ms to 301s/],
    ['PyExecMemory: too much', 'PyExecMemory 5G',
     qr/PyExecMemory: '5G' is not within 1M to 4096M \(a number of MiB, or with K, M or G\)/],
    ['PyExecMemory: 0', 'PyExecMemory 0', qr/'0' is not within/],
    ['PyExecOutput: too much', 'PyExecOutput 17M',
     qr/PyExecOutput: '17M' is not within 1 to 16M \(a number of bytes, or with K, M or G\)/],
    ['PyExecBody: overflow', 'PyExecBody 99999999999999999999',
     qr/PyExecBody: '9+' is not within 1 to 66977792 \(/],
    ['PyExecBody: a unit of its own', 'PyExecBody 5Z', qr/'5Z' is not within/],
    ['PyExecMaxTimeout', 'PyExecMaxTimeout 0', qr/PyExecMaxTimeout: '0' is not/],
    ['PyExecMaxCPUTime', 'PyExecMaxCPUTime 0', qr/PyExecMaxCPUTime: '0' is not/],
    ['PyExecMaxMemory', 'PyExecMaxMemory x', qr/PyExecMaxMemory: 'x' is not/],
    ['PyExecMaxOutput', 'PyExecMaxOutput 1G', qr/PyExecMaxOutput: '1G' is not/],
    ['PyExecMaxBody', 'PyExecMaxBody 1G', qr/PyExecMaxBody: '1G' is not/],
    ['PyExecAllowOrigin', 'PyExecAllowOrigin "a b"',
     qr/PyExecAllowOrigin: 'a b' is neither none, nor \*/],
    ['PyExecImports: mixed', 'PyExecImports math +os',
     qr/PyExecImports: either all names have/],
    ['PyExecImports: * and more', 'PyExecImports * os', qr/stand alone/],
    ['PyExecImports: no name', 'PyExecImports a/b',
     qr/'a\/b' is not the name of a module/],
    ['PyExecImports: nothing', 'PyExecImports', qr/names are missing/],
    ['PyExecForbid: unknown', 'PyExecForbid fork',
     qr/PyExecForbid: 'fork' is none of: os.system, shell, write, eval/],
    ['PyExecForbid: none and more', 'PyExecForbid none eval', qr/stand alone/],
    ['PyExecPolicy', 'PyExecPolicy 2', qr/PyExecPolicy must be On or Off/],
    ['PyExecTenant: too long', 'PyExecTenant ' . 'x' x 256, qr/not a name/],
    ['PyExecTenant: no expression', 'PyExecTenant "expr=%{"',
     qr/PyExecTenant: cannot parse 'expr=%\{'/],
    ['PyExecConcurrency: 0', 'PyExecConcurrency 0',
     qr/PyExecConcurrency: '0' is not within 1 to 256\n/],
    ['PyExecConcurrency: too many', 'PyExecConcurrency 257', qr/'257' is not/],
    ['PyExecMaxQueue', 'PyExecMaxQueue 65536',
     qr/PyExecMaxQueue: '65536' is not within 0 to 65535/],
    ['PyExecQueueTimeout', 'PyExecQueueTimeout 0',
     qr/PyExecQueueTimeout: '0' is not within 100ms to 300s/],
    ['PyExecIsolation', 'PyExecIsolation none',
     qr/PyExecIsolation: 'none' is neither full nor restricted/],
    ['PyExecRecycle', 'PyExecRecycle x', qr/PyExecRecycle: 'x' is not within/],
    ['PyExecRecycleAfter: too often', 'PyExecRecycleAfter 50ms',
     qr/PyExecRecycleAfter: '50ms' is not within 0, or 100ms to 86400s/],
    ['PyExecPreload', 'PyExecPreload "os; x"',
     qr/PyExecPreload: 'os; x' is not the name of a module/],

    # variables
    ['PyExecEnv: a loader\'s', 'PyExecEnv LD_PRELOAD /tmp/x.so',
     qr/PyExecEnv: 'LD_PRELOAD': names that begin with LD_/],
    ['PyExecEnv: the interpreter\'s', 'PyExecEnv PYTHONPATH /tmp',
     qr/names that begin with PYTHON/],
    ['PyExecEnv: of threads', 'PyExecEnv OMP_NUM_THREADS 8', qr/begin with OMP_/],
    ['PyExecEnv: a name with =', 'PyExecEnv A=B c', qr/'A=B' is not the name/],
    ['PyExecEnv: a name that begins with a digit', 'PyExecEnv 1A c',
     qr/'1A' is not the name/],
    ['PyExecEnv: a control character', "PyExecEnv A \"b\tc\"",
     qr/control character/],
    ['PyExecEnv: too large', join("\n", map { "PyExecEnv A$_ $long" } 1 .. 17),
     qr/line 1[67] of FILE:\nPyExecEnv: all variables together/],
    ['PyExecEnv: one word', 'PyExecEnv A', qr/takes two arguments/],

    # a network
    (map { ["PyExecNetwork: $_", "PyExecNetwork $_",
            qr/line 1 of FILE:\nPyExecNetwork: neither none, nor proxy=ADDRESS:PORT/] }
     qw(all proxy= proxy=127.0.0.1 proxy=127.0.0.1: proxy=127.0.0.1:0
        proxy=127.0.0.1:65536 proxy=127.0.0.1:03128 proxy=127.0.0.1:3128x
        proxy=localhost:3128 proxy=127.1:3128 proxy=0x7f000001:3128
        proxy=0.0.0.0:3128 proxy=[::]:3128 proxy=::1:3128 proxy=[::1]3128
        proxy=[::1:3128 proxy=http://127.0.0.1:3128 127.0.0.1:3128)),
    ['PyExecNetworkConnections: 0', 'PyExecNetworkConnections 0',
     qr/PyExecNetworkConnections: '0' is not within 1 to 100000/],
    ['PyExecNetworkBytes: 0', 'PyExecNetworkBytes 0',
     qr/PyExecNetworkBytes: '0' is not within 1 to/],
    ['PyExecNetwork in a place', place('PyExecNetwork none'),
     qr/PyExecNetwork not allowed in <Location>/],
    ['PyExecLinks without a network', "PyExecEngine On\nPyExecLinks On",
     qr/PYX0230: FILE:2: PyExecLinks: in pool "tenant:[^"]*" there is no network/],
    ['PyExecLinks in a pool without a network',
     "<PyExecPool a>\nPyExecNetwork proxy=127.0.0.1:1\nPyExecLinks On\n</PyExecPool>\n"
     . "<PyExecPool b>\nPyExecLinks On\n</PyExecPool>",
     qr/PYX0230: FILE:6: PyExecLinks: in pool "b" there is no network to fetch scripts over: see PyExecNetwork/],
    ['PyExecLinks in a place', place('PyExecLinks On'),
     qr/PyExecLinks not allowed in <Location>/],
    ['PyExecLinkTimeout: short', 'PyExecLinkTimeout 99ms',
     qr/PyExecLinkTimeout: '99ms' is not within/],
    ['PyExecLinkBytes: 0', 'PyExecLinkBytes 0', qr/PyExecLinkBytes: '0' is not within 1 to/],
    ['PyExecLinkBytes: more than a body', 'PyExecLinkBytes 64M',
     qr/PyExecLinkBytes: '64M' is not within 1 to/],
    (map { ["PyExecEgress: $_->[0]", "PyExecEgress $_->[0]", $_->[1]] } (
        ['', qr/any, public, or addresses are missing/],
        ['any public', qr/'any' is neither public/],
        ['10.1', qr/'10\.1' is neither public/],
        ['example.org', qr/'example\.org' is neither public/],
        ['10.0.0.0/33', qr/'10\.0\.0\.0\/33' is neither public/],
        ['10.0.0.1:80', qr/'10\.0\.0\.1:80' is neither public/])),
    ['PyExecEgress: in a place', place('PyExecEgress public'),
     qr/line 2 of FILE:\nPyExecEgress: connections belong to a server or virtual host/],

    # packages
    (map { ["PyExecEnvironment: $_->[0]", "PyExecEnvironment $_->[0]", $_->[1]] } (
        ['packages', qr/line 1 of FILE:\nPyExecEnvironment: 'packages' is neither none nor the absolute path/],
        ['/a /b', qr/PyExecEnvironment takes one argument/],
        ["\"/a\tb\"", qr/is neither none nor/])),
    ['PyExecEnvironment: missing', "${on}PyExecEnvironment /nonexistent/x",
     qr{PYX0240: FILE:2: PyExecEnvironment: '/nonexistent/x' cannot be used: No such file}],
    ['PyExecEnvironment: a file', "${on}PyExecEnvironment /etc/passwd", qr/it is not a directory/],
    ['PyExecEnvironment: not for scripts', "${on}PyExecEnvironment /etc", qr{nothing in /etc is for scripts}],
    ['PyExecEnvironment: all of it', "${on}PyExecEnvironment /usr", qr/could read far more/],
    ['PyExecEnvironment: others write there', installing(a => "PyExecInstall On\nPyExecEnvironment $shared"),
     qr/PYX0240: FILE:5: PyExecEnvironment: '\S+' cannot be used: others than its owner may write/],
    (as_root() ? ['PyExecEnvironment: somebody else\'s',
                  installing(a => "PyExecInstall On\nPyExecEnvironment $foreign"),
                  qr/PYX0240: FILE:5: .*installed by the helper's user \(uid \d+\), whose it must be/] : ()),
    ['PyExecInstall without a directory',
     "<PyExecPool a>\nPyExecNetwork proxy=127.0.0.1:3128\nPyExecInstall On\n</PyExecPool>",
     qr/PYX0241: FILE:3: PyExecInstall: the pool 'a' needs a directory for the packages: PyExecEnvironment/],
    ['PyExecInstall without a network', installing(a => "PyExecInstall On\nPyExecNetwork none"),
     qr/PYX0241: FILE:4: PyExecInstall: the pool 'a' needs a proxy to the index: PyExecNetwork/],
    ['PyExecInstall without the sandbox',
     installing(a => "PyExecInstall On\nPyExecIsolation restricted"),
     qr/PYX0241: FILE:4: PyExecInstall: the pool 'a' needs PyExecIsolation full/],
    ['PyExecInstall for all, and nothing else', "${on}PyExecInstall On",
     qr/PYX0241: FILE:2: PyExecInstall: the pool 'tenant:main.example' needs a directory/],
    ['two pools that install', installing(a => 'PyExecInstall On', b => 'PyExecInstall On'),
     qr/PYX0242: FILE:9: the pools 'a' and 'b' cannot share the PyExecEnvironment '\S+': both install/],
    ['two tenants that install', "PyExecEnvironment $packages\nPyExecInstall On\n"
     . "PyExecNetwork proxy=127.0.0.1:3128\n$on"
     . "<VirtualHost *:1>\nServerName a\n</VirtualHost>",
     qr/PYX0242: FILE:2: the pools 'tenant:\S+' and 'tenant:\S+' cannot share/],
    ['two interpreters of one directory', installing(a => 'PyExecInstall On', b => 'PyExecPython other'),
     qr/PYX0242: FILE:7: the pools 'a' and 'b' cannot share .*: their PyExecPython differs/],
    ['a tenant of the name of what installs',
     installing(a => '') . "PyExecEnvironment $packages\nPyExecInstall On\n"
     . "PyExecNetwork proxy=127.0.0.1:3128\nPyExecEngine On\nPyExecTenant x\n"
     . place("PyExecEngine On\nPyExecTenant x+install"),
     qr/PYX0015: no tenant can be named 'x\+install' where packages are installed for 'tenant:x'/],
    (map { ["PyExecInstallIndex $_", "PyExecInstallIndex \"$_\"",
            qr/line 1 of FILE:\nPyExecInstallIndex: '.*' is not http\(s\):/] }
     ('a.example', 'ftp://a.example/', 'https://a.example', 'https:///simple/',
      'https://user:word@a.example/', 'https://a.example/?x=1', 'https://a.example/#x',
      'https://a.example/a b', 'https://-a.example/', "https://a.example/\xc3\xa4",
      'file:///srv/', '--index-url', "https://a.example/$long")),
    ['PyExecInstallTimeout', 'PyExecInstallTimeout 301',
     qr/PyExecInstallTimeout: '301' is not within 100ms to 300s/],
    ['PyExecInstallSize: too small', 'PyExecInstallSize 1023K',
     qr/PyExecInstallSize: '1023K' is not within 1M to 1536M/],
    ['PyExecInstallSize: too large', 'PyExecInstallSize 1537', qr/'1537' is not within/],
    ['PyExecInstall in a place', place('PyExecInstall On'),
     qr/PyExecInstall not allowed in <Location>/],

    # contexts
    ['a pool directive in a place', place('PyExecConcurrency 2'),
     qr/line 2 of FILE:\nPyExecConcurrency not allowed in <Location>/],
    ['a pool directive in a virtual host',
     "<VirtualHost *:1>\nPyExecPreload os\n</VirtualHost>",
     qr/line 2 of FILE:\nPyExecPreload cannot occur within <VirtualHost>/],
    ['a place directive in a pool',
     "<PyExecPool a>\nPyExecTimeout 5\n</PyExecPool>",
     qr/line 2 of FILE:\nPyExecTimeout is not a directive of a pool/],
    ['another one\'s directive in a pool',
     "<PyExecPool a>\nOptions None\n</PyExecPool>",
     qr/line 2 of FILE:\nOptions is not a directive of a pool/],
    ['a wrong value in a pool', "<PyExecPool a>\n\nPyExecRecycle x\n</PyExecPool>",
     qr/line 3 of FILE:\nPyExecRecycle: 'x' is not within/],
    ['a pool in a pool',
     "<PyExecPool a>\n<PyExecPool b>\n</PyExecPool>\n</PyExecPool>",
     qr/line 2 of FILE:\n<PyExecPool> is not a directive of a pool/],
    ['a pool in a virtual host',
     "<VirtualHost *:1>\n<PyExecPool a>\n</PyExecPool>\n</VirtualHost>",
     qr/line 2 of FILE:\n<PyExecPool> cannot occur within <VirtualHost>/],
    ['a pool in a place', place("<PyExecPool a>\n</PyExecPool>"),
     qr/line 2 of FILE:\n<PyExecPool not allowed in <Location>/],
    ['a pool twice',
     "<PyExecPool a>\n</PyExecPool>\n<PyExecPool a>\n</PyExecPool>",
     qr/line 3 of FILE:.*the pool 'a' is defined already, at FILE:1/s],
    ['a pool without a name', "<PyExecPool>\n</PyExecPool>", qr/one name is wanted/],
    ['a pool with two names', "<PyExecPool a b>\n</PyExecPool>",
     qr/one name is wanted/],
    ['a pool with a name of others', "<PyExecPool tenant:x>\n</PyExecPool>",
     qr/'tenant:x' is not the name of a pool/],
    ['<Limit>', place("<Limit GET>\nPyExecEngine On\n</Limit>"),
     qr/line 3 of FILE:\nPyExecEngine cannot occur within <Limit>/],
    ['the helper in a virtual host',
     "<VirtualHost *:1>\nPyExecHelperUser x\n</VirtualHost>",
     qr/line 2 of FILE:\nPyExecHelperUser cannot occur within <VirtualHost>/],

    # what only the whole configuration can tell
    ['an unknown pool', place("PyExecEngine On\nPyExecPool nobody"),
     qr/PYX0011: FILE:3: PyExecPool: there is no <PyExecPool nobody>/],
    ['an unknown pool of a virtual host',
     "<VirtualHost *:1>\nServerName a\nPyExecPool nobody\n</VirtualHost>",
     qr/PYX0011: FILE:3: PyExecPool: there is no <PyExecPool nobody>/],
    ['tenants that are not known', place("PyExecEngine On\nPyExecTenant expr=%{REMOTE_USER}"),
     qr/PYX0012: FILE:3: PyExecTenant: .*PyExecPool/],
    ['the helper is missing', "${on}PyExecHelperProgram /nonexistent/x",
     qr{PYX0001: the helper '/nonexistent/x' cannot be used: No such file}],
    ['the helper is not executable', "${on}PyExecHelperProgram /etc/passwd",
     qr{PYX0001: .*'/etc/passwd' cannot be used: it is not an executable file}],
    ['the socket\'s path is too long', "${on}DefaultRuntimeDir $deep",
     qr/PYX0003: .*DefaultRuntimeDir/],
    ['too many pools', $on . join('', map { "<PyExecPool p$_>\n</PyExecPool>\n" }
                                      1 .. 512),
     qr/PYX0015: 513 pools are needed and 512 are possible/],
    ['a tenant whose name is too long', "${on}PyExecTenant $long",
     qr/PYX0015: the tenant 'tenant:x+' has a name of more than 248 bytes/],
    as_root()
        ? (['the helper\'s user is missing', "${on}PyExecHelperUser nobody-at-all",
            qr/PYX0002: there is no user 'nobody-at-all' \(PyExecHelperUser: a name, or # and a number\)/, 1],
           ['the helper\'s user is root', "${on}PyExecHelperUser root",
            qr/PYX0002: the helper would run as root/, 1])
        : ['PyExecSocketOwner: not root', "${on}PyExecSocketOwner root",
           qr/PYX0017: PyExecSocketOwner: only root gives/],
    ['PyExecSocketOwner: nobody', "${on}PyExecSocketOwner nobody-at-all",
     qr/PYX0017: PyExecSocketOwner: there is no such user or group: 'nobody-at-all'/],
    ['PyExecSocketOwner: no group', "${on}PyExecSocketOwner #$>:no-group-at-all",
     qr/PYX0017: .*no such user or group/],
    ['PyExecSocketMode: no mode', 'PyExecSocketMode 0777',
     qr/'0777' is not an octal mode from 0600 to 0666/],
    ['PyExecSocketMode: not its owner', 'PyExecSocketMode 066', qr/'066' is not an octal/],
    ['PyExecSocketMode: no octal', 'PyExecSocketMode 0680', qr/'0680' is not an octal/],
    ['PyExecHelper: a word', 'PyExecHelper no',
     qr/PyExecHelper: 'no' is neither spawn nor unix:/],
    ['PyExecHelper: relative', 'PyExecHelper unix:run/x',
     qr/'run\/x' is not an absolute path/],
    ['PyExecHelper: no path', 'PyExecHelper unix:', qr/'' is not an absolute path/],
    ['PyExecHelper: too long', "PyExecHelper unix:/$long",
     qr/has more than 99 bytes, which a socket cannot have/],
    ['PyExecHelper: not here', "<VirtualHost *:1>\nPyExecHelper spawn\n</VirtualHost>",
     qr/PyExecHelper cannot occur within/],
    ['PyExecHelper with what it contradicts',
     "${on}PyExecHelper unix:/run/x.sock\nPyExecHelperUser x\nPyExecHelperProgram /x",
     qr/PYX0018: FILE:4: PyExecHelperProgram is for a helper that httpd starts.*PYX0018: FILE:3: PyExecHelperUser/s, 1],
    ['PyExecHelper where all can write', "${on}PyExecHelper unix:/tmp/x.sock",
     qr/PYX0019: the service's socket must not be in '\/tmp', which everyone can write to/, 1],
);

# What is only warned of, and what is fine: then there is no text to match.
my $vhosts = "<VirtualHost *:1>\nServerName a\nPyExecEngine On\n%s\n</VirtualHost>\n"
    . "<VirtualHost *:2>\nServerName a\nPyExecEngine On\n%s\n</VirtualHost>\n";
my @accepted = (
    ['a wish above its ceiling', place("PyExecEngine On\nPyExecTimeout 20")
     . "PyExecMaxTimeout 10\n",
     qr/PYX0013: FILE:3: PyExecTimeout is more than PyExecMaxTimeout \(FILE:5\)/],
    ['a wish that is as much', place("PyExecEngine On\nPyExecTimeout 10")
     . "PyExecMaxTimeout 10\n", undef],
    ['two hosts of one name differ', sprintf($vhosts, 'PyExecTimeout 7', ''),
     qr/PYX0014: two virtual hosts are named a .* differ in PyExecTimeout: (?:FILE:1 and FILE:6|FILE:6 and FILE:1)$/m],
    ['two hosts of one name differ in a section that both have',
     place("PyExecEngine On\nPyExecImports math") . "<VirtualHost *:1>\nServerName a\nPyExecTimeout 7\n</VirtualHost>\n"
     . "<VirtualHost *:2>\nServerName a\n</VirtualHost>\n",
     qr/PYX0014: .* differ in PyExecTimeout at <Location "\/execute">: (?:FILE:5 and FILE:9|FILE:9 and FILE:5)$/m],
    ['two hosts of one name in two pools', sprintf($vhosts, 'PyExecPool p', '')
     . "<PyExecPool p>\n</PyExecPool>\n", qr/PYX0014: .* differ in PyExecPool/],
    ['two hosts of one name are alike',
     sprintf($vhosts, 'PyExecTimeout 7', 'PyExecTimeout 7000ms'), undef],
    ['a host without a name', "<VirtualHost *:1>\nPyExecEngine On\n</VirtualHost>",
     qr/PYX0004: the virtual host at FILE:1 may run code and has no ServerName/],
    ['a host without a name that runs nothing', "<VirtualHost *:1>\n</VirtualHost>",
     undef],
    ['a host without a name, but with a tenant',
     "<VirtualHost *:1>\nPyExecEngine On\nPyExecTenant x\n</VirtualHost>", undef],
    ['an expression with a pool',
     place("PyExecEngine On\nPyExecPool p\nPyExecTenant expr=%{REMOTE_USER}")
     . "<PyExecPool p>\n</PyExecPool>\n", undef],
    ['a pool is defined after its use', place("PyExecEngine On\nPyExecPool p")
     . "<PyExecPool \"p\">\nPyExecEnv A b\n</PyExecPool>\n", undef],
    ['CoreDumpDirectory', "${on}CoreDumpDirectory /tmp", qr/PYX0007: CoreDumpDirectory lets/],
    ['PyExecSocketMode', "${on}PyExecSocketMode 0666", undef],
    ['PyExecSocketOwner', "${on}PyExecSocketOwner #$>:#0", undef],
    (map { ["PyExecNetwork $_", "PyExecNetwork $_", undef] }
     qw(none proxy=127.0.0.1:3128 proxy=192.0.2.1:1 PROXY=[2001:db8::1]:65535)),
    ['PyExecEgress', 'PyExecEgress public 10.1.2.3 fd00::/8', undef],
    ['PyExecLinks', "PyExecLinks On\nPyExecNetwork proxy=127.0.0.1:1\nPyExecEngine On", undef],
    ['PyExecLinks that a pool does not want',
     "PyExecLinks On\n<PyExecPool a>\nPyExecLinks Off\n</PyExecPool>", undef],
    ['packages', installing(a => "PyExecInstall On\nPyExecInstallIndex HTTP://[::1]:1/a%20b/\n"
                            . "PyExecInstallSize 1M\nPyExecInstallSource On",
                            b => ''), undef],
    ['packages that nobody installs', "${on}PyExecEnvironment $shared\nPyExecEnvironment none\n"
     . "PyExecEnvironment $foreign\n", undef],
    ['nothing is switched on', "PyExecHelperProgram /nonexistent/x\n", undef],
);

plan tests => 2 * @refused + 2 * @accepted + 10;

for my $case (@refused) {
    my ($name, $text, $says, $bare) = @$case;
    my $got = config_test("$text\n", bare => $bare);

    isnt($got->{status}, 0, "$name: refused");
    like($got->{output}, $says, '... with a reason');
}
for my $case (@accepted) {
    my ($name, $text, $says) = @$case;
    my $got = config_test("$text\n");

    is($got->{status}, 0, "$name: accepted") or diag($got->{output});
    # As root the helper's user differs from httpd's; otherwise it cannot.
    $says ? like($got->{output}, $says, '... with a warning')
        : unlike($got->{output}, qr/PYX/, '... without a warning');
}

# ---- the commented example ----

# What the dump says: { section => { directive => value } }.
sub dumped
{
    my $got = config_test($_[0], define => 'DUMP_PYEXEC');
    my %found;
    my $section = '';

    for (split /\n/, $got->{output}) {
        $section = '' if $_ eq '';
        $section = $1 if /^(?:  )?(pool "[^"]*"|<Location "[^"]*">)/;
        $found{$section}{$1} = $2
            if /^ {4}(PyExec\w+) +(.*?) +(?:\(default\)|FILE:\d+.*|\/.*)$/;
    }
    return ($got, \%found);
}

my $example = do {
    local (@ARGV, $/) = var('locations') =~ s/locations\.conf$/pyexec.conf.in/r;
    <>;
};
# Whose value is an example of what can be said; the others tell the default.
my %examples = map { $_ => 1 } qw(PyExecPool PyExecTenant PyExecImports
    PyExecForbid PyExecConcurrency PyExecPreload PyExecEnv);

$example =~ s/^LoadModule.*//m;
$example =~ s/^#(?: {4})?(?=<|PyExec(?!Helper|SocketOwner)|SetHandler)//gm;
my ($got, $said) = dumped($example);
my (undef, $default) = dumped(place($on));

like((dumped(installing(a => 'PyExecInstall On')))[0]{output},
     qr/^pool "a\+install" \(FILE:4\), started by the first installation for "a"$/m,
     'a pool that installs is told');

# What an administrator cannot see otherwise: a fence around a proxy where
# nothing runs, and the numbers behind "as many as there are".
like((dumped("<VirtualHost *:1>\nServerName a\nPyExecEgress public 10.1.2.3\n</VirtualHost>\n"
             . place($on)))[0]{output},
     qr/^virtual host a \(FILE:1\)\n {4}PyExecEngine +Off .*\n {4}PyExecEgress +public 10\.1\.2\.3 +FILE:3$/m,
     'where nothing runs the dump has PyExecEgress');
like((dumped(place('PyExecMetrics On')))[0]{output},
     qr/^  <Location "\/execute"> \(FILE:1\)\n {4}PyExecEngine +Off .*\n {4}PyExecMetrics +On +FILE:2$/m,
     '... and PyExecMetrics');
my $numbers = (dumped($on))[0]{output};
my $threads = mpm() eq 'prefork' ? 0 : qr/[1-9]\d*/;

like($numbers, qr/^ {4}PyExecConcurrency +[1-9]\d* +\(default\)$/m,
     'the dump has the number that PyExecConcurrency comes to');
like($numbers, qr/^ {4}PyExecMaxWorkers +$threads +\(default\)$/m,
     '... and that of PyExecMaxWorkers');
is($got->{status}, 0, 'the example is accepted') or diag($got->{output});
for my $pair (['<Location "/execute">', '<Location "/execute">'],
              ['pool "science"', 'pool "tenant:main.example"']) {
    my ($in_example, $by_default) = map { $_ || {} }
        $said->{ $pair->[0] }, $default->{ $pair->[1] };

    cmp_ok(scalar keys %$by_default, '>', 10, "$pair->[1]: the dump has its defaults");
    delete @{$_}{ keys %examples } for $in_example, $by_default;
    is_deeply($in_example, $by_default, "$pair->[0]: it tells the defaults");
}
