/* plugin.h - one chain of an AvalancheGo node: wires its services, the driver, the application and
 * the API, and owns the loop.
 *
 * Life:    AvalancheGo starts the program, is told where it listens, asks for the version and ends
 *          it again; then once for each chain: Initialize, and all the rest until Shutdown.
 * Manners: nothing is opened before Initialize; SIGTERM and SIGINT are ignored until Shutdown, for
 *          they are meant for AvalancheGo, which then says Shutdown; the program ends when its
 *          parent is gone, and soon after an Initialize that failed: AvalancheGo leaves it then.
 * Threads: the caller's becomes the logic thread. */
#ifndef DSMR_PLUGIN_PLUGIN_H
#define DSMR_PLUGIN_PLUGIN_H

/* engine: address of AvalancheGo's runtime service. Returns an exit code (app/exit_codes.h). */
int dsmr_plugin_run(const char *engine);

#endif
