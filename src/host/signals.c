#define _GNU_SOURCE
#include "host/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"

static void *wait_loop(void *arg)
{
    struct dsmr_signals *signals = arg;
    for (;;) {
        struct pollfd fds[2] = {{.fd = signals->signal_fd, .events = POLLIN},
                                {.fd = signals->stop_fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0) {
            DSMR_ASSERT(errno == EINTR);
            continue;
        }
        if (fds[1].revents != 0)
            return NULL;
        struct signalfd_siginfo info;
        if (read(signals->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            signals->on_signal(signals->ctx, (int)info.ssi_signo);
    }
}

enum dsmr_err dsmr_signals_init(struct dsmr_signals *signals,
                                void (*on_signal)(void *ctx, int number), void *ctx)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signals->on_signal = on_signal;
    signals->ctx = ctx;
    signals->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->signal_fd < 0)
        return DSMR_ERR_IO;
    signals->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (signals->stop_fd < 0) {
        close(signals->signal_fd);
        return DSMR_ERR_IO;
    }
    if (pthread_create(&signals->thread, NULL, wait_loop, signals) != 0) {
        close(signals->stop_fd);
        close(signals->signal_fd);
        return DSMR_ERR_NO_MEMORY;
    }
    pthread_setname_np(signals->thread, "dsmr-signals");
    return DSMR_OK;
}

void dsmr_signals_close(struct dsmr_signals *signals)
{
    uint64_t one = 1;
    ssize_t n = write(signals->stop_fd, &one, sizeof(one));
    DSMR_ASSERT(n == (ssize_t)sizeof(one));
    pthread_join(signals->thread, NULL);
    close(signals->stop_fd);
    close(signals->signal_fd);
}
