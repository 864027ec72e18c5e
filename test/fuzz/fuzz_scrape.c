/* Any text as the answer of /metrics: read twice the same, or refused; the text stays as it is. */
#include <stdlib.h>
#include <string.h>

#include "app/cli_scrape.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_cli_sample first, again;
    char *text = calloc(len + 1, 1);
    char *before = calloc(len + 1, 1);
    if (text == NULL || before == NULL) {
        abort();
    }
    memset(&first, 0, sizeof(first));
    memset(&again, 0, sizeof(again));
    if (len > 0) {
        memcpy(text, bytes, len);
        memcpy(before, bytes, len);
    }
    enum dsmr_err err = dsmr_cli_scrape_parse(&first, text);
    if ((err != DSMR_OK && err != DSMR_ERR_MALFORMED) || memcmp(text, before, len + 1) != 0 ||
        (err == DSMR_OK && strstr(text, "dsmr_") == NULL) ||
        dsmr_cli_scrape_parse(&again, text) != err ||
        memcmp(first.metrics, again.metrics, sizeof(first.metrics)) != 0 ||
        memcmp(first.times, again.times, sizeof(first.times)) != 0 ||
        first.errors_total != again.errors_total) {
        abort();
    }
    free(text);
    free(before);
    return 0;
}
