#include "app/application.h"

#include <string.h>

#include "vm/opaque.h"
#include "vm/transfers.h"

enum dsmr_err dsmr_application_new(struct dsmr_app *out, const char *name,
                                   const struct dsmr_domain *domain)
{
    if (strcmp(name, "opaque") == 0)
        return dsmr_opaque_new(out);
    if (strcmp(name, "transfers") != 0)
        return DSMR_ERR_CONFIG;
    struct dsmr_transfers_config config = {.domain = *domain, .cache_bytes_max = 0};
    return dsmr_transfers_new(out, &config);
}

const char *dsmr_application_names(void)
{
    return "use \"transfers\" or \"opaque\"";
}
