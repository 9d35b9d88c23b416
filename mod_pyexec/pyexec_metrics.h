/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler `pyexec-metrics`: the helper's counters for Prometheus.
 */
#ifndef PYEXEC_METRICS_H
#define PYEXEC_METRICS_H

#include "pyexec.h"

int pyexec_metrics_run(request_rec *r);

#endif
