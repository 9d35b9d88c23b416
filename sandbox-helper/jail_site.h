/* SPDX-License-Identifier: Apache-2.0
 *
 * The directories of PyExecSitePackages: what an administrator lets the scripts
 * of one pool read on top of the trees.
 */
#ifndef PYEXEC_JAIL_SITE_H
#define PYEXEC_JAIL_SITE_H

/* 0, or a negative errno, which ends the walk. */
typedef int jail_site_visit(const char *path, int fd, void *context);

/* In the zygote: opens a directory by an absolute path of which no component is
 * a symbolic link. Its descriptor (close-on-exec, the caller's), or a negative
 * errno. */
int jail_site_open(const char *path);

/* In the zygote: opens each directory of a list, one a line (NULL: none), and
 * visits it; the descriptor is closed afterwards. The module has resolved and
 * checked the names; whoever owns a directory above may have changed what they
 * mean since, so that no component may be a symbolic link now. 0, or a negative
 * errno with *ret_step naming the directory in a static text. */
int jail_site_each(const char *list, jail_site_visit *visit, void *context,
                   const char **ret_step);

#endif
