/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of a run: the one place where that is decided, and the frame
 * that tells it. Runs in the keeper, after the job is dead.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_jobs.h"

#include "fdio.h"
#include "keeper.h"

#include <signal.h>
#include <sys/wait.h>

/* RLIMIT_CPU samples at clock ticks, which a busy or virtual machine serves
 * badly: its signal was seen at 85 % of what rusage then tells. */
#define CPU_SPENT_PERCENT 80u

/* The second line, for a keeper that came too late with its own check: at the
 * hard limit the kernel sends SIGKILL. Without the time spent the signal was
 * the job's own: a limit is never reported on its word. */
static bool kernel_ended_cpu(const struct keeper_job *job,
                             const struct keeper_job_end *end)
{
    return WIFSIGNALED(end->wait_status)
           && WTERMSIG(end->wait_status) == SIGKILL
           && end->cpu_us / 10u >= (uint64_t)job->cpu_ms * CPU_SPENT_PERCENT;
}

/* What a job may say of its own end, and which end that must have been: its
 * signal, 0 for an exit status other than 0. Like RESULT it is the script's own
 * word, and can be forged. It only says which failure it was: nothing becomes
 * better than the wait status allows, and what we or the kernel ended has its
 * name already when this is asked. */
static enum pxw_outcome refine(const struct keeper_report *report, int signal,
                               enum pxw_outcome seen)
{
    static const struct
    {
        enum pxw_outcome outcome;
        int signal;
    } claims[] = {
        { PXW_OUT_OF_MEMORY, 0 },
        { PXW_OUT_OF_MEMORY, SIGSEGV }, /* a stack that could not grow */
        { PXW_OUT_OF_PROCESSES, 0 },
        { PXW_OUT_OF_DESCRIPTORS, 0 },
        { PXW_OUT_OF_THREADS, 0 },
        { PXW_OUT_OF_RECURSION, 0 },
        { PXW_OUT_OF_STACK, SIGSEGV },
    };

    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        if (claims[i].outcome == report->met && claims[i].signal == signal) {
            return claims[i].outcome;
        }
    }
    return seen;
}

/* Beyond what the script was refused when it asked: the kernel found the group
 * at its limit and ended all of it. */
static bool kernel_ended_memory(const struct keeper_job *job,
                                const struct keeper_job_end *end)
{
    return job->leaf != NULL && WIFSIGNALED(end->wait_status)
           && WTERMSIG(end->wait_status) == SIGKILL
           && keeper_cgroup_memory_spent(job->leaf);
}

/* Before it was STARTED. */
static bool ran_nothing(const struct keeper_job *job)
{
    return job->state == JOB_RUNNING && !job->report.started
           && job->report.phase == REPORT_READY;
}

/* Who fetches a script has asked somebody, perhaps, whose answer is for once. */
bool keeper_job_is_unbegun(const struct keeper_job *job)
{
    return ran_nothing(job) && job->relay.connections == 0;
}

/* The word of its zygote, which is ours: 0 stands for packages that are the
 * environment's now, or were before (zygote_own.h). What we did to a job that
 * was ending came too late then, and is not what became of it. */
static bool has_installed(const struct keeper_job *job,
                          const struct keeper_job_end *end)
{
    return job->branch->pool->conf->install_bytes > 0
           && WIFEXITED(end->wait_status)
           && WEXITSTATUS(end->wait_status) == 0;
}

enum pxw_outcome keeper_job_outcome(const struct keeper_job *job,
                                    const struct keeper_job_end *end)
{
    const struct keeper_report *report = &job->report;
    int status = end->wait_status;

    if (has_installed(job, end)) {
        return PXW_DONE;
    }
    /* What we did and why comes first: the job cannot have faked that. */
    if (job->verdict == JOB_PAST_DEADLINE) {
        return PXW_OUT_OF_WALL;
    }
    if (job->verdict == JOB_PAST_CPU) {
        return PXW_OUT_OF_CPU;
    }
    if (job->verdict == JOB_PAST_OUTPUT) {
        return PXW_OUT_OF_OUTPUT;
    }
    if (job->killed || report->phase == REPORT_FAILED
        || report->phase == REPORT_BAD) {
        return PXW_BROKEN;
    }
    /* Before STARTED this is the word of our own code, if it ended in order;
     * afterwards the phase cannot become REFUSED any more. */
    if (report->phase == REPORT_REFUSED && WIFEXITED(status)) {
        return PXW_NOT_ACCEPTABLE;
    }
    /* Hostile source can also spend its time in the check. */
    if (kernel_ended_cpu(job, end)) {
        return PXW_OUT_OF_CPU;
    }
    if (kernel_ended_memory(job, end)) {
        return PXW_OUT_OF_MEMORY;
    }
    if (!report->started) {
        /* Not by us: the out-of-memory killer, or an administrator. */
        return ran_nothing(job) && WIFSIGNALED(status)
                       && WTERMSIG(status) == SIGKILL
                   ? PXW_LOST
                   : PXW_BROKEN;
    }
    if (WIFSIGNALED(status)) {
        return refine(report, WTERMSIG(status), PXW_SIGNALLED);
    }
    if (!WIFEXITED(status)) {
        return PXW_BROKEN;
    }
    if (WEXITSTATUS(status) == 0) {
        return PXW_DONE;
    }
    return refine(report, 0, PXW_EXITED_NONZERO);
}

/* What the job said of itself, as far as the outcome leaves room for it. */
static void pass_on(struct pxw_writer *answer,
                    const struct keeper_report *report,
                    enum pxw_outcome outcome)
{
    static const enum pxw_tag tags[] = {
        PXW_F_REASON, PXW_F_TEXT, PXW_F_HINTS, PXW_F_NAMES, PXW_F_KIND,
        PXW_F_JSON,
    };
    bool wanted = report->last.type == PXW_REFUSED
                      ? outcome == PXW_NOT_ACCEPTABLE
                      : report->last.type == PXW_RESULT
                            && !pxw_outcome_is_ours(outcome);

    for (size_t i = 0; wanted && i < sizeof(tags) / sizeof(tags[0]); i++) {
        if (pxw_has(&report->last, tags[i])) {
            pxw_put_bytes(answer, tags[i], report->last.field[tags[i]].data,
                          report->last.field[tags[i]].size);
        }
    }
}

/* Processes that the job started and did not wait for are in the group's
 * counts alone. */
static struct keeper_job_end add_group(const struct keeper_job *job,
                                       const struct keeper_job_end *end)
{
    struct keeper_job_end all = *end;

    if (job->leaf != NULL) {
        uint64_t cpu_us = keeper_cgroup_cpu_us(job->leaf);
        uint64_t peak_bytes = keeper_cgroup_peak_bytes(job->leaf);

        all.cpu_us = cpu_us > all.cpu_us ? cpu_us : all.cpu_us;
        all.peak_bytes = peak_bytes > all.peak_bytes ? peak_bytes
                                                     : all.peak_bytes;
    }
    return all;
}

static void tell_network(struct pxw_writer *answer,
                         const struct keeper_job *job)
{
    if (job->relay.started) {
        pxw_put_u32(answer, PXW_F_CONNECTIONS, job->relay.connections);
        pxw_put_u64(answer, PXW_F_NETWORK_BYTES, job->relay.bytes);
    }
}

enum pxw_outcome keeper_job_end(struct keeper_job *job,
                                const struct keeper_job_end *told,
                                struct pxw_writer *answer)
{
    struct keeper_job_end all = add_group(job, told);
    const struct keeper_job_end *end = &all;
    const struct keeper_report *report = &job->report;
    struct keeper_run *run = job->run;
    uint64_t wall_us = fdio_now_us() - job->dispatched_us;
    enum pxw_outcome outcome;
    uint32_t cut;
    int status = end->wait_status;
    /* The kernel's two ways to measure may differ by what is in flight. */
    uint64_t cpu_us = end->cpu_us > job->warm_cpu_us
                          ? end->cpu_us - job->warm_cpu_us
                          : 0;

    keeper_job_drain(job);
    keeper_relay_close(&job->relay); /* the counts are final */
    outcome = keeper_job_outcome(job, end);
    run->outcome = outcome;
    run->ran = true;
    run->queue_us = job->dispatched_us - run->admitted_us;
    run->wall_us = wall_us;
    cut = (job->out.total > job->out.size ? PXW_CUT_OUT : 0)
          | (job->err.total > job->err.size ? PXW_CUT_ERR : 0);
    pxw_begin(answer, PXW_OUTCOME);
    pxw_put_u32(answer, PXW_F_OUTCOME, outcome);
    pxw_put_u32(answer, PXW_F_EXIT,
                WIFSIGNALED(status) ? 256u + (uint32_t)WTERMSIG(status)
                                    : (uint32_t)WEXITSTATUS(status));
    pxw_put_u64(answer, PXW_F_WALL_US, wall_us);
    pxw_put_u64(answer, PXW_F_CPU_US, cpu_us);
    pxw_put_u64(answer, PXW_F_PEAK, end->peak_bytes);
    pxw_put_u64(answer, PXW_F_QUEUE_US, run->queue_us);
    pxw_put_u32(answer, PXW_F_CUT, cut);
    tell_network(answer, job);
    pxw_put_bytes(answer, PXW_F_OUT, job->out.data, job->out.size);
    pxw_put_bytes(answer, PXW_F_ERR, job->err.data, job->err.size);
    if (end->text.data != NULL) {
        pxw_put_bytes(answer, PXW_F_TEXT, end->text.data, end->text.size);
    }
    else if (job->branch->pool->conf->install_bytes == 0) {
        pass_on(answer, report, outcome);
    }
    /* What it was up to its zygote to say, long before the script. */
    if (job->branch->pool->python[0] != '\0') {
        pxw_put_str(answer, PXW_F_PYTHON, job->branch->pool->python);
    }
    if ((outcome == PXW_BROKEN || outcome == PXW_LOST)
        && end->text.data == NULL) {
        pxw_put_str(answer, PXW_F_TEXT, report->phase == REPORT_FAILED
                                            ? report->text
                                            : "the job ended before it started");
    }
    (void)pxw_end(answer); /* kept in answer->error */
    return outcome;
}
