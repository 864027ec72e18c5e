/* application.h - the applications that ship, by the name that genesis gives. */
#ifndef DSMR_APP_APPLICATION_H
#define DSMR_APP_APPLICATION_H

#include "ports/app.h"

/* CONFIG: no such name; NO_MEMORY. Caller frees with out->ops->free(out->self). */
DSMR_MUST_USE enum dsmr_err dsmr_application_new(struct dsmr_app *out, const char *name,
                                                 const struct dsmr_domain *domain);
const char *dsmr_application_names(void); /* for messages: "transfers or opaque" */

#endif
