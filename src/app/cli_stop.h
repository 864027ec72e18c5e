/* cli_stop.h - Ctrl-C, SIGTERM and the end of the terminal as a flag.
 *
 * Why:     whoever runs nodes or a load stops them and cleans up first, however it is told to.
 * Threads: the flag is set by a signal handler and read by any thread. */
#ifndef DSMR_APP_CLI_STOP_H
#define DSMR_APP_CLI_STOP_H

#include <stdatomic.h>

/* From now on SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process. SIGHUP stays
 * ignored where it was, as below nohup(1). The flag is the process's: 0 until then. */
atomic_int *dsmr_cli_stop_catch(void);

#endif
