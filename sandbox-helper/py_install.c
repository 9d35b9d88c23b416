/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments for install.py. Runs in the confined job.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_install.h"

#include <stdio.h>
#include <string.h>

#include "jail_install.h"
#include "wire.h"

static const char source[] = {
#include "install_py.h"
    '\0',
};

static bool append(PyObject *list, const char *text, size_t size)
{
    PyObject *item = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size,
                                          "surrogateescape");
    bool done = item != NULL && PyList_Append(list, item) == 0;

    Py_XDECREF(item);
    return done;
}

/* What is the same for all. */
static bool append_places(PyObject *list, const struct jail *jail)
{
    char proxy[64];
    const char *const places[] = {
        JAIL_INSTALL_PREFIX,
        JAIL_INSTALL_PACKAGES,
        jail->environment == NULL ? "" : jail->environment,
        JAIL_INSTALL_TEMPORARY,
        jail->index,
        proxy,
        jail->sources ? "sources" : "wheels",
    };
    bool done = true;

    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d",
                   PXW_PROXY_PORT);
    for (size_t i = 0; done && i < sizeof(places) / sizeof(places[0]); i++) {
        done = append(list, places[i], strlen(places[i]));
    }
    return done;
}

static bool append_lines(PyObject *list, const char *lines, size_t size)
{
    const char *end = lines + size;
    bool done = size > 0;

    while (done && lines < end) {
        const char *stop = memchr(lines, '\n', (size_t)(end - lines));

        stop = stop == NULL ? end : stop;
        done = append(list, lines, (size_t)(stop - lines));
        lines = stop + (stop < end);
    }
    return done;
}

bool py_install_prepare(const struct jail *jail, const char *wanted,
                        size_t size, struct py_script *script)
{
    PyObject *list = PyList_New(0);

    *script = (struct py_script){ .source = source };
    if (list != NULL && append_places(list, jail)
        && append_lines(list, wanted, size)) {
        script->args = list;
        return true;
    }
    PyErr_Clear();
    Py_XDECREF(list);
    return false;
}
