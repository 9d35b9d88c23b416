/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks the syntax tree in source order, with a stack of its own: depth is
 * the script's to choose. Works on the tree, not on the text, so that strings
 * and comments do not trip it and identifiers are as Python folds them
 * (NFKC). What is computed at run time is left to the hooks and the kernel.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_check.h"

#include <stdio.h>
#include <string.h>

#include "py_source.h"
#include "wire.h"

/* Position of Popen's `shell` among its arguments. */
#define SHELL_POSITION 8
/* Position of open's `mode`. */
#define MODE_POSITION 1

struct check
{
    const struct py_policy *policy;
    PyObject *node_type;     /* ast.AST */
    PyObject *os_names;      /* set: what `os` is called here */
    PyObject *process_names; /* set: what `subprocess` is called */
    PyObject *shell_names;   /* set: functions taken from subprocess */
    bool open_is_own;        /* the script binds the name `open` */
    char *text;
    size_t size;
};

/* What to do with a node of one type, in one pass. True: stop, refused. */
typedef bool visit_fn(struct check *check, PyObject *node);

/* A borrowed look at an attribute that the tree keeps alive. */
static PyObject *peek(PyObject *node, const char *name)
{
    PyObject *value = PyObject_GetAttrString(node, name);

    Py_XDECREF(value);
    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

static const char *text_of(PyObject *object, Py_ssize_t *ret_size)
{
    const char *text = NULL;

    if (object != NULL && PyUnicode_Check(object)) {
        text = PyUnicode_AsUTF8AndSize(object, ret_size);
    }
    if (text == NULL) {
        PyErr_Clear();
        *ret_size = 0;
        return "";
    }
    return text;
}

static bool is_text(PyObject *object, const char *wanted)
{
    return object != NULL && PyUnicode_Check(object)
           && PyUnicode_CompareWithASCIIString(object, wanted) == 0;
}

static bool is_node(PyObject *node, const char *type)
{
    return node != NULL && strcmp(Py_TYPE(node)->tp_name, type) == 0;
}

static bool in_set(PyObject *set, PyObject *name)
{
    int found = name == NULL ? 0 : PySet_Contains(set, name);

    if (found < 0) {
        PyErr_Clear();
    }
    return found == 1;
}

static void add_to(PyObject *set, PyObject *name)
{
    if (name != NULL && PySet_Add(set, name) != 0) {
        PyErr_Clear();
    }
}

static bool __attribute__((format(printf, 2, 3)))
refuse(struct check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(check->text, check->size, format, arguments);
    va_end(arguments);
    return true;
}

static PyObject *bound_name(PyObject *alias)
{
    PyObject *other = peek(alias, "asname");

    return other == NULL || other == Py_None ? peek(alias, "name") : other;
}

/* First pass: by which names are os, subprocess and their functions known. */
static void note_import(struct check *check, PyObject *alias)
{
    PyObject *name = peek(alias, "name");
    PyObject *renamed = peek(alias, "asname");
    bool plain = renamed == NULL || renamed == Py_None;
    Py_ssize_t size;
    const char *text = text_of(name, &size);

    if (is_text(name, "os") || (plain && strncmp(text, "os.", 3) == 0)) {
        PyObject *bound = plain ? PyUnicode_FromString("os")
                                : Py_NewRef(renamed);

        add_to(check->os_names, bound);
        Py_XDECREF(bound);
    }
    if (is_text(name, "subprocess")) {
        add_to(check->process_names, bound_name(alias));
    }
    if (!plain && is_text(renamed, "open")) {
        check->open_is_own = true;
    }
}

static bool note_imports(struct check *check, PyObject *node)
{
    PyObject *names = peek(node, "names");
    PyObject *module = peek(node, "module");

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(names); i++) {
        PyObject *alias = PyList_GET_ITEM(names, i);

        if (module == NULL) {
            note_import(check, alias);
        }
        else if (is_text(module, "subprocess")) {
            add_to(check->shell_names, bound_name(alias));
        }
    }
    return false;
}

static bool note_name(struct check *check, PyObject *node)
{
    if (is_text(peek(node, "id"), "open")
        && is_node(peek(node, "ctx"), "Store")) {
        check->open_is_own = true;
    }
    return false;
}

/* Second pass. */
static bool check_import(struct check *check, PyObject *node)
{
    PyObject *names = peek(node, "names");

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(names); i++) {
        Py_ssize_t size;
        const char *name = text_of(peek(PyList_GET_ITEM(names, i), "name"),
                                   &size);

        if (!py_policy_allows_import(check->policy, name, (size_t)size)) {
            return refuse(check, "Disallowed import: %s", name);
        }
    }
    return false;
}

static bool check_import_from(struct check *check, PyObject *node)
{
    PyObject *module = peek(node, "module");
    PyObject *level = peek(node, "level");
    long dots = level == NULL || !PyLong_Check(level) ? 0
                                                      : PyLong_AsLong(level);
    Py_ssize_t size;
    const char *name = text_of(module, &size);

    if (dots > 0) {
        return refuse(check, "Disallowed import: .%s (relative)", name);
    }
    if (!py_policy_allows_import(check->policy, name, (size_t)size)) {
        return refuse(check, "Disallowed import: %s", name);
    }
    if ((check->policy->forbid & PXW_FORBID_OS_SYSTEM) != 0
        && is_text(module, "os")) {
        PyObject *names = peek(node, "names");

        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
            if (is_text(peek(PyList_GET_ITEM(names, i), "name"), "system")) {
                return refuse(check, "Disallowed call: os.system");
            }
        }
    }
    return false;
}

static bool check_attribute(struct check *check, PyObject *node)
{
    PyObject *owner = peek(node, "value");

    if ((check->policy->forbid & PXW_FORBID_OS_SYSTEM) != 0
        && is_text(peek(node, "attr"), "system")
        && is_node(owner, "Name")
        && in_set(check->os_names, peek(owner, "id"))) {
        return refuse(check, "Disallowed call: os.system");
    }
    return false;
}

static bool is_true_constant(PyObject *node)
{
    PyObject *value = is_node(node, "Constant") ? peek(node, "value")
                                                    : NULL;

    return value != NULL && PyObject_IsTrue(value) == 1;
}

static PyObject *argument(PyObject *call, Py_ssize_t position,
                          const char *keyword)
{
    PyObject *positional = peek(call, "args");
    PyObject *named = peek(call, "keywords");

    for (Py_ssize_t i = 0; named != NULL && i < PyList_GET_SIZE(named); i++) {
        PyObject *item = PyList_GET_ITEM(named, i);

        if (is_text(peek(item, "arg"), keyword)) {
            return peek(item, "value");
        }
    }
    if (positional != NULL && position < PyList_GET_SIZE(positional)) {
        return PyList_GET_ITEM(positional, position);
    }
    return NULL;
}

static bool is_process_function(const struct check *check, PyObject *function)
{
    if (is_node(function, "Name")) {
        return in_set(check->shell_names, peek(function, "id"));
    }
    if (is_node(function, "Attribute")) {
        PyObject *owner = peek(function, "value");

        return is_node(owner, "Name")
               && in_set(check->process_names, peek(owner, "id"));
    }
    return false;
}

static bool check_call(struct check *check, PyObject *node)
{
    PyObject *function = peek(node, "func");
    PyObject *mode;
    Py_ssize_t size;
    const char *text;

    if ((check->policy->forbid & PXW_FORBID_SHELL) != 0
        && is_process_function(check, function)
        && is_true_constant(argument(node, SHELL_POSITION, "shell"))) {
        return refuse(check, "Disallowed call: subprocess with shell=True");
    }
    if ((check->policy->forbid & PXW_FORBID_OPEN_WRITE) == 0
        || check->open_is_own || !is_node(function, "Name")
        || !is_text(peek(function, "id"), "open")) {
        return false;
    }
    mode = argument(node, MODE_POSITION, "mode");
    text = text_of(is_node(mode, "Constant") ? peek(mode, "value") : NULL,
                   &size);
    if (py_policy_mode_writes(text, (size_t)size)) {
        return refuse(check, "Disallowed call: open() with mode '%s'", text);
    }
    return false;
}

struct visitor
{
    const char *type;
    visit_fn *visit;
};

static const struct visitor note_pass[] = {
    { "Import", note_imports },
    { "ImportFrom", note_imports },
    { "Name", note_name },
    { NULL, NULL },
};

static const struct visitor check_pass[] = {
    { "Import", check_import },
    { "ImportFrom", check_import_from },
    { "Attribute", check_attribute },
    { "Call", check_call },
    { NULL, NULL },
};

/* Puts what is below `node` on the stack, last first, so that the first is
 * taken next. 0, or -1 with an exception set. */
static int push_children(const struct check *check, PyObject *stack,
                         PyObject *node)
{
    PyObject *fields = NULL;
    int rv = 0;

    if (PyList_Check(node)) {
        for (Py_ssize_t i = PyList_GET_SIZE(node); rv == 0 && i > 0; i--) {
            rv = PyList_Append(stack, PyList_GET_ITEM(node, i - 1));
        }
        return rv;
    }
    fields = PyObject_GetAttrString((PyObject *)Py_TYPE(node), "_fields");
    if (fields == NULL || !PyTuple_Check(fields)) {
        Py_XDECREF(fields);
        PyErr_Clear(); /* a constant's value: nothing below */
        return 0;
    }
    for (Py_ssize_t i = PyTuple_GET_SIZE(fields); rv == 0 && i > 0; i--) {
        PyObject *child = PyObject_GetAttr(node,
                                           PyTuple_GET_ITEM(fields, i - 1));

        if (child == NULL) {
            PyErr_Clear(); /* an optional field that is not there */
        }
        else {
            if (PyList_Check(child)
                || PyObject_IsInstance(child, check->node_type) == 1) {
                rv = PyList_Append(stack, child);
            }
            Py_DECREF(child);
        }
    }
    Py_DECREF(fields);
    return rv;
}

/* True: refused. Out of memory ends the walk: the run meets it again. */
static bool walk(struct check *check, PyObject *tree,
                 const struct visitor *pass)
{
    PyObject *stack = PyList_New(0);
    bool refused = false;

    if (stack == NULL || PyList_Append(stack, tree) != 0) {
        PyErr_Clear();
    }
    while (!refused && stack != NULL && PyList_GET_SIZE(stack) > 0) {
        Py_ssize_t last = PyList_GET_SIZE(stack) - 1;
        PyObject *node = Py_NewRef(PyList_GET_ITEM(stack, last));

        if (PyList_SetSlice(stack, last, last + 1, NULL) != 0) {
            PyErr_Clear();
            Py_DECREF(node);
            break;
        }
        for (const struct visitor *at = pass; at->type != NULL; at++) {
            if (is_node(node, at->type)) {
                refused = at->visit(check, node);
                break;
            }
        }
        if (!refused && push_children(check, stack, node) != 0) {
            PyErr_Clear();
            Py_DECREF(node);
            break;
        }
        Py_DECREF(node);
    }
    Py_XDECREF(stack);
    return refused;
}

/* A function of the script's own, at the top, that is called open. */
static bool defines_open(PyObject *tree)
{
    PyObject *body = peek(tree, "body");

    for (Py_ssize_t i = 0; body != NULL && i < PyList_GET_SIZE(body); i++) {
        PyObject *node = PyList_GET_ITEM(body, i);

        if ((is_node(node, "FunctionDef") || is_node(node, "ClassDef"))
            && is_text(peek(node, "name"), "open")) {
            return true;
        }
    }
    return false;
}

bool py_check_refuses(const char *source, const struct py_policy *policy,
                      char *ret_text, size_t size)
{
    struct check check = {
        .policy = policy,
        .os_names = PySet_New(NULL),
        .process_names = PySet_New(NULL),
        .shell_names = PySet_New(NULL),
        .text = ret_text,
        .size = size,
    };
    PyObject *tree = py_source_compile(source, true);
    PyObject *module = PyImport_ImportModule("_ast");
    bool refused = false;

    check.node_type = module == NULL ? NULL : peek(module, "AST");
    if (tree != NULL && check.node_type != NULL && check.shell_names != NULL) {
        check.open_is_own = defines_open(tree);
        refused = walk(&check, tree, note_pass)
                  || walk(&check, tree, check_pass);
    }
    PyErr_Clear();
    Py_XDECREF(module);
    Py_XDECREF(tree);
    Py_XDECREF(check.os_names);
    Py_XDECREF(check.process_names);
    Py_XDECREF(check.shell_names);
    return refused;
}
