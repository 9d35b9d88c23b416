# SPDX-License-Identifier: Apache-2.0
"""Runs the blocks of conf/doc/container.md, as conf/doc/README.md has it."""
import pathlib
import shutil
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / 'packages'))
import doc  # noqa: E402

# What Containerfile copies.
SOURCES = ('CHANGES.md', 'LICENSE', 'Makefile.am', 'README.md', 'SECURITY.md',
           'bootstrap', 'configure.ac', 'conf', 'mod_pyexec', 'sandbox-helper',
           't')
WITHOUT = {'work', 'logs', 'state', 'run', 'python', 'out', '.libs', '.deps'}


def run(engine, source, work):
    """Yields each block with what was wrong, or ''. All of them work in a copy of
    what the image is made of, where `default.json` is Docker's profile."""
    place = engine.store / 'source'
    place.mkdir()
    for name in SOURCES:
        if (source / name).is_dir():
            shutil.copytree(source / name, place / name,
                            ignore=lambda path, names: WITHOUT & set(names))
        else:
            shutil.copy(source / name, place)
    shutil.copy(work / 'docker.json', place / 'default.json')
    said = ''
    for block in doc.Page(source / 'conf/doc/container.md').blocks:
        fault = ''
        if block.kind == 'run':
            status, said = engine.shell(block.text, check=False, cwd=place)
            fault = '' if status == 0 else 'status %d:\n%s' % (status, said[-4000:])
        elif block.kind == 'output':
            if doc.alike(said) != doc.alike(block.text):
                fault = 'it printed\n' + said
        elif block.kind == 'file':
            (place / block.value).write_text(block.text + '\n')
        else:
            fault = 'nobody runs it'
        yield block, fault
