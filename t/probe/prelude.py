# Put in front of every probe. An attempt prints one line: `ESCAPED:<name>` when
# it got what it must not get, else `blocked:<name>: <why>`. Attempts leave
# nothing behind where they succeed, and calls that could do harm are given
# pointers that lead nowhere: "bad address" then shows that the kernel took it.
# witness='root': only root can show outside that the attempt can succeed.
import errno
import os


def attempt(name, action, witness='any'):
    try:
        result = action()
    except BaseException as problem:
        print('blocked:%s: %s %s' % (name, type(problem).__name__, problem))
    else:
        if result is False:
            print('blocked:%s: nothing there' % name)
        else:
            print('ESCAPED:%s' % name)


REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def reaches_kernel(action):
    """An error that is not a refusal: the call itself was let through."""
    def call():
        try:
            action()
        except OSError as problem:
            if problem.errno in REFUSALS:
                raise
        return True
    return call


# ---- the probe ----
