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

#include "py_tree.h"
#include "wire.h"

/* Position of Popen's `shell` among its arguments. */
#define SHELL_POSITION 8
/* Position of open's `mode`. */
#define MODE_POSITION 1

struct visitor;

struct check
{
    const struct py_policy *policy;
    PyObject *os_names;      /* set: what `os` is called here */
    PyObject *process_names; /* set: what `subprocess` is called */
    PyObject *shell_names;   /* set: functions taken from subprocess */
    PyObject *own_names;     /* set: what the script itself binds */
    PyObject *methods;       /* set: statements right inside a class */
    const struct visitor *pass;
    bool failed;             /* a set is not complete */
    char *text;
    size_t size;
};

static bool in_set(PyObject *set, PyObject *name)
{
    int found = name == NULL ? 0 : PySet_Contains(set, name);

    if (found < 0) {
        PyErr_Clear();
    }
    return found == 1;
}

static void add_to(struct check *check, PyObject *set, PyObject *name)
{
    if (name != NULL && PySet_Add(set, name) != 0) {
        PyErr_Clear();
        check->failed = true;
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

/* First pass: by which names are os, subprocess and their functions known. */
static void note_import(struct check *check, PyObject *alias)
{
    PyObject *name = py_tree_get(alias, "name");
    PyObject *renamed = py_tree_get(alias, "asname");
    bool plain = renamed == NULL || renamed == Py_None;
    Py_ssize_t size;
    const char *text = py_tree_text(name, &size);

    if (py_tree_is_text(name, "os") || (plain && strncmp(text, "os.", 3) == 0)) {
        PyObject *bound = plain ? PyUnicode_FromString("os")
                                : Py_NewRef(renamed);

        add_to(check, check->os_names, bound);
        Py_XDECREF(bound);
    }
    if (py_tree_is_text(name, "subprocess")) {
        add_to(check, check->process_names, py_tree_bound_name(alias));
    }
    if (!plain) {
        add_to(check, check->own_names, renamed);
    }
}

static bool note_imports(struct check *check, PyObject *node)
{
    PyObject *names = py_tree_get(node, "names");
    PyObject *module = py_tree_get(node, "module");

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(names); i++) {
        PyObject *alias = PyList_GET_ITEM(names, i);

        if (module == NULL) {
            note_import(check, alias);
        }
        else if (py_tree_is_text(module, "subprocess")) {
            add_to(check, check->shell_names, py_tree_bound_name(alias));
        }
    }
    return false;
}

static bool note_name(struct check *check, PyObject *node)
{
    if (py_tree_is(py_tree_get(node, "ctx"), "Store")) {
        add_to(check, check->own_names, py_tree_get(node, "id"));
    }
    return false;
}

/* A method does not count: its name is bound in the class only. */
static bool note_definition(struct check *check, PyObject *node)
{
    PyObject *body = py_tree_is(node, "ClassDef") ? py_tree_get(node, "body")
                                                  : NULL;

    if (!in_set(check->methods, node)) {
        add_to(check, check->own_names, py_tree_get(node, "name"));
    }
    for (Py_ssize_t i = 0; body != NULL && i < PyList_GET_SIZE(body); i++) {
        add_to(check, check->methods, PyList_GET_ITEM(body, i));
    }
    return false;
}

/* Second pass. */
static bool check_import(struct check *check, PyObject *node)
{
    PyObject *names = py_tree_get(node, "names");

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(names); i++) {
        Py_ssize_t size;
        const char *name = py_tree_text(py_tree_get(PyList_GET_ITEM(names, i), "name"),
                                   &size);

        if (!py_policy_allows_import(check->policy, name, (size_t)size)) {
            return refuse(check, "Disallowed import: %s", name);
        }
    }
    return false;
}

static bool check_import_from(struct check *check, PyObject *node)
{
    PyObject *module = py_tree_get(node, "module");
    PyObject *level = py_tree_get(node, "level");
    long dots = level == NULL || !PyLong_Check(level) ? 0
                                                      : PyLong_AsLong(level);
    Py_ssize_t size;
    const char *name = py_tree_text(module, &size);

    if (dots > 0) {
        return refuse(check, "Disallowed import: .%s (relative)", name);
    }
    if (!py_policy_allows_import(check->policy, name, (size_t)size)) {
        return refuse(check, "Disallowed import: %s", name);
    }
    if ((check->policy->forbid & PXW_FORBID_OS_SYSTEM) != 0
        && py_tree_is_text(module, "os")) {
        PyObject *names = py_tree_get(node, "names");

        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
            if (py_tree_is_text(py_tree_get(PyList_GET_ITEM(names, i), "name"), "system")) {
                return refuse(check, "Disallowed call: os.system");
            }
        }
    }
    return false;
}

static bool check_attribute(struct check *check, PyObject *node)
{
    PyObject *owner = py_tree_get(node, "value");

    if ((check->policy->forbid & PXW_FORBID_OS_SYSTEM) != 0
        && py_tree_is_text(py_tree_get(node, "attr"), "system")
        && py_tree_is(owner, "Name")
        && in_set(check->os_names, py_tree_get(owner, "id"))) {
        return refuse(check, "Disallowed call: os.system");
    }
    return false;
}

static bool is_true_constant(PyObject *node)
{
    PyObject *value = py_tree_is(node, "Constant") ? py_tree_get(node, "value")
                                                    : NULL;

    return value != NULL && PyObject_IsTrue(value) == 1;
}

static PyObject *argument(PyObject *call, Py_ssize_t position,
                          const char *keyword)
{
    PyObject *positional = py_tree_get(call, "args");
    PyObject *named = py_tree_get(call, "keywords");

    for (Py_ssize_t i = 0; named != NULL && i < PyList_GET_SIZE(named); i++) {
        PyObject *item = PyList_GET_ITEM(named, i);

        if (py_tree_is_text(py_tree_get(item, "arg"), keyword)) {
            return py_tree_get(item, "value");
        }
    }
    if (positional != NULL && position < PyList_GET_SIZE(positional)) {
        return PyList_GET_ITEM(positional, position);
    }
    return NULL;
}

static bool is_process_function(const struct check *check, PyObject *function)
{
    if (py_tree_is(function, "Name")) {
        return in_set(check->shell_names, py_tree_get(function, "id"));
    }
    if (py_tree_is(function, "Attribute")) {
        PyObject *owner = py_tree_get(function, "value");

        return py_tree_is(owner, "Name")
               && in_set(check->process_names, py_tree_get(owner, "id"));
    }
    return false;
}

static bool check_call(struct check *check, PyObject *node)
{
    PyObject *function = py_tree_get(node, "func");
    PyObject *mode;
    Py_ssize_t size;
    const char *text;

    if ((check->policy->forbid & PXW_FORBID_SHELL) != 0
        && is_process_function(check, function)
        && is_true_constant(argument(node, SHELL_POSITION, "shell"))) {
        return refuse(check, "Disallowed call: subprocess with shell=True");
    }
    if ((check->policy->forbid & PXW_FORBID_OPEN_WRITE) == 0
        || !py_tree_is(function, "Name")
        || !py_tree_is_text(py_tree_get(function, "id"), "open")
        || in_set(check->own_names, py_tree_get(function, "id"))) {
        return false;
    }
    mode = argument(node, MODE_POSITION, "mode");
    text = py_tree_text(py_tree_is(mode, "Constant")
                            ? py_tree_get(mode, "value")
                            : NULL,
                        &size);
    if (py_policy_mode_writes(text, (size_t)size)) {
        return refuse(check, "Disallowed call: open() with mode '%s'", text);
    }
    return false;
}

/* Names that reach the compiler. Also when only referred to: `e = eval`. */
static bool check_name(struct check *check, PyObject *node)
{
    static const char *const names[] = { "eval", "exec", "compile" };
    PyObject *name = py_tree_get(node, "id");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((check->policy->forbid & PXW_FORBID_EVAL) != 0
            && py_tree_is_text(name, names[i])
            && !in_set(check->own_names, name)) {
            return refuse(check, "Disallowed call: %s", names[i]);
        }
    }
    return false;
}

static const struct visitor
{
    const char *type;
    bool (*visit)(struct check *check, PyObject *node);
} note_pass[] = {
    { "Import", note_imports },
    { "ImportFrom", note_imports },
    { "Name", note_name },
    { "FunctionDef", note_definition },
    { "ClassDef", note_definition },
    { NULL, NULL },
}, check_pass[] = {
    { "Import", check_import },
    { "ImportFrom", check_import_from },
    { "Attribute", check_attribute },
    { "Call", check_call },
    { "Name", check_name },
    { NULL, NULL },
};

static bool visit(void *context, PyObject *node)
{
    struct check *check = context;

    for (const struct visitor *at = check->pass; at->type != NULL; at++) {
        if (py_tree_is(node, at->type)) {
            return at->visit(check, node);
        }
    }
    return false;
}

static bool walk(struct check *check, PyObject *tree,
                 enum py_tree_scope scope, const struct visitor *pass)
{
    bool complete = true;

    check->pass = pass;
    return py_tree_walk(tree, scope, visit, check, &complete)
           || ((!complete || check->failed)
               && refuse(check, "Too large to be checked"));
}

/* Every refusal needs one of these words in the text: os and subprocess come
 * by an import only. Outside of ASCII letters may be folded to theirs. */
static bool could_refuse(const char *source)
{
    static const char *const words[] = {
        "import", "open", "eval", "exec", "compile",
    };

    for (const char *at = source; *at != '\0'; at++) {
        if ((unsigned char)*at > 0x7f) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(source, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

bool py_check_is_needed(const struct py_policy *policy, const char *source)
{
    return (policy->imports != NULL || policy->deny != NULL
            || (policy->forbid & ~(uint32_t)PXW_FORBID_AT_RUN_TIME) != 0)
           && could_refuse(source);
}

bool py_check_refuses(PyObject *tree, const struct py_policy *policy,
                      char *ret_text, size_t size)
{
    struct check check = {
        .policy = policy,
        .os_names = PySet_New(NULL),
        .process_names = PySet_New(NULL),
        .shell_names = PySet_New(NULL),
        .own_names = PySet_New(NULL),
        .methods = PySet_New(NULL),
        .text = ret_text,
        .size = size,
    };
    bool refused;

    if (check.os_names == NULL || check.process_names == NULL
        || check.shell_names == NULL || check.own_names == NULL
        || check.methods == NULL) {
        refused = refuse(&check, "Too large to be checked");
    }
    else {
        /* Aliases are noted wherever they are made, so that the order of the
         * script does not matter. */
        refused = walk(&check, tree, PY_TREE_ALL, note_pass)
                  || walk(&check, tree, PY_TREE_ALL, check_pass);
    }
    PyErr_Clear();
    Py_XDECREF(check.os_names);
    Py_XDECREF(check.process_names);
    Py_XDECREF(check.shell_names);
    Py_XDECREF(check.own_names);
    Py_XDECREF(check.methods);
    return refused;
}
