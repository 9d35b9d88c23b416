# SPDX-License-Identifier: Apache-2.0
"""Prints the directives of mod_pyexec as the part of mod_pyexec(5), in mdoc.

  directives.py pyexec_directives.h pyexec.conf.in wire.h <mod_pyexec.5.in

Names, scopes, ranges and one-line helps are those that the module is compiled
from, the explanations those of the commented example: neither is written twice,
so the page cannot say anything else. What of the two does not fit together ends
the build.
"""
import re
import sys
import textwrap

SCOPES = {
    'PLACE': ('Places', 'Server, virtual host, directory, location; the inner'
              ' one holds. Never in .htaccess.'),
    'WISH': ('Limits', 'The same, and .htaccess with AllowOverride FileInfo,'
             ' where they only tighten.'),
    'CEILING': ('Ceilings', 'As places; of all that enclose a place the least'
                ' one holds, whatever its limits say.'),
    'POOL': ('Pools', 'In a <PyExecPool name> section, or outside of sections'
             ' and virtual hosts as the default of all pools. The section'
             ' stands outside of them, too; its name is 1 to 64 letters,'
             ' digits, dots, dashes and underscores.'),
    'GLOBAL': ('The helper', 'The main server only.'),
}
ARGUMENTS = {
    'FLAG': 'On | Off', 'BYTES': 'bytes', 'MEBIBYTES': 'mebibytes',
    'DURATION': 'time', 'PERIOD': 'time', 'COUNT': 'number',
    'DIALECT': 'dialect', 'ORIGIN': 'origin', 'LEVEL': 'full | restricted',
    'PATH': 'path', 'ACCOUNT': 'user', 'LIST': 'module ...',
    'POOLNAME': 'pool', 'TENANT': 'tenant', 'IMPORTS': 'module ...',
    'FORBID': 'call ...', 'ENV': 'name value', 'PYTHON': 'name',
    'DIRS': 'directory ...', 'NETWORK': 'none | proxy=address:port',
    'EGRESS': 'any | public | network ...', 'HELPER': 'spawn | unix:/path',
    'OWNER': 'user[:group]', 'MODE': 'octal', 'DIR': 'none | directory',
}


def constants(headers):
    """{name: its expression}, of what is defined to be a number."""
    return dict(re.findall(r'^#define (\w+) +([^"\n]*?) *$',
                           headers.replace('\\\n', ' '), re.M))


def number(expression, known):
    """The value of a constant expression of C, of + - * << and names."""
    for _ in range(9):
        expression = re.sub(r'[A-Za-z_]\w*', lambda name: '(%s)' %
                            known[name[0]], re.sub(
                                r'\(long long\)|(?<=\d)(?:LL|u)\b', '',
                                expression))
    if not re.fullmatch(r'[\d\s()*+<-]+', expression):
        sys.exit('directives.py: what is %s?' % expression)
    return eval(expression)


def split(row):
    """The arguments of one X(...)."""
    return re.findall(r'(?:"(?:[^"\\]|\\.)*"|\([^()]*\)|[^,"()])+', row)


def rows(header, known):
    """(scope, kind, name, range, help) of each, in the header's order."""
    text = header.replace('\\\n', '')
    found = re.findall(r'\bX\(((?:"(?:[^"\\]|\\.)*"|\([^()]*\)|[^"()])*)\)', text)
    for row in map(split, found):
        if len(row) != 8 or not row[0].isupper():
            continue  # how the list is expanded
        scope, kind, _, name, _, least, most, told = map(str.strip, row)
        help_text = ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"', told))
        yield (scope, kind, name.strip('"'),
               span(kind, least, most, known), help_text)


def written(kind, value):
    """A bound as the module writes it, and takes it."""
    unit, name = ((1000, 's') if kind in ('DURATION', 'PERIOD')
                  else (1 << 20, 'M'))
    if kind == 'COUNT':
        return str(value)
    if value > 0 and value % unit == 0:
        return '%d%s' % (value // unit, name)
    return '%d%s' % (value, 'ms' if name == 's' else '')


def span(kind, least, most, known):
    if kind not in ('BYTES', 'MEBIBYTES', 'DURATION', 'PERIOD', 'COUNT'):
        return ''
    return 'From %s to %s%s.' % (written(kind, number(least, known)),
                                 written(kind, number(most, known)),
                                 ', or 0' if kind == 'PERIOD' else '')


def paragraphs(example):
    """{directive: explanation}: a comment, and the directives under it."""
    told = {}
    text, under = [], False
    for line in example.splitlines():
        # Those of a section lie in a comment inside the comment.
        line = re.sub(r'^#(?: {4,5}(?=\S)|$)', '', line)
        directive = re.match(r'^#?(PyExec\w+)\s', line)
        if directive:
            told.setdefault(directive[1], ' '.join(text))
            under = True
        elif re.match(r'# \S', line) and not line.startswith('# ----'):
            text, under = [] if under else text, False
            text.append(line[2:].strip())
        else:
            text, under = [], False
    return told


def mdoc(text):
    """Plain text as lines of mdoc: a sentence begins on a line of its own."""
    text = text.replace('\\', '\\e')
    for sentence in re.split(r'(?<=[.;:])\s+(?=[A-Z"<0-9])', text):
        for line in textwrap.wrap(sentence, 76, break_long_words=False,
                                  break_on_hyphens=False):
            yield ('\\&' if line[0] in ".'" else '') + line


def item(kind, name, bounds, help_text, explanation):
    # A kind that says enough by its name needs no row above.
    arguments = ARGUMENTS.get(kind, kind.lower()).replace(' | ', ' | Ar ')
    yield '.It Ic %s Ar %s' % (name, arguments)
    yield from mdoc(help_text[0].upper() + help_text[1:] + '.')
    yield from mdoc(bounds)
    if explanation:
        yield '.Pp'
        yield from mdoc(explanation)


def directives(header, example, wire):
    told = paragraphs(example)
    all_rows = list(rows(header, constants(header + wire)))
    missing = [row[2] for row in all_rows if row[2] not in told or not row[4]]
    if len(all_rows) < 25 or missing:
        sys.exit('directives.py: not explained, or not read: %s' % missing)
    for scope, (title, where) in SCOPES.items():
        yield '.Ss %s' % title
        yield from mdoc(where)
        yield '.Bl -tag -width Ds'
        for row_scope, kind, name, bounds, help_text in all_rows:
            if row_scope == scope:
                yield from item(kind, name, bounds, help_text, told[name])
        yield '.El'


def main():
    header, example, wire = (open(name, encoding='utf-8').read()
                             for name in sys.argv[1:4])
    made = '\n'.join(directives(header, example, wire))
    page = sys.stdin.read()
    if page.count('@directives@\n') != 1:
        sys.exit('directives.py: the page has no place for them')
    sys.stdout.write(page.replace('@directives@\n', made + '\n'))


main()
