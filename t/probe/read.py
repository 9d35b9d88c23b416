def text(path):
    with open(path, 'rb') as file:
        return file.read(100000)


HIDDEN = {'boot', 'home', 'media', 'mnt', 'opt', 'proc', 'root', 'run', 'sbin', 'srv', 'sys', 'var'}

attempt('users of the host', lambda: b'root:' in text('/etc/passwd'))
attempt('a file of the host', lambda: text('@MARKER@'))
attempt('/tmp of the host', lambda: '@MARKER_NAME@' in os.listdir('/tmp'))
attempt('document root', lambda: text('@DOCROOT@/index.html'))
attempt('/proc', lambda: os.listdir('/proc') != [])
attempt('/proc/self', lambda: text('/proc/self/status'))
attempt('/proc/version', lambda: text('/proc/version'))
attempt('/sys', lambda: os.listdir('/sys') != [])
attempt('/var', lambda: os.listdir('/var') != [])
attempt('/usr/bin', lambda: os.listdir('/usr/bin') != [])
attempt('directories of the root', lambda: HIDDEN & set(os.listdir('/')) != set())
attempt('/etc/shadow', lambda: text('/etc/shadow'), witness='root')
attempt('hosts known to the machine', lambda: os.listdir('/etc').index('hostname'))
attempt('devices', lambda: len(os.listdir('/dev')) > 6)
attempt('a way up', lambda: '@MARKER_NAME@' in os.listdir('/proc/self/root/tmp'))
