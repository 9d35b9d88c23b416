/* SPDX-License-Identifier: Apache-2.0
 *
 * The examination. Runs in the confined job under the run's limits: its input
 * is hostile, and parsing it is the first thing that is attacked.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_examine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "py_check.h"
#include "py_entry.h"
#include "py_source.h"
#include "py_tree.h"

static bool __attribute__((format(printf, 3, 4)))
refuse(struct py_refusal *refusal, enum pxw_reason reason, const char *format,
       ...)
{
    va_list arguments;

    refusal->reason = reason;
    va_start(arguments, format);
    (void)vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
    return false;
}

static long number_of(PyObject *value, const char *name)
{
    PyObject *attribute = py_tree_get(value, name);
    long number = attribute == NULL || !PyLong_Check(attribute)
                      ? 0
                      : PyLong_AsLong(attribute);

    PyErr_Clear();
    return number;
}

/* What Python prints of a syntax error: kind, line, the line itself with a
 * caret below. Takes the exception away. */
static bool refuse_syntax(struct py_refusal *refusal)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    Py_ssize_t message_size;
    Py_ssize_t line_size;
    const char *message;
    const char *line;
    int width;
    long column;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    message = py_tree_text(py_tree_get(value, "msg"), &message_size);
    line = py_tree_text(py_tree_get(value, "text"), &line_size);
    column = number_of(value, "offset");
    width = (int)strcspn(line, "\r\n");
    (void)refuse(refusal, PXW_REASON_SYNTAX, "%s: %s (line %ld)",
                 ((PyTypeObject *)type)->tp_name, message,
                 number_of(value, "lineno"));
    /* A caret below a line that is cut would point at nothing. */
    if (width > 0 && width <= 200 && column > 0 && column <= width + 1) {
        size_t used = strlen(refusal->text);

        (void)snprintf(refusal->text + used, sizeof(refusal->text) - used,
                       "\n    %.*s\n    %*s", width, line, (int)column, "^");
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return false;
}

/* The tree, or NULL: then *ret_acceptable says what that means. */
static PyObject *parse(const char *source, bool calls, bool checked,
                       struct py_refusal *refusal, bool *ret_acceptable)
{
    PyObject *tree = py_source_compile(source, true);

    *ret_acceptable = true;
    if (tree != NULL) {
        return tree;
    }
    if (PyErr_ExceptionMatches(PyExc_SyntaxError)) {
        *ret_acceptable = !calls;
        if (calls) {
            (void)refuse_syntax(refusal);
        }
    }
    else if (checked || calls) {
        /* Too deep for the tree is not too deep for the compiler: what was
         * not checked is not run. */
        *ret_acceptable = refuse(refusal, PXW_REASON_POLICY,
                                 "Too large or too deeply nested to be "
                                 "checked");
    }
    PyErr_Clear();
    return NULL;
}

static PyObject *string_of(const struct pxw_field *field)
{
    return PyUnicode_DecodeUTF8((const char *)field->data,
                                (Py_ssize_t)field->size, "surrogateescape");
}

static bool choose_function(PyObject *tree, const struct pxw_message *run,
                            struct py_script *script,
                            struct py_refusal *refusal)
{
    struct py_call *call = &script->call;
    PyObject *wanted = pxw_has(run, PXW_F_FUNCTION)
                           ? string_of(&run->field[PXW_F_FUNCTION])
                           : NULL;

    refusal->names = py_entry_functions(tree);
    if (refusal->names != NULL) {
        call->function = py_entry_choose(tree, refusal->names, call->how,
                                         wanted);
    }
    if (call->function == NULL) {
        Py_ssize_t size;

        PyErr_Clear();
        (void)refuse(refusal, PXW_REASON_MISSING,
                     "The script does not define the function '%.*s'", 255,
                     wanted == NULL ? "main" : py_tree_text(wanted, &size));
        Py_XDECREF(wanted);
        return false;
    }
    Py_XDECREF(wanted);
    Py_CLEAR(refusal->names);
    if (call->how == PXW_CALL_JSON
        && py_entry_drop_guard(tree, call->function)) {
        script->tree = Py_NewRef(tree);
    }
    return true;
}

static bool take_params(const struct pxw_message *run, struct py_call *call,
                        struct py_refusal *refusal)
{
    const struct pxw_field *params = &run->field[PXW_F_PARAMS];

    if (call->how == PXW_CALL_NONE || params->data == NULL
        || py_call_parse_params(call, (const char *)params->data,
                                params->size) == 0) {
        return true;
    }
    PyErr_Clear();
    return refuse(refusal, PXW_REASON_LIMIT,
                  "The parameters are too large or too deeply nested");
}

static bool take_args(const struct pxw_message *run, struct py_script *script,
                      struct py_refusal *refusal)
{
    struct pxw_field field;
    size_t at = 0;

    if (!pxw_has(run, PXW_F_ARG)) {
        return true;
    }
    script->args = PyList_New(0);
    while (script->args != NULL && pxw_next(run, &at, &field)) {
        PyObject *text;

        if (field.tag != PXW_F_ARG) {
            continue;
        }
        text = string_of(&field);
        if (text == NULL || PyList_Append(script->args, text) != 0) {
            Py_CLEAR(script->args);
        }
        Py_XDECREF(text);
    }
    if (script->args == NULL) {
        PyErr_Clear();
        return refuse(refusal, PXW_REASON_LIMIT,
                      "The arguments do not fit into the memory limit");
    }
    return true;
}

bool py_examine(const struct pxw_message *run, const char *source,
                const struct py_policy *policy, struct py_script *script,
                struct py_refusal *ret_refusal)
{
    uint32_t how = pxw_u32(run, PXW_F_CALL, PXW_CALL_NONE);
    bool calls = how != PXW_CALL_NONE;
    bool checked = py_check_is_needed(policy, source);
    bool acceptable = true;
    PyObject *tree = NULL;

    *ret_refusal = (struct py_refusal){ 0 };
    *script = (struct py_script){ .source = source };
    script->call.how = how;
    script->call.policy = policy;
    script->call.max_bytes = pxw_u32(run, PXW_F_OUTPUT, 0);
    if (calls || checked) {
        tree = parse(source, calls, checked, ret_refusal, &acceptable);
    }
    if (tree != NULL && checked
        && py_check_refuses(tree, policy, ret_refusal->text,
                            sizeof(ret_refusal->text))) {
        ret_refusal->reason = PXW_REASON_POLICY;
        acceptable = false;
    }
    if (acceptable && tree != NULL && calls) {
        acceptable = choose_function(tree, run, script, ret_refusal);
    }
    Py_XDECREF(tree);
    return acceptable && take_params(run, &script->call, ret_refusal)
           && take_args(run, script, ret_refusal);
}
