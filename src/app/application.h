/* application.h - the applications that ship, by the name that genesis gives. */
#ifndef DSMR_APP_APPLICATION_H
#define DSMR_APP_APPLICATION_H

#include "ports/app.h"

/* CONFIG: no such name; NO_MEMORY. Caller frees with out->ops->free(out->self). */
DSMR_MUST_USE enum dsmr_err dsmr_application_new(struct dsmr_app *out, const char *name,
                                                 const struct dsmr_domain *domain);
/* Whether app takes its part of genesis, tried on a state in memory: CONFIG with a sentence in
 * reason, NO_MEMORY. */
#define DSMR_APPLICATION_REASON_BYTES 256u
DSMR_MUST_USE enum dsmr_err dsmr_application_check(const struct dsmr_app *app,
                                                   char reason[DSMR_APPLICATION_REASON_BYTES],
                                                   const char *app_json);
const char *dsmr_application_names(void); /* for messages: "transfers or opaque" */

#endif
