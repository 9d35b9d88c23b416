# SPDX-License-Identifier: Apache-2.0
"""The part of the load that installs packages, imports them, and runs links,
in a pool that has an environment and a network. An installation, or the fetch
of a link, may fail while processes are killed, httpd's own proxy among them;
what is imported is of one installation, whichever, and never of two."""
import asyncio

DONE = ('Library Installation Successfully',
        'Library Uninstallation Successfully')
INSTALL = '-i demo==1.0'
WISHES = (INSTALL, '-i demo==2.0', '-u demo', '-i pkga', '-u pkga',
          '-i nothere')
USES = '''
import time
try:
    import demo
    time.sleep(0.05)
    import demo.later
    print(demo.VERSION, demo.later.VERSION)
except ModuleNotFoundError as error:
    print(error.name)
'''
USED = {'1.0 1.0\n', '2.0 2.0\n', 'demo\n'}
LINKED = 'fetched'


class Packages:
    """`soak` asks and judges; the places are /install (dialect run) and /use
    (dialect code), `link` is a script that prints LINKED."""

    def __init__(self, soak, link):
        self.soak, self.link = soak, link
        self.done = self.failed = 0

    def is_answer(self, value):
        if value.get('result') in DONE and len(value) == 1:
            self.done += 1
            return True
        if isinstance(value.get('error'), str) and len(value) == 1:
            self.failed += 1
            return True
        return False

    async def installs(self):
        while not self.soak.stop:
            wish = self.soak.random.choice(WISHES)
            await self.soak.ask(wish, '/install', {'pip': wish},
                                self.is_answer)
            await asyncio.sleep(0.1)

    async def uses(self):
        while not self.soak.stop:
            await self.soak.ask('use', '/use', {'code': USES},
                                lambda value: value.get('output') in USED
                                and value.get('returncode') == 0)
            await asyncio.sleep(0.05)

    async def links(self):
        while not self.soak.stop:
            await self.soak.ask('link', '/install', {'script': self.link},
                                lambda value: value == {'result': LINKED})
            await asyncio.sleep(0.1)

    def clients(self):
        return [self.installs(), self.installs(), self.uses(), self.uses(),
                self.links()]

    async def once(self):
        """Before anything is killed, and after it: this must be done."""
        await self.soak.come_up()  # the last one killed may be the keeper
        done = self.done
        await self.soak.ask('once', '/install', {'pip': INSTALL},
                            self.is_answer)
        if self.done == done:
            self.soak.wrong('once', 'it was not installed')
        await self.soak.ask('once', '/use', {'code': USES},
                            lambda value: value.get('output') == '1.0 1.0\n')
