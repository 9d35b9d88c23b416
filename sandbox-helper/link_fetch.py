# SPDX-License-Identifier: Apache-2.0
#
# Fetches a script from where its link leads. The zygote compiles this
# (py_link.c), a job runs it: confined, under the run's limits and against a
# clock of C's, before the script is looked at. What comes from the network is
# hostile, and may be the script's author's. So nothing it says is repeated in
# a sentence but names that were checked, nothing is read without a bound, and
# what is not understood is refused.
#
# Speaks to the run's own way to the proxy and to nobody else; no variable of
# the environment is asked. The trust in certificates is OpenSSL's own
# (SSL_CERT_FILE). No name but look() and fetch() is used from outside; both
# answer (value, None) or (None, why not).
import re

PROXY = '127.0.0.1'
MOST_REDIRECTS = 5
# Of an address; httpd takes no longer lines, and nobody writes them.
MOST_ADDRESS = 4000
# Of a line that says how long a chunk is: 8 digits, and what nobody sends.
MOST_CHUNK_LINE = 256

ADDRESS = re.compile(
    r'(?P<scheme>https?)://'
    r'(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])'
    r'(?::(?P<port>[0-9]{1,5}))?'
    r'(?P<rest>(?:[/?][!-~]*)?)', re.IGNORECASE | re.ASCII)
MEDIA_TYPE = re.compile(r'[a-z0-9.+_-]{1,60}/[a-z0-9.+_-]{1,60}', re.ASCII)
CHUNK_LINE = re.compile(rb'([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~]*)?\r\n')
PYTHON_TYPES = ('application/octet-stream', 'application/x-python',
                'application/x-python-code', 'application/python')


class Refused(Exception):
    """Its text says why; it ends no sentence and begins with none."""


def parse(address):
    """(scheme, host, port or None, the rest) of an address that is one."""
    if len(address) > MOST_ADDRESS:
        raise Refused(f'the address has more than {MOST_ADDRESS} characters')
    if not re.fullmatch('[!-~]*', address):
        raise Refused('the address must be ASCII without blanks: a name in '
                      'punycode, all else percent-encoded')
    address = address.partition('#')[0]
    if not re.match('https?://', address, re.IGNORECASE):
        raise Refused('the address begins neither with http:// nor with '
                      'https://')
    if '@' in re.split('[/?]', address, maxsplit=3)[2]:
        raise Refused('the address must not name a user')
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise Refused('the address is malformed')
    port = found['port'] and int(found['port'])
    if port is not None and not 1 <= port <= 65535:
        raise Refused('the port of the address is not within 1 to 65535')
    rest = found['rest']
    return (found['scheme'].lower(), found['host'].lower(), port,
            rest if rest.startswith('/') else '/' + rest)


def name(scheme, host, port):
    return host if port is None else f'{host}:{port}'


def look(address):
    try:
        return name(*parse(address)[:3]), None
    except Refused as problem:
        return None, f'The link is not acceptable: {problem}.'


def say_status(status):
    import http.client
    text = http.client.responses.get(status)
    return f'{status} ({text})' if text else str(status)


def connect(scheme, host, port, proxy_port):
    import http.client

    if scheme == 'http':
        return http.client.HTTPConnection(PROXY, proxy_port)
    import ssl
    context = ssl.create_default_context()
    # A stream that is cut off is no script that has ended: so says OpenSSL
    # (3 and newer), and Python would not hear of it, twice.
    context.options &= ~getattr(ssl, 'OP_IGNORE_UNEXPECTED_EOF', 0)
    connection = http.client.HTTPSConnection(PROXY, proxy_port,
                                             context=context)
    connection.set_tunnel(host, port or 443)
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as problem:
        raise Refused('its certificate is not trusted '
                      f'({problem.verify_message})') from None
    except ssl.SSLError:
        raise Refused('TLS cannot be agreed on') from None
    except ConnectionError:
        raise
    except OSError as problem:
        status = re.match(r'Tunnel connection failed: ([0-9]{3})\b',
                          str(problem))
        if status is None:
            raise
        status = int(status[1])
        raise Refused(('the proxy does not allow it: '
                       if status in (401, 403, 405, 407)
                       else 'the proxy cannot connect to it: ')
                      + say_status(status)) from None
    connection.sock.suppress_ragged_eofs = False
    return connection


def ask(connection, scheme, host, port, rest):
    """The answer, of which the head was read."""
    target = rest
    if scheme == 'http':
        target = f'http://{name(scheme, host, port)}{rest}'
    connection.request('GET', target, headers={
        'Accept': 'text/x-python, text/plain;q=0.9, */*;q=0.1',
        'Connection': 'close',
        'User-Agent': 'mod_pyexec'})
    return connection.getresponse()


def only(answer, header):
    """The value of a header that is there once at most."""
    values = answer.headers.get_all(header, [])
    if len(values) > 1:
        raise Refused('its answer is malformed')
    return values[0].strip() if values else None


def check_head(answer):
    """http.client passes over a line that is no header, and all behind it."""
    if answer.headers.defects or answer.headers.get_payload():
        raise Refused('its answer is malformed')


def check_status(answer, scheme):
    if answer.status == 200:
        return
    # Without a tunnel nobody can tell who it is that answers.
    who = 'it' if scheme == 'https' else 'it, or the proxy,'
    raise Refused(f'{who} answered {say_status(answer.status)}')


def check_kind(answer):
    kind = only(answer, 'Content-Type')
    if kind:
        kind = kind.partition(';')[0].strip().lower()
        if not MEDIA_TYPE.fullmatch(kind):
            raise Refused('its answer is malformed')
        if (not kind.startswith('text/') or kind == 'text/html') \
                and kind not in PYTHON_TYPES:
            raise Refused(f'it is no script but of the type {kind}')
    if any(value.strip().lower() not in ('', 'identity')
           for value in answer.headers.get_all('Content-Encoding', [])):
        raise Refused('its answer is compressed')


def too_large(most):
    return Refused(f'the script has more than {most} bytes')


def read_exactly(stream, size):
    data = stream.read(size)
    if len(data) != size:
        raise Refused('its answer ended early')
    return data


def read_chunks(stream, most):
    data = bytearray()
    while True:
        line = CHUNK_LINE.fullmatch(stream.readline(MOST_CHUNK_LINE))
        if line is None:
            raise Refused('its answer is malformed')
        size = int(line[1], 16)
        if size == 0:
            return data # whatever follows is not read
        if size > most - len(data):
            raise too_large(most)
        data += read_exactly(stream, size)
        if stream.read(2) != b'\r\n':
            raise Refused('its answer is malformed')


def read_body(answer, most):
    """At most so many bytes. http.client's own reading takes a length of -1."""
    length = only(answer, 'Content-Length')
    coding = only(answer, 'Transfer-Encoding')
    if coding is not None:
        if coding.lower() != 'chunked' or length is not None:
            raise Refused('its answer is malformed')
        return read_chunks(answer.fp, most)
    if length is None:
        data = answer.fp.read(most + 1)
        if len(data) > most:
            raise too_large(most)
        return data
    if not re.fullmatch('[0-9]{1,18}', length, re.ASCII):
        raise Refused('its answer is malformed')
    if int(length) > most:
        raise too_large(most)
    # http.client has closed the stream of an empty body.
    return read_exactly(answer.fp, int(length)) if int(length) else b''


def decode(data):
    """A byte order mark is skipped where scripts are read (py_source.c)."""
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError:
        raise Refused('the script is not UTF-8') from None
    if '\0' in text:
        raise Refused('the script has a NUL character')
    return text


def follow(answer, address):
    """Where it sends us."""
    import urllib.parse

    check_head(answer)
    to = only(answer, 'Location')
    if not to:
        raise Refused(f'it answered {say_status(answer.status)} and no '
                      'address')
    if not re.fullmatch('[!-~]+', to):
        raise Refused('it redirects to an address that is not ASCII')
    return urllib.parse.urljoin(address, to)


def get(address, proxy_port, most):
    """The text at an address, or the next address; and whom was asked."""
    scheme, host, port, rest = parse(address)
    connection = answer = None
    try:
        connection = connect(scheme, host, port, proxy_port)
        answer = ask(connection, scheme, host, port, rest)
        if answer.status in (301, 302, 303, 307, 308):
            return None, follow(answer, address)
        check_status(answer, scheme)
        check_kind(answer)
        check_head(answer)
        return decode(read_body(answer, most)), None
    finally:
        for thing in answer, connection:
            if thing is not None:
                thing.close()


def get_all_the_way(address, proxy_port, most, way):
    """As get(), through redirects; way[-1] is where it is."""
    for _ in range(MOST_REDIRECTS + 1):
        try:
            scheme, host, port, _ = parse(address)
        except Refused as problem:
            raise Refused(f'it redirects, but {problem}') from None
        if scheme == 'http' and any(step.startswith('https:')
                                    for step in way):
            raise Refused('it redirects from https to http')
        way.append(f'{scheme}://{name(scheme, host, port)}')
        text, address = get(address, proxy_port, most)
        if text is not None:
            return text
    raise Refused(f'it redirects more than {MOST_REDIRECTS} times')


def fetch(address, proxy_port, most):
    way = []
    try:
        return get_all_the_way(address, proxy_port, most, way), None
    except Refused as problem:
        why = str(problem)
    except (MemoryError, ImportError):
        raise # not of the other side's making
    except OSError:
        why = ('the proxy does not answer, or the connection was ended '
               'early')
    except Exception as problem:
        # http.client's, all of them, and what its parsers stumble over.
        why = f'its answer is malformed ({type(problem).__name__})'
    # Of https only the host and its port, if there is one: the rest of an
    # address may be a secret.
    where = way[-1].partition('://')[2] if way else 'its address'
    if len(way) > 1:
        where += f' (redirected from {way[0].partition("://")[2]})'
    return None, f'The script was not fetched from {where}: {why}.'
