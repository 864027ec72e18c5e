/* signals.h - SIGTERM and SIGINT as an ordinary call on an ordinary thread.
 *
 * Why:     a signal handler may do almost nothing; a thread that waits for signals may wake the
 *          inbox.
 * Threads: init before any other thread is started, so that all of them inherit the mask. */
#ifndef DSMR_HOST_SIGNALS_H
#define DSMR_HOST_SIGNALS_H

#include <pthread.h>

#include "dsmr/err.h"

struct dsmr_signals { /* the caller's memory */
    pthread_t thread;
    int signal_fd;
    int stop_fd;
    void (*on_signal)(void *ctx, int number);
    void *ctx;
};

/* Blocks SIGTERM, SIGINT and SIGHUP for this and later threads, ignores SIGPIPE, and from now on
 * calls on_signal(ctx, number) on a thread of its own for each that comes. IO, NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_signals_init(struct dsmr_signals *signals,
                                              void (*on_signal)(void *ctx, int number), void *ctx);
/* Ends the thread; on_signal is not called after it. The mask stays. */
void dsmr_signals_close(struct dsmr_signals *signals);

#endif
