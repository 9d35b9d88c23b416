#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages of conf/doc: reads them, and runs what they tell to do.

  doc.py --check DIRECTORY INSTALL.AM

prints TAP: every fenced block says what is done with it, and each page is
installed and found from README.md. conf/doc/README.md has the rules.
"""
import pathlib
import re
import sys

from machine import wait_for

SYSTEMS = ('source', 'packages', 'container')
# Blocks after which httpd has restarted gracefully.
GRACEFUL = re.compile(r'reload|graceful|apt-get \w+ -y .*pyexec')
CHAIN = 5


class Mistake(Exception):
    """A page that does not keep the rules."""


class Block:
    def __init__(self, page, line, info, text):
        self.page, self.line, self.text = page, line, text
        words = info.split()
        tag = words[1] if len(words) == 2 else ''
        self.kind, _, self.value = tag.partition('=')
        self.language = words[0] if words else ''
        if (self.language, self.kind) not in (
                ('sh', 'run'), ('sh', 'elsewhere'), ('text', 'output'),
                ('text', 'picture'),
                ('apache', 'file'), ('ini', 'file'), ('yaml', 'file'),
                ('apache', 'in'),
                ('sh', 'in')):
            raise Mistake('%s: a block "%s" that nobody runs' % (self, info))
        if (self.kind in ('elsewhere', 'file', 'in')) != bool(self.value):
            raise Mistake('%s: "%s" and its value' % (self, self.kind))

    def __str__(self):
        return '%s:%d' % (self.page, self.line)


class Page:
    def __init__(self, path):
        self.name = path.name
        self.blocks = []
        text = path.read_text()
        head = re.match(r'<!-- system=(\w+)(?: after=(\S+))? -->\n', text)
        self.system, self.after = head.groups() if head else (None, None)
        self.read_blocks(text)
        if any(block.kind == 'in' for block in self.blocks):
            raise Mistake('%s: quotations are for README.md' % self.name)
        if any(block.kind != 'picture' for block in self.blocks) \
                and self.system not in SYSTEMS:
            raise Mistake('%s: which system it needs is not said' % self.name)
        if re.search(r'^(?: {4}|\t)\S', re.sub(r'^```.*?^```$', '', text,
                                               flags=re.S | re.M), re.M):
            raise Mistake('%s: an indented block, which nobody runs' % self.name)

    def read_blocks(self, text):
        begun, lines = None, []
        for number, line in enumerate(text.splitlines(), 1):
            fence = line.lstrip().startswith(('```', '~~~'))
            if fence and begun is None:
                begun, lines = (number, line.lstrip()[3:].strip()), []
            elif fence:
                self.blocks.append(Block(self.name, *begun, '\n'.join(lines)))
                begun = None
            else:
                lines.append(line)
        if begun is not None:
            raise Mistake('%s: a block without an end' % self.name)
        for before, block in zip([None, *self.blocks], self.blocks):
            if block.kind == 'output' and (not before or before.kind != 'run'):
                raise Mistake('%s: output of nothing' % block)


def read_pages(directory):
    return {path.name: Page(path)
            for path in sorted(pathlib.Path(directory).glob('*.md'))}


def with_those_before(pages, page):
    """The page after all that have to be done first."""
    order = [page]
    while order[0].after:
        if order[0].after not in pages or len(order) == CHAIN:
            raise Mistake('%s: after=%s' % (page.name, order[0].after))
        order.insert(0, pages[order[0].after])
    if len({one.system for one in order}) != 1:
        raise Mistake('%s: after a page of another system' % page.name)
    return order


def alike(text):
    """What a text says, numbers aside: times are never the same."""
    return re.sub(r'\d+', '0', text.strip())


def children(machine):
    """httpd's, which a graceful restart replaces: the first one's, where there
    are two."""
    return set(machine.run('pgrep -P "$(cat /run/apache2/apache2.pid || echo 0)" '
                           '-u www-data -x apache2 || :').stdout.split())


def run_block(machine, block, said):
    """Does what the block says; returns what it printed."""
    if block.kind == 'file':
        machine.run('cat >' + block.value, data=block.text + '\n')
    elif block.kind == 'run':
        old = children(machine) if GRACEFUL.search(block.text) else set()
        # The next one goes on in the same directory.
        said = machine.run('cd "$(cat /run/page 2>/dev/null || echo /root)"\n'
                           'trap "pwd >/run/page" EXIT\n' + block.text).stdout
        # A graceful restart goes on when its command has ended, and who is
        # quicker than a person may still meet a child of the time before.
        wait_for('the new configuration', lambda: not old & children(machine))
    elif block.kind == 'output' and alike(said) != alike(block.text):
        raise Mistake('%s: it printed\n%s' % (block, said))
    return said


def run_page(machine, page, report=lambda block: None):
    said = ''
    for block in page.blocks:
        said = run_block(machine, block, said)
        report(block)


def check_quotations(directory):
    """README.md of the whole only quotes what the pages say."""
    top = pathlib.Path(directory).parent.parent
    for block in quotations(top / 'README.md'):
        page = top / block.value
        if block.kind != 'in' or block.text not in page.read_text():
            raise Mistake('%s: no page says that' % block)


def quotations(path):
    page = Page.__new__(Page)
    page.name, page.blocks = path.name, []
    page.read_blocks(path.read_text())
    return page.blocks


def check(directory, install):
    listed = set(re.findall(r'conf/doc/(\S+\.md)', open(install).read()))
    names = {path.name for path in pathlib.Path(directory).glob('*.md')}
    index = (pathlib.Path(directory) / 'README.md').read_text()
    verdicts = [(len(names) > 5, 'pages were found')]
    for name in sorted(names | listed):
        verdicts.append((name in names & listed, '%s is installed' % name))
        verdicts.append((name == 'README.md' or '(%s)' % name in index,
                         '%s is found from README.md' % name))
    for name in sorted(names):
        fault = ''
        try:
            pages = {one.name: one for one in (
                Page(path) for path in pathlib.Path(directory).glob('*.md')
                if path.name == name or path.name in after_chain(directory, name))}
            with_those_before(pages, pages[name])
            for link in re.findall(r'\]\(([^):#]+)\)',
                                   (pathlib.Path(directory) / name).read_text()):
                if not (pathlib.Path(directory) / link).exists():
                    raise Mistake('a link to %s, which is not there' % link)
        except Mistake as mistake:
            fault = ': %s' % mistake
        verdicts.append((not fault, '%s keeps the rules%s' % (name, fault)))
    try:
        check_quotations(directory)
        verdicts.append((True, 'README.md quotes the pages'))
    except (Mistake, OSError) as fault:
        verdicts.append((False, 'README.md quotes the pages: %s' % fault))
    print('1..%d' % len(verdicts))
    for number, (fine, what) in enumerate(verdicts, 1):
        print('%sok %d - %s' % ('' if fine else 'not ', number, what))


def after_chain(directory, name):
    """Names of the pages before; a page's own mistakes are told elsewhere."""
    names = []
    while name and len(names) < CHAIN:
        path = pathlib.Path(directory) / name
        head = re.match(r'<!-- system=\w+ after=(\S+) -->', path.read_text()) \
            if path.exists() else None
        name = head[1] if head else None
        names.append(name)
    return names


if __name__ == '__main__':
    if len(sys.argv) != 4 or sys.argv[1] != '--check':
        sys.exit(__doc__)
    check(sys.argv[2], sys.argv[3])
