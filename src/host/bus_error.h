/* bus_error.h - a page of a mapped file that is not there: a sentence and an exit code, no crash.
 *
 * Why:     the databases are mapped into memory. Where the file ends before its own records say so,
 *          or its disk fails, reading it is no error that a call returns but the signal SIGBUS.
 * How:     the handler finds the file by its address in /proc/self/maps, says so on stderr and ends
 *          the process: nothing can go on without that page. What no file explains stays a crash.
 * Threads: any; the handler runs on the one that read. */
#ifndef DSMR_HOST_BUS_ERROR_H
#define DSMR_HOST_BUS_ERROR_H

struct dsmr_bus_error_codes { /* of the process's end */
    int cut;                  /* the page lies behind the end of the file */
    int unreadable;           /* the page is within it */
};

/* name: the program's, before each sentence; static. */
void dsmr_bus_error_catch(const char *name, const struct dsmr_bus_error_codes *codes);

#endif
