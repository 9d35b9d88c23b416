/* SPDX-License-Identifier: Apache-2.0
 *
 * Where modules are found that are neither the library's nor packaged.
 */
#ifndef PYEXEC_PY_SITE_H
#define PYEXEC_PY_SITE_H

/* In the zygote, before anything is preloaded: puts directories, one a line
 * (NULL: none), into sys.path, and does nothing else with them: what stands in
 * their .pth files, or in a sitecustomize, is not executed. 0, or -1 with a
 * Python exception set. */
int py_site_add(const char *list);

#endif
