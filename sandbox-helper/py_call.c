/* SPDX-License-Identifier: Apache-2.0
 *
 * The call for a value. Runs in the job; everything here is at the script's
 * mercy, so nobody believes what it reports: the keeper bounds the frame, the
 * module checks that the value is one well-formed JSON text.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_call.h"

#include <unistd.h>

#include "fdio.h"
#include "py_hints.h"
#include "wire.h"

/* Python's own, held since before any script. */
static PyObject *encoder;
static PyObject *decoder;

int py_call_prepare(void)
{
    PyObject *json = PyImport_ImportModule("json");
    PyObject *type = json == NULL ? NULL
                                  : PyObject_GetAttrString(json, "JSONEncoder");
    PyObject *none = PyTuple_New(0);
    PyObject *options = Py_BuildValue("{s:O}", "allow_nan", Py_False);

    if (type != NULL && none != NULL && options != NULL) {
        encoder = PyObject_Call(type, none, options);
    }
    Py_XDECREF(options);
    Py_XDECREF(none);
    Py_XDECREF(type);
    type = json == NULL || encoder == NULL
               ? NULL
               : PyObject_GetAttrString(json, "JSONDecoder");
    if (type != NULL) {
        decoder = PyObject_CallNoArgs(type);
    }
    Py_XDECREF(type);
    Py_XDECREF(json);
    return decoder == NULL ? -1 : 0;
}

int py_call_parse_params(struct py_call *call, const char *text, size_t size)
{
    PyObject *string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "strict");
    PyObject *value = string == NULL ? NULL
                                     : PyObject_CallMethod(decoder, "decode",
                                                           "O", string);
    int rv = -1;

    Py_XDECREF(string);
    if (value != NULL && PyList_Check(value)) {
        call->args = PyList_AsTuple(value);
        rv = call->args == NULL ? -1 : 0;
    }
    else if (value != NULL && PyDict_Check(value)) {
        call->kwargs = Py_NewRef(value);
        rv = 0;
    }
    else if (value != NULL) {
        PyErr_SetString(PyExc_TypeError, "neither an array nor an object");
    }
    Py_XDECREF(value);
    return rv;
}

/* A keeper that is gone needs no answer. */
static void send_frame(const struct py_call *call, struct pxw_writer *frame)
{
    if (pxw_end(frame) == 0 && getpid() == call->owner) {
        (void)fdio_write_full(call->report, frame->data, frame->size, -1);
    }
    pxw_writer_free(frame);
}

/* Text as the wire wants it: UTF-8 without NUL, cut between characters. */
static void put_text(struct pxw_writer *frame, PyObject *string)
{
    PyObject *bytes = string == NULL || !PyUnicode_Check(string)
                          ? NULL
                          : PyUnicode_AsEncodedString(string, "utf-8",
                                                      "replace");
    char text[PXW_TEXT_MAX];
    Py_ssize_t size = bytes == NULL ? 0 : PyBytes_GET_SIZE(bytes);

    if (size > 0) {
        size = (Py_ssize_t)pxw_text_size(PyBytes_AS_STRING(bytes),
                                         (size_t)size);
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        text[i] = PyBytes_AS_STRING(bytes)[i];
        if (text[i] == '\0') {
            text[i] = '?';
        }
    }
    PyErr_Clear();
    pxw_put_bytes(frame, PXW_F_TEXT, text, (size_t)size);
    Py_XDECREF(bytes);
}

static void report_text(const struct py_call *call, enum pxw_result kind,
                        PyObject *string, PyObject *hints)
{
    struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_RESULT);
    pxw_put_u32(&frame, PXW_F_KIND, kind);
    put_text(&frame, string);
    py_hints_put(&frame, hints);
    send_frame(call, &frame);
}

/* "NameError: name 'x' is not defined", as the last line of a traceback. */
static PyObject *describe(PyObject *type, PyObject *value)
{
    PyObject *name = PyObject_GetAttrString(type, "__qualname__");
    PyObject *message = value == NULL ? NULL : PyObject_Str(value);
    PyObject *text = NULL;

    if (name != NULL && message != NULL && PyUnicode_GET_LENGTH(message) > 0) {
        text = PyUnicode_FromFormat("%S: %U", name, message);
    }
    else if (name != NULL) {
        PyErr_Clear();
        text = PyObject_Str(name);
    }
    PyErr_Clear();
    Py_XDECREF(message);
    Py_XDECREF(name);
    return text;
}

static void report_fetched(const struct py_call *call, enum pxw_result kind,
                           PyObject *names)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyObject *text;
    PyObject *hints;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    text = describe(type, value);
    hints = py_hints_for(type, value, traceback, names, call->policy);
    report_text(call, kind, text, hints);
    Py_XDECREF(hints);
    Py_XDECREF(text);
    PyErr_Restore(type, value, traceback);
}

void py_call_report_exception(const struct py_call *call, PyObject *names)
{
    if (!PyErr_ExceptionMatches(PyExc_SystemExit)) {
        report_fetched(call, PXW_RESULT_RAISED, names);
    }
}

/* A coroutine is run to its end; anything else is a value already. */
static PyObject *finish_coroutine(PyObject *value)
{
    PyObject *asyncio;
    PyObject *result;

    if (value == NULL || !PyCoro_CheckExact(value)) {
        return value;
    }
    asyncio = PyImport_ImportModule("asyncio");
    result = asyncio == NULL ? NULL
                             : PyObject_CallMethod(asyncio, "run", "O", value);
    Py_XDECREF(asyncio);
    Py_DECREF(value);
    return result;
}

static void report_value(const struct py_call *call, PyObject *json)
{
    struct pxw_writer frame = { 0 };
    Py_ssize_t size = 0;
    const char *text = PyUnicode_AsUTF8AndSize(json, &size);

    if (text == NULL || (size_t)size > call->max_bytes) {
        PyObject *reason;

        PyErr_Clear();
        reason = PyUnicode_FromFormat("The result is too large: %zd bytes of "
                                      "JSON, at most %zu are returned", size,
                                      call->max_bytes);
        report_text(call, PXW_RESULT_NOT_JSON, reason, NULL);
        PyErr_Clear();
        Py_XDECREF(reason);
        return;
    }
    pxw_begin(&frame, PXW_RESULT);
    pxw_put_u32(&frame, PXW_F_KIND, PXW_RESULT_VALUE);
    pxw_put_bytes(&frame, PXW_F_JSON, text, (size_t)size);
    send_frame(call, &frame);
}

/* json.dumps(value), or of str(value). What fails is reported: the run itself
 * went well. */
static void report_serialised(const struct py_call *call, PyObject *value)
{
    PyObject *printed = call->how == PXW_CALL_TEXT ? PyObject_Str(value)
                                                   : Py_NewRef(value);
    PyObject *json = printed == NULL ? NULL
                                     : PyObject_CallMethod(encoder, "encode",
                                                           "(O)", printed);

    if (json != NULL && PyUnicode_Check(json)) {
        report_value(call, json);
    }
    else {
        if (json != NULL) {
            PyErr_SetString(PyExc_TypeError, "the encoder returned no text");
        }
        report_fetched(call, PXW_RESULT_NOT_JSON, NULL);
        PyErr_Clear();
    }
    Py_XDECREF(json);
    Py_XDECREF(printed);
}

int py_call_run(const struct py_call *call, PyObject *names)
{
    PyObject *function = PyDict_GetItemWithError(names, call->function);
    PyObject *none = NULL;
    PyObject *value;

    if (function == NULL || !PyCallable_Check(function)) {
        PyErr_Clear();
        report_text(call, PXW_RESULT_MISSING, call->function, NULL);
        return 0;
    }
    Py_INCREF(function); /* the script may rebind its name meanwhile */
    if (call->args == NULL) {
        none = PyTuple_New(0);
    }
    value = call->args == NULL && none == NULL
                ? NULL
                : PyObject_Call(function,
                                call->args != NULL ? call->args : none,
                                call->kwargs);
    value = finish_coroutine(value);
    Py_XDECREF(none);
    Py_DECREF(function);
    if (value == NULL) {
        py_call_report_exception(call, names);
        return -1;
    }
    report_serialised(call, value);
    Py_DECREF(value);
    return 0;
}
