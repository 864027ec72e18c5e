#define _POSIX_C_SOURCE 200809L /* sigaction */
#include "app/cli_stop.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static atomic_int is_asked;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&is_asked, 1);
}

atomic_int *dsmr_cli_stop_catch(void)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(SIGHUP, &action, NULL);
    }
    return &is_asked;
}
