/* SPDX-License-Identifier: Apache-2.0
 *
 * What every file of the module shares: the module record, the names of the
 * handlers, and the form of a log code. Runs in httpd; knows no Python.
 */
#ifndef PYEXEC_H
#define PYEXEC_H

#include <httpd.h>
#include <http_config.h>

/* AP_MODULE_DECLARE_DATA is empty on Unix: with -fvisibility=hidden httpd
 * would not find the record. */
extern module AP_MODULE_DECLARE_DATA pyexec_module
    __attribute__((visibility("default")));

#define PYEXEC_HANDLER "pyexec"
#define PYEXEC_HEALTH_HANDLER "pyexec-health"
#define PYEXEC_OPENAPI_HANDLER "pyexec-openapi"
#define PYEXEC_METRICS_HANDLER "pyexec-metrics"
#define PYEXEC_PACKAGES_HANDLER "pyexec-packages"

/* A log code is written in one place only and never used again for another
 * meaning; CODES.md has the meaning and the remedy of each. */
#define PYXNO(number) "PYX" #number ": "

#endif
