/* SPDX-License-Identifier: Apache-2.0
 *
 * A child's knowledge of the helper; see the header. Runs as httpd's User.
 */
#include "pyexec_child.h"

#include "pyexec_helper.h"
#include "pyexec_places.h"
#include "pyexec_socket.h"
#include "pyexec_workers.h"

#include <errno.h>
#include <http_log.h>
#include <mpm_common.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

APLOG_USE_MODULE(pyexec);

static pyexec_endpoint_t known;
static int stop_fd = -1;

void pyexec_child_know(const pyexec_endpoint_t *endpoint)
{
    known = *endpoint;
}

/* Children of a root's httpd are not dumpable, by their change of user. Those
 * of an ordinary user have the token in their memory just as well. */
int pyexec_child_hide(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                      server_rec *s)
{
    (void)pconf; /* the hook's signature */
    (void)plog;
    (void)ptemp;
    if (geteuid() != 0 && pyexec_places_any_engine()
        && !ap_coredumpdir_configured && prctl(PR_SET_DUMPABLE, 0) != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     PYXNO(0115) "cannot close httpd to other processes of "
                     "its user");
    }
    return OK;
}

const char *pyexec_child_helper_path(void)
{
    return known.path != NULL && !*known.paused ? known.path : NULL;
}

const unsigned char *pyexec_child_token(void)
{
    return known.token;
}

int pyexec_child_stop_fd(void)
{
    return stop_fd;
}

/* A child that cannot reach its helper answers every request with 503; the
 * commonest cause is a directory that httpd's User may not search. */
static void test_socket(apr_pool_t *pool, server_rec *s)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || pyexec_child_helper_path() == NULL) {
        if (fd >= 0) {
            (void)close(fd); /* nobody is there, which was told already */
        }
        return;
    }
    memcpy(address.sun_path, known.path, sizeof(address.sun_path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0
        && errno != EAGAIN) {
        int error = errno;
        const char *part = pyexec_socket_denied_at(pool, known.path);

        ap_log_error(APLOG_MARK, APLOG_ERR, error, s,
                     PYXNO(0109) "httpd's User cannot connect to the helper "
                     "at '%s'%s%s%s", known.path,
                     part != NULL ? ": it may not search the directory '"
                     : error == EACCES ? ": see PyExecSocketMode, or the mode "
                                         "of the service's socket" : "",
                     part == NULL ? "" : part, part == NULL ? "" : "'");
    }
    (void)close(fd); /* the helper sees a client that left */
}

void pyexec_child_init(apr_pool_t *pchild, server_rec *s)
{
    pyexec_helper_let_go();
    pyexec_workers_init(s);
    if (known.path == NULL) {
        return;
    }
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd < 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     PYXNO(0110) "cannot make an event descriptor: stopping "
                     "httpd waits for the runs of this child");
    }
    test_socket(pchild, s);
}

/* May be a signal handler (prefork): write() only. */
void pyexec_child_stopping(apr_pool_t *pchild, int graceful)
{
    const uint64_t one = 1;
    ssize_t ignored;

    (void)pchild; /* the hook's signature */
    if (!graceful && stop_fd >= 0) {
        ignored = write(stop_fd, &one, sizeof(one));
        (void)ignored; /* it fails when it is readable already */
    }
}
