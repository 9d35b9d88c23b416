#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client that sends a run without end and leaves on command.

  leave.py PORT http|tls|h2c|h2 close|abort|reset

Leaves when its stdin has a line: `close` closes the connection,
`abort` resets it (RST), `reset` sends RST_STREAM for the run, sees that the
connection still answers a PING, and keeps that open until its stdin ends. Fails when an answer to the run comes.
"""
import json
import socket
import ssl
import struct
import sys

DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
ACK = END_STREAM = 1
END_HEADERS = 4
CANCEL = 8
STREAM = 1

BODY = json.dumps({'code': 'while True: pass', 'timeout': 30}).encode()
PATH = '/policy-off/execute'


def connect(port, protocol):
    plain = socket.create_connection(('127.0.0.1', port), 10)
    if protocol in ('http', 'h2c'):
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # of this test, for this test
    context.set_alpn_protocols(['h2' if protocol == 'h2' else 'http/1.1'])
    secured = context.wrap_socket(plain)
    if protocol == 'h2' and secured.selected_alpn_protocol() != 'h2':
        sys.exit('the server does not speak HTTP/2')
    return secured


def ask_1(connection):
    connection.sendall(
        b'POST %s HTTP/1.1\r\nHost: localhost\r\n'
        b'Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s'
        % (PATH.encode(), len(BODY), BODY))


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] \
        + struct.pack('>BBI', kind, flags, stream) + payload


def literal(name, value):
    """A header field without indexing (RFC 7541, 6.2.2)."""
    return b'\0%c%s%c%s' % (len(name), name, len(value), value)


def headers_2(path, body, stream, host=b'localhost'):
    fields = [(b':method', b'POST'), (b':scheme', b'http'),
              (b':authority', host), (b':path', path.encode()),
              (b'content-type', b'application/json'),
              (b'content-length', str(len(body)).encode())]
    return frame(HEADERS, END_HEADERS, stream,
                 b''.join(literal(*field) for field in fields)) \
        + frame(DATA, END_STREAM, stream, body)


START_2 = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS, 0, 0)


def ask_2(connection):
    connection.sendall(START_2 + headers_2(PATH, BODY, STREAM))


def read_exactly(connection, size):
    data = b''
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            sys.exit('the server closed the connection')
        data += part
    return data


def reset_stream(connection):
    """Then PING, until it is answered; nothing may come for the stream."""
    connection.sendall(frame(RST_STREAM, 0, STREAM, struct.pack('>I', CANCEL))
                       + frame(PING, 0, 0, b'01234567'))
    while True:
        head = read_exactly(connection, 9)
        size, = struct.unpack('>I', b'\0' + head[:3])
        kind, flags, stream = struct.unpack('>BBI', head[3:])
        read_exactly(connection, size)
        if kind in (HEADERS, DATA) and stream == STREAM:
            sys.exit('an answer came')
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(frame(SETTINGS, ACK, 0))
        if kind == PING and flags & ACK:
            return


def main():
    port, protocol, how = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    connection = connect(port, protocol)
    (ask_2 if protocol.startswith('h2') else ask_1)(connection)
    sys.stdin.readline()
    if how == 'reset':
        reset_stream(connection)
        sys.stdin.read()  # the run must end while the connection stays
        return
    if how == 'abort':
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack('ii', 1, 0))
        socket.close(connection.detach())
        return
    connection.close()


if __name__ == '__main__':
    main()
