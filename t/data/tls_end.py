# SPDX-License-Identifier: Apache-2.0
"""A proxy that is the host behind it, too: says TLS to whoever asks for a
tunnel, sends a script without its size, and ends the connection with a word of
TLS about it, or where the path is /cut without, as somebody on the way could.

  tls_end.py CERTIFICATE KEY     prints its port; ends with its input
"""
import os
import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(('127.0.0.1', 0))


def serve(peer):
    peer.recv(4096)
    peer.sendall(b'HTTP/1.1 200 here\r\n\r\n')
    peer = context.wrap_socket(peer, server_side=True)
    asked = peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nprint('all')\n")
    if not asked.startswith(b'GET /cut '):
        try:
            peer.unwrap()
        except OSError:
            pass  # the other side need not answer
    peer.close()


def listen():
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer,), daemon=True).start()


threading.Thread(target=listen, daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
os._exit(0)
