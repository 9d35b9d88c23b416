# SPDX-License-Identifier: Apache-2.0
# What is run: name, scripts, what they print, and for how many clients by
# default (the slow ones with many clients tell little and take long).
import ast
import dataclasses
import gzip
import json
import time


@dataclasses.dataclass
class Workload:
    name: str
    title: str
    scripts: list
    output: str
    clients: tuple

    def imports(self):
        """The modules that the scripts import: the floor has them loaded."""
        names = set()
        for script in self.scripts:
            for node in ast.walk(ast.parse(script)):
                if isinstance(node, ast.Import):
                    names.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    names.add(node.module)
        return sorted(names)

    def bodies(self):
        return [json.dumps({'code': script}) for script in self.scripts]


def humaneval(file):
    scripts = []
    with gzip.open(file, 'rt', encoding='utf-8') as lines:
        for line in lines:
            it = json.loads(line)
            scripts.append(f"{it['prompt']}{it['canonical_solution']}\n"
                           f"{it['test']}\ncheck({it['entry_point']})\n")
    return scripts


SPIN = '''\
def spin(n):
    x = 0
    for i in range(n):
        x = (x + i * i) % 1000003
    return x

'''


def spinner(seconds):
    """A fixed amount of work that takes about so long on this machine."""
    names = {}
    exec(SPIN, names)
    n = 100_000
    times = []
    for _ in range(5):
        began = time.process_time()
        names['spin'](n)
        times.append(time.process_time() - began)
    n = int(n * seconds / min(times))
    return f'{SPIN}print(spin({n}))\n', f"{names['spin'](n)}\n"


def all_workloads(humaneval_file):
    spin, spun = spinner(0.2)
    line = 'x' * 63 + '\n'
    # A program with its data in it: 1 MiB in lines of 64 characters.
    table = ''.join(f'{i:063d}\n' for i in range(16382))
    few = (1, 8)
    return [
        Workload('print', 'print(1+1)', ['print(1+1)'], '2\n',
                 (1, 8, 32, 256)),
        Workload('humaneval', "HumanEval's 164 in turn",
                 humaneval(humaneval_file), '', (1, 8, 32, 256)),
        Workload('numpy', 'import numpy, small array',
                 ['import numpy as np\nprint(np.arange(10).sum())\n'], '45\n',
                 (1, 8, 32)),
        Workload('cpu', '200 ms of CPU', [spin], spun, few),
        Workload('output', '1 MiB of output',
                 ["import sys\nsys.stdout.write(('x' * 63 + '\\n') * 16384)\n"],
                 line * 16384, few),
        Workload('script', '1 MiB of script',
                 [f"table = '''\\\n{table}'''\nprint(len(table))\n"],
                 f'{len(table)}\n', few),
    ]
