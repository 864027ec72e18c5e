#include "store/store_cause.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES_MAX 400u

void dsmr_store_cause_init(struct dsmr_store_cause *cause)
{
    (void)pthread_mutex_init(&cause->mutex, NULL);
    cause->text[0] = 0;
    cause->give_up = NULL;
}

void dsmr_store_cause_close(struct dsmr_store_cause *cause)
{
    (void)pthread_mutex_destroy(&cause->mutex);
}

void dsmr_store_cause_set(struct dsmr_store_cause *cause, const char *path, const char *what)
{
    size_t len = strlen(path);

    if (cause == NULL) {
        return;
    }
    path += len > PATH_BYTES_MAX ? len - PATH_BYTES_MAX : 0;
    (void)pthread_mutex_lock(&cause->mutex);
    (void)snprintf(cause->text, sizeof cause->text, "%s: %s", path, what);
    (void)pthread_mutex_unlock(&cause->mutex);
}

void dsmr_store_cause_get(struct dsmr_store_cause *cause, char *text, size_t size)
{
    (void)pthread_mutex_lock(&cause->mutex);
    (void)snprintf(text, size, "%s", cause->text);
    (void)pthread_mutex_unlock(&cause->mutex);
}
