#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the corpus' attacks without a sandbox of ours (place.py): a witness.

An attack that fails in plain Python as well shows nothing when it fails in the
sandbox. witness.jsonl says for each case what becomes of it there:
  differs   what the sandbox promises about it does not hold
  runs      it ends as the sandbox promises, normally: nothing was in its way
  fails     it ends with an error that is Python's own; `error` is its name
  not run   `why` tells the reason
A list of these: it depends on how fast the machine is. `seconds`: the case
stops everything around it, or never ends, and is not waited for any longer.

  witness.py [--write] [--only ID] [--jobs N] attacks.jsonl witness.jsonl
Prints `ok ID verdict` or `not ok ID verdict -- what was expected`, or `skip`
and the reason when there is no place to run them in. --write makes the file.
"""
import argparse, concurrent.futures, json, os, re, subprocess, sys, threading

sys.dont_write_bytecode = True
import replay

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 18080  # of the web server in the place's own network
# More than the contract's time limit (5 s); what goes on then has no limit.
OVERRUN = 5.5
# Ends by itself in the end; the machine may have other things to do.
PATIENCE = 60.0

def room():
    """How many of those that fill memory may run at the same time."""
    with open('/proc/meminfo') as file:
        kib = int(re.search(r'^MemAvailable:\s*(\d+)', file.read(), re.M)[1])
    return max(1, min(4, kib >> 22))


heavy = threading.Semaphore(room())


class NoPlace(Exception):
    pass


# None of its processes ever sleeps: beside it, 75 ms of work took others 4 s.
RESTLESS = 'lim-061'


def bounds(case):
    """What a bomb may take. Sleeping threads reserve stacks, and touch none."""
    if case['category'] == 'limit-processes' and case['id'] != RESTLESS:
        return {'processes': 2500, 'memory': 64 << 30}
    return {'processes': 400, 'memory': 3 << 30}


def in_place(case, target, seconds):
    steps = case.get('steps') or [case]
    task = {'scripts': [target.fill(step['code']) for step in steps],
            'concurrent': case.get('mode') == 'concurrent',
            'form': case.get('form', 'code'), 'port': PORT,
            'seconds': seconds, 'idle': case['id'] == RESTLESS, **bounds(case)}
    done = subprocess.run(['/usr/bin/python3', os.path.join(HERE, 'place.py')],
                          input=json.dumps(task).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    if done.returncode == 3:
        raise NoPlace(json.loads(done.stdout)['error'])
    try:
        return json.loads(done.stdout)['runs']
    except (ValueError, KeyError):
        return None  # it ended whoever ran it


def answer(run, form):
    """What a service without care makes of a run."""
    own = {'error': run['stderr'], 'returncode': run['returncode']}
    if form == 'script' and run['result']:
        body = '{"result": %s, "stdout": %s}' % (run['result'], json.dumps(run['stdout']))
    elif form == 'script':
        body = json.dumps(own | {'stdout': run['stdout']})
    else:
        body = json.dumps(own | {'output': run['stdout'],
                                 'execution_time': '%.4f seconds' % run['seconds']})
    return replay.Answer(200, {}, body.encode('utf-8', 'surrogatepass'), run['seconds'])


def broken_promises(case, runs, target):
    def fill(expect):
        return {key: target.fill(value) if isinstance(value, str) else value
                for key, value in expect.items()}

    form = case.get('form', 'code')
    answers = [answer(run, form) for run in runs]
    if 'steps' not in case:
        return replay.judge(fill(case['expect']), answers[0], case['layer'])
    bad = []
    for step, one in zip(case['steps'], answers):
        bad += replay.judge(fill(step.get('expect') or {}), one, case['layer'])
    outputs = [one.stdout for one in answers]
    if case['expect'].get('steps_stdout') == 'differ' and len(set(outputs)) < len(outputs):
        bad.append('the runs printed the same')
    return bad


def verdict(case, target, seconds):
    """A witness as in witness.jsonl."""
    runs = in_place(case, target, seconds)
    if runs is None or any(run['returncode'] is None for run in runs):
        return {'witness': 'differs'}
    # The source check is no part of Python: nothing else can be refused.
    if case['layer'] != 'policy' and broken_promises(case, runs, target):
        return {'witness': 'differs'}
    failed = [run for run in runs if run['returncode'] != 0]
    if not failed:
        return {'witness': 'runs'}
    names = re.findall(r'^(\w+(?:\.\w+)*)(?::|$)', failed[0]['stderr'], re.M)
    error = names[-1] if names else 'status %d' % failed[0]['returncode']
    return {'witness': 'fails', 'error': error}


def guarded(case, target, known):
    seconds = known.get('seconds', OVERRUN if case['layer'] == 'limit' else PATIENCE)
    if known.get('witness') == 'not run':
        return known
    if case['category'] in ('limit-memory', 'limit-processes'):
        with heavy:
            return verdict(case, target, seconds)
    return verdict(case, target, seconds)


def agrees(got, want):
    expected = want.get('witness')
    if isinstance(expected, list):
        return got['witness'] in expected
    return got['witness'] == expected and got.get('error') == want.get('error')


def read(name):
    with open(name, encoding='utf-8') as file:
        return [json.loads(line) for line in file if line.strip()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('attacks')
    parser.add_argument('witness')
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--only', default='')
    parser.add_argument('--jobs', type=int, default=6)
    options = parser.parse_args()
    cases = [case for case in read(options.attacks) if options.only in case['id']]
    known = {one['id']: one for one in read(options.witness)}
    target = replay.Target('http://127.0.0.1:%d/execute' % PORT)
    # What waits for its end goes first, so that nothing waits for it alone.
    cases.sort(key=lambda case: not case['category'].startswith('limit'))
    found = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [(case, pool.submit(guarded, case, target, known.get(case['id'], {})))
                   for case in cases]
        for case, future in futures:
            try:
                got = future.result()
            except NoPlace as problem:
                pool.shutdown(cancel_futures=True)
                print('skip', problem)
                return 0
            want = known.get(case['id'], {})
            if agrees(got, want):
                print('ok', case['id'], got['witness'], flush=True)
                found[case['id']] = want
            else:
                print('not ok', case['id'], json.dumps(got), '-- expected',
                      json.dumps(want), flush=True)
                found[case['id']] = {'id': case['id']} | got
    for name in sorted(set(known) - set(found) if not options.only else []):
        print('not ok', name, 'is no case', flush=True)
    if options.write:
        with open(options.witness, 'w', encoding='utf-8') as file:
            for case in read(options.attacks):
                file.write(json.dumps(found[case['id']]) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
