import socket


def opened(*args):
    return lambda: socket.socket(*args).close()


def connected():
    with socket.create_connection(('127.0.0.1', @PORT@), 2) as peer:
        peer.sendall(b'GET /health HTTP/1.0\r\n\r\n')
        return peer.recv(1) != b''


def abstract():
    name = '\0pyexec-probe-%d' % os.getpid()
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(name)
        one.listen(1)
        other.connect(name)


attempt('IPv4 stream', opened(socket.AF_INET, socket.SOCK_STREAM))
attempt('IPv4 datagram', opened(socket.AF_INET, socket.SOCK_DGRAM))
attempt('IPv6', opened(socket.AF_INET6, socket.SOCK_STREAM))
attempt('Unix', opened(socket.AF_UNIX, socket.SOCK_STREAM))
attempt('abstract Unix socket', abstract)
attempt('netlink', opened(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt('packet', opened(socket.AF_PACKET, socket.SOCK_RAW), witness='root')
attempt('raw IPv4', opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), witness='root')
attempt('connection to this server', connected)
attempt('an interface beside lo', lambda: [n for _, n in socket.if_nameindex() if n != 'lo'] != [], witness='none')
attempt('the name of this host', lambda: socket.gethostname() == '@HOSTNAME@')
attempt('the name by uname', lambda: os.uname().nodename == '@HOSTNAME@')
attempt('setting the name', lambda: socket.sethostname(socket.gethostname()), witness='root')
