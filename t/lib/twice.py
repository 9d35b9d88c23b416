#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two runs over one HTTP/2 connection (h2c), one after the other.

  twice.py PORT HOST SCRIPT

The first is over in a moment, the second runs SCRIPT. Prints the body of each
answer as a line of JSON.
"""
import json
import struct
import sys

from leave import (ACK, DATA, END_STREAM, SETTINGS, START_2, connect, frame,
                   headers_2, read_exactly)


def ask(connection, code, stream):
    body = json.dumps({'code': code}).encode()
    connection.sendall(headers_2('/execute', body, stream,
                                 sys.argv[2].encode()))


def read_body(connection, stream):
    body = b''
    while True:
        head = read_exactly(connection, 9)
        size, = struct.unpack('>I', b'\0' + head[:3])
        kind, flags, of = struct.unpack('>BBI', head[3:])
        payload = read_exactly(connection, size)
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(frame(SETTINGS, ACK, 0))
        if of == stream and kind == DATA:
            body += payload
        if of == stream and flags & END_STREAM:
            return body.decode()


def main():
    connection = connect(int(sys.argv[1]), 'h2c')
    connection.settimeout(60)
    connection.sendall(START_2)
    for stream, code in (1, 'print(1)'), (3, sys.argv[3]):
        ask(connection, code, stream)
        print(json.dumps(json.loads(read_body(connection, stream))), flush=True)


main()
