#include "app/application.h"

#include <stdio.h>
#include <string.h>

#include "store/kv_mem.h"
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

enum dsmr_err dsmr_application_check(const struct dsmr_app *app,
                                     char reason[DSMR_APPLICATION_REASON_BYTES],
                                     const char *app_json)
{
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_id root;
    const char *said = "the application does not take it";
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    if (mem == NULL)
        return DSMR_ERR_NO_MEMORY;
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    enum dsmr_err err = kv.ops->begin(kv.self, &txn, true);
    if (err == DSMR_OK) {
        err = app->ops->genesis(app->self, &root, &said, &kv, txn, app_json, strlen(app_json));
        kv.ops->abort(kv.self, txn);
    }
    dsmr_kv_mem_free(mem);
    /* The place in the text is one in our own copy of it, not in the file. */
    const char *place = strstr(said, " (byte ");
    int len = place != NULL ? (int)(place - said) : (int)strlen(said);
    snprintf(reason, DSMR_APPLICATION_REASON_BYTES, "%.*s", len, said);
    return err;
}

const char *dsmr_application_names(void)
{
    return "use \"transfers\" or \"opaque\"";
}
