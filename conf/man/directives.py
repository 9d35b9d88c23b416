# SPDX-License-Identifier: Apache-2.0
"""Prints the directives of mod_pyexec as the part of mod_pyexec(5), in mdoc.

  directives.py pyexec_directives.h pyexec.conf.in <mod_pyexec.5.in

Names, scopes and one-line helps are those that the module is compiled from,
the explanations those of the commented example: neither is written twice, so
the page cannot say anything else. What of the two does not fit together ends
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
    'POOL': ('Pools', 'In a <PyExecPool> section, or outside of sections as'
             ' the default of all pools.'),
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


def rows(header):
    """(scope, kind, name, help) of each directive, in the header's order."""
    text = header.replace('\\\n', '')
    found = re.findall(r'\bX\((\w+), (\w+), \w+, "(PyExec\w+)"(.*?)'
                       r'(?=\bX\(|#define|\Z)', text, re.S)
    for scope, kind, name, rest in found:
        help_text = ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"\s*(?=["\)]|$)',
                                       rest.rstrip()))
        yield scope, kind, name, help_text


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


def item(kind, name, help_text, explanation):
    # A kind that says enough by its name needs no row above.
    arguments = ARGUMENTS.get(kind, kind.lower()).replace(' | ', ' | Ar ')
    yield '.It Ic %s Ar %s' % (name, arguments)
    yield from mdoc(help_text[0].upper() + help_text[1:] + '.')
    if explanation:
        yield '.Pp'
        yield from mdoc(explanation)


def directives(header, example):
    told = paragraphs(example)
    all_rows = list(rows(header))
    missing = [row[2] for row in all_rows if row[2] not in told or not row[3]]
    if len(all_rows) < 25 or missing:
        sys.exit('directives.py: not explained, or not read: %s' % missing)
    for scope, (title, where) in SCOPES.items():
        yield '.Ss %s' % title
        yield from mdoc(where)
        yield '.Bl -tag -width Ds'
        for row_scope, kind, name, help_text in all_rows:
            if row_scope == scope:
                yield from item(kind, name, help_text, told[name])
        yield '.El'


def main():
    header, example = (open(name, encoding='utf-8').read()
                       for name in sys.argv[1:3])
    made = '\n'.join(directives(header, example))
    page = sys.stdin.read()
    if page.count('@directives@\n') != 1:
        sys.exit('directives.py: the page has no place for them')
    sys.stdout.write(page.replace('@directives@\n', made + '\n'))


main()
