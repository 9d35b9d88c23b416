/* SPDX-License-Identifier: Apache-2.0
 *
 * numpy.random.seed() walks through so much of numpy that it copies 130 pages
 * in every job. The state of its Mersenne Twister is plain memory behind a
 * capsule that numpy offers to C (numpy/random/bitgen.h), so random bytes are
 * put right there. The layout is not promised: it is compared with what
 * Python sees of the same state, and where it differs seed() is called.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_numpy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define TWISTER_WORDS 624

/* As numpy's mt19937.h has it. */
struct twister
{
    uint32_t key[TWISTER_WORDS];
    int position;
};

/* NULL: not found, or not laid out like that. */
static struct twister *twister;
static PyObject *seed; /* numpy.random.seed; NULL: no numpy */

/* What Python sees: whether the state has this memory's words and position. */
static bool agrees(PyObject *generator, const struct twister *found)
{
    PyObject *state = PyObject_GetAttrString(generator, "state");
    PyObject *inner = state == NULL || !PyDict_Check(state)
                          ? NULL
                          : PyDict_GetItemString(state, "state");
    PyObject *key = inner == NULL || !PyDict_Check(inner)
                        ? NULL
                        : PyDict_GetItemString(inner, "key");
    PyObject *position = key == NULL ? NULL
                                     : PyDict_GetItemString(inner, "pos");
    Py_buffer words;
    bool same = false;

    if (position != NULL && PyLong_Check(position)
        && PyObject_GetBuffer(key, &words, PyBUF_SIMPLE) == 0) {
        same = words.len == (Py_ssize_t)sizeof(found->key)
               && memcmp(words.buf, found->key, sizeof(found->key)) == 0
               && PyLong_AsLong(position) == found->position;
        PyBuffer_Release(&words);
    }
    PyErr_Clear();
    Py_XDECREF(state);
    return same;
}

void py_numpy_prepare(void)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *random = PyDict_GetItemString(modules, "numpy.random");
    PyObject *mtrand;
    PyObject *global;
    PyObject *generator = NULL;
    PyObject *capsule = NULL;
    void **interface;

    if (random == NULL) {
        return;
    }
    seed = PyObject_GetAttrString(random, "seed");
    mtrand = PyObject_GetAttrString(random, "mtrand");
    global = mtrand == NULL ? NULL : PyObject_GetAttrString(mtrand, "_rand");
    if (global != NULL) {
        generator = PyObject_GetAttrString(global, "_bit_generator");
    }
    if (generator != NULL
        && strcmp(Py_TYPE(generator)->tp_name,
                  "numpy.random._mt19937.MT19937") == 0) {
        capsule = PyObject_GetAttrString(generator, "capsule");
    }
    interface = capsule == NULL ? NULL
                                : PyCapsule_GetPointer(capsule,
                                                       "BitGenerator");
    /* The first member of bitgen_t is the state. */
    if (interface != NULL && agrees(generator, interface[0])) {
        twister = interface[0];
    }
    PyErr_Clear();
    Py_XDECREF(capsule);
    Py_XDECREF(generator);
    Py_XDECREF(global);
    Py_XDECREF(mtrand);
}

static int fill(uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(bytes, size, 0);

        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        }
    }
    return 0;
}

int py_numpy_reseed(void)
{
    PyObject *result;

    if (seed == NULL) {
        return 0;
    }
    if (twister != NULL) {
        /* All words used up: the next number is made of the new ones. */
        twister->position = TWISTER_WORDS;
        return fill((uint8_t *)twister->key, sizeof(twister->key));
    }
    result = PyObject_CallNoArgs(seed);
    PyErr_Clear();
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
