/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling the service manager, by the protocol of sd_notify(3).
 */
#ifndef PYEXEC_SERVICE_NOTIFY_H
#define PYEXEC_SERVICE_NOTIFY_H

/* Sends lines like "READY=1"; without NOTIFY_SOCKET it does nothing. A manager
 * that does not hear it will say so itself. */
void service_notify(const char *lines);

#endif
