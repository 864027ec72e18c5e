/* exit_codes.h - how dsmr and dsmrd end; in the man pages, so that a service manager can tell a
 * node that must not be restarted from one that may. Numbers from 64 on follow sysexits.h. */
#ifndef DSMR_APP_EXIT_CODES_H
#define DSMR_APP_EXIT_CODES_H

enum dsmr_exit {
    DSMR_EXIT_OK = 0,
    DSMR_EXIT_REFUSED = 1,      /* the request was understood and the answer is no */
    DSMR_EXIT_HALTED = 3,       /* halted for safety: do not restart, look at the log */
    DSMR_EXIT_DISK_LOW = 4,     /* no space left: free some, then start again */
    DSMR_EXIT_USAGE = 64,       /* unknown verb or option, bad value */
    DSMR_EXIT_DATA = 65,        /* bad genesis or data, data of a newer version */
    DSMR_EXIT_UNAVAILABLE = 69, /* node, peer or engine not reachable or too late; port in use */
    DSMR_EXIT_INTERNAL = 70,    /* a bug of ours */
    DSMR_EXIT_IO = 74,          /* input/output error */
    DSMR_EXIT_CONFIG = 78       /* configuration is wrong; home is in use, or no home */
};

#endif
