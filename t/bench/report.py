# SPDX-License-Identifier: Apache-2.0
# The table, the aims that it is held against, and what must be known to read
# them.

HEAD = '''\
{processor}, {cores} cores, {memory_gib} GiB{vm}; Linux {kernel}, {httpd}, CPython {python}; {date}, commit {commit}.
{repeats} repetitions of {seconds} s a cell (up to four times as long where runs are slow), systems side by side, medians of both; the
load generator shares the cores. Others used {others:.0%} of the machine meanwhile{busy}. mod_pyexec has its defaults, but a queue of 1024 runs and
60 s, so that 256 clients measure throughput and not refusals.
'''

COLUMNS = ('runs/s', 'median ms', 'p95 ms', 'p99 ms', 'CPU ms a run', 'refused', 'lost',
           'runs/s ÷ floor', 'median ÷ floor')

# The share of the machine that others may use before no verdict is given.
OTHERS_MAX = 0.05
# Where the answers are too few for a client to have had its share.
FEW = 3


def number(value):
    """Three digits that count, no more."""
    if value is None:
        return ''
    if value >= 100:
        return f'{value:.0f}'
    return f'{value:.3g}' if value >= 10 else f'{value:.2f}'


def cells(row, repeats):
    times = [row['p50'] / 1e3, row['p95'] / 1e3, row['p99'] / 1e3]
    texts = [number(row['rate'] or None)]
    if row['refused'] * 100 >= row['answers']:
        # Times of refusals are among them; or there are none at all.
        texts += ['', '', '']
    else:
        texts += map(number, times)
        if row['answers'] < FEW * row['clients'] * repeats:
            texts[1:] = ['~' + text for text in texts[1:]]
    texts.append(number(row['cpu_ms']))
    texts += [str(row['refused']), str(row['lost'])]
    texts.append(number(row.get('rate_to_floor')))
    texts.append(number(row.get('p50_to_floor')))
    return texts


def table(data):
    lines = ['| workload | clients | system | ' + ' | '.join(COLUMNS) + ' |',
             '|---|---:|---|' + '---:|' * len(COLUMNS)]
    before = None
    for row in data['rows']:
        place = row['workload'], row['clients']
        # The first row of a group alone carries its name.
        title = data['workloads'][place[0]] if place != before else ''
        clients = str(place[1]) if place != before else ''
        before = place
        lines.append(f"| {title} | {clients} | {row['system']} | "
                     + ' | '.join(cells(row, data['head']['repeats'])) + ' |')
    return lines


def aims(data):
    """(what, found, limit, whether it is to be at most that)."""
    rows = {(row['workload'], row['clients'], row['system']): row
            for row in data['rows']}

    def of(workload, clients, key):
        return rows.get((workload, clients, 'pyexec'), {}).get(key)

    yield ('median with one client, of the floor\'s, print(1+1)',
           of('print', 1, 'p50_to_floor'), 1.0, True)
    yield ('runs/s with 8 clients, of the floor\'s, print(1+1)',
           of('print', 8, 'rate_to_floor'), 0.7, False)
    yield ('median with one client, of the floor\'s with numpy loaded, numpy',
           of('numpy', 1, 'p50_to_floor'), 2.0, True)
    for clients in (1, 8):
        ours = rows.get(('print', clients, 'pyexec'))
        theirs = rows.get(('print', clients, 'bwrap'))
        yield (f'runs/s with {clients} client(s), of bubblewrap\'s, print(1+1)',
               ours['rate'] / theirs['rate'] if ours and theirs else None,
               10.0, False)


def markdown(data):
    head = data['head']
    lines = [HEAD.format(
        **head, vm=' (virtual machine)' if head['virtual'] else '',
        busy=': the figures are rough'
             if head['others'] > OTHERS_MAX else '')]
    lines += table(data)
    lines += ['', '~: fewer than three runs a client: the first ones, not the '
              'steady state.', '']
    lines += [f'- {name}: {title}' for name, title in data['systems'].items()]
    lines += ['', '| aim | found | wanted | met |', '|---|---:|---:|---|']
    for what, found, limit, at_most in aims(data):
        if found is None:
            continue
        met = found <= limit if at_most else found >= limit
        verdict = 'yes' if met else 'no'
        if head['others'] > OTHERS_MAX:
            verdict = 'not judged: the machine was busy'
        lines.append(f"| {what} | {number(found)} | {'≤' if at_most else '≥'} "
                     f"{limit:g} | {verdict} |")
    return '\n'.join(lines) + '\n'
