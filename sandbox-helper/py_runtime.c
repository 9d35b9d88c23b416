/* SPDX-License-Identifier: Apache-2.0
 *
 * Start, preload, fork. The zygote never runs or sees a script, never draws a
 * random number (it would be every job's first) and never starts a thread.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_runtime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "py_arenas.h"
#include "py_call.h"
#include "py_environment.h"
#include "py_hooks.h"
#include "py_numpy.h"
#include "py_sample.h"
#include "py_site.h"
#include "py_source.h"
#include "py_uname.h"
#include "python_paths.h"
#include "zygote_text.h"

/* What nearly every script meets sooner or later, whatever it imports:
 * tracebacks, threads' bookkeeping at the end, time formats, codecs. */
static const char *const always[] = { "_ast", "atexit", "linecache", "traceback" };

/* Whether there are modules that scripts are forked here for. */
static bool expects_imports;

/* As `LANG=C.UTF-8 python3 -u script.py` is: unbuffered, so that whatever
 * ends a run, what it printed has left the process. */
static PyStatus configure(PyConfig *config)
{
    char *argv[] = { (char *)PY_SOURCE_NAME };
    PyStatus status;

    config->use_environment = 0;
    config->user_site_directory = 0;
    config->parse_argv = 0;
    config->buffered_stdio = 0;
    config->pathconfig_warnings = 0;
    status = PyConfig_SetBytesString(config, &config->program_name,
                                     PYEXEC_PYTHON);
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesString(config, &config->executable,
                                         PYEXEC_PYTHON);
    }
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesArgv(config, 1, argv);
    }
    return status;
}

int py_runtime_start(int text_file, const char **ret_reason)
{
    PyPreConfig before;
    PyConfig config;
    PyStatus status;

    (void)zygote_text_move((const void *)(uintptr_t)Py_InitializeFromConfig,
                           text_file);
    if (py_hooks_register() != 0) {
        *ret_reason = "cannot add the audit hook";
        return -1;
    }
    PyPreConfig_InitPythonConfig(&before);
    before.use_environment = 0;
    status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status)) {
        *ret_reason = status.err_msg;
        return -1;
    }
    py_arenas_install(); /* after the pre-initialisation sets its own */
    PyConfig_InitPythonConfig(&config);
    status = configure(&config);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        *ret_reason = status.err_msg == NULL ? "exit" : status.err_msg;
        return -1;
    }
    return 0;
}

static void preload(const char *name)
{
    PyObject *before = py_environment_remember();
    PyObject *module = PyImport_ImportModule(name);

    if (module == NULL) {
        PyObject *type;
        PyObject *value;
        PyObject *traceback;
        PyObject *text;
        const char *reason;

        PyErr_Fetch(&type, &value, &traceback);
        text = value == NULL ? NULL : PyObject_Str(value);
        reason = text == NULL ? NULL : PyUnicode_AsUTF8(text);
        log_line(LOG_LEVEL_INFO, 460, "module \"%s\" is not preloaded: %s",
                 name, reason == NULL ? "import failed" : reason);
        Py_XDECREF(text);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        PyErr_Clear();
        py_environment_forget(before);
    }
    Py_XDECREF(module);
    Py_XDECREF(before);
}

static void call_gc(const char *function)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *result = gc == NULL
                           ? NULL
                           : PyObject_CallMethod(gc, function, NULL);

    PyErr_Clear(); /* neither function fails but for lack of memory */
    Py_XDECREF(result);
    Py_XDECREF(gc);
}

/* Of the standard library, by its name up to the first dot. */
static bool is_standard(const char *name)
{
    PyObject *all = PySys_GetObject("stdlib_module_names"); /* borrowed */
    PyObject *first = PyUnicode_DecodeUTF8(name,
                                           (Py_ssize_t)strcspn(name, "."), NULL);
    int found = all == NULL || first == NULL ? 0
                                             : PySequence_Contains(all, first);

    PyErr_Clear(); /* a name that is none is not there either */
    Py_XDECREF(first);
    return found > 0;
}

/* Those of the standard library, or the others. */
static void preload_list(const char *list, size_t size, bool standard)
{
    while (size > 0) {
        const char *end = memchr(list, '\n', size);
        size_t line = end == NULL ? size : (size_t)(end - list);
        char name[256];

        if (line > 0 && line < sizeof(name)) {
            memcpy(name, list, line);
            name[line] = '\0';
            if (is_standard(name) == standard) {
                preload(name);
            }
        }
        if (end == NULL) {
            return;
        }
        list = end + 1;
        size -= line + 1;
    }
}

int py_runtime_preload(const char *list, size_t size, const char *site,
                       const char *environment)
{
    expects_imports = size > 0;
    if (py_uname_prepare() != 0) {
        PyErr_Print();
        return -1;
    }
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        preload(always[i]);
    }
    /* The standard library looks for modules that are nowhere (org.python in
     * copy, msvcrt in subprocess): whoever asks for its modules alone does not
     * want to find those in a directory of PyExecSitePackages, here. */
    preload_list(list, size, true);
    if (py_site_add(site) != 0 || py_environment_shut(environment) != 0) {
        PyErr_Print();
        return -1;
    }
    preload_list(list, size, false);
    if (py_call_prepare() != 0) {
        PyErr_Print();
        return -1;
    }
    py_numpy_prepare();
    if (py_environment_open(environment) != 0) {
        PyErr_Print();
        return -1;
    }
    /* A collection in a job must not touch, and so copy, all of this. */
    call_gc("collect");
    call_gc("freeze");
    py_arenas_fill_gaps();
    return 0;
}

/* The library's word: an update may have replaced the one that we were built
 * with. */
const char *py_runtime_version(void)
{
    static char version[64];
    const char *text = Py_GetVersion();
    size_t size = strcspn(text, " ");

    size = size < sizeof(version) ? size : sizeof(version) - 1;
    memcpy(version, text, size);
    return version;
}

pid_t py_runtime_fork(void)
{
    pid_t pid;
    int error;

    PyOS_BeforeFork();
    pid = fork();
    error = errno;
    if (pid == 0) {
        PyOS_AfterFork_Child();
        return 0;
    }
    PyOS_AfterFork_Parent();
    return pid < 0 ? -error : pid;
}

void py_runtime_refresh(void)
{
    if (py_numpy_reseed() != 0) {
        /* Two runs with the same numbers would break a promise. */
        _exit(1);
    }
    py_sample_run(expects_imports);
}
