#include "core/requests.h"

#include <stdlib.h>

#include "base/assert.h"

struct slot {
    struct dsmr_request request; /* NONE: free */
    uint32_t uses;
    uint32_t next_free;
};

struct dsmr_requests {
    uint32_t capacity;
    uint32_t count;
    uint32_t used;      /* slots from here on have never held a request: nobody has touched them */
    uint32_t free_head; /* of the others; capacity: none */
    struct slot slots[];
};

struct dsmr_requests *dsmr_requests_new(uint32_t requests_max)
{
    struct dsmr_requests *requests =
        calloc(1, sizeof(*requests) + (size_t)requests_max * sizeof(requests->slots[0]));
    if (requests == NULL) {
        return NULL;
    }
    requests->capacity = requests_max;
    requests->free_head = requests_max;
    return requests;
}

void dsmr_requests_free(struct dsmr_requests *requests)
{
    free(requests);
}

uint64_t dsmr_requests_begin(struct dsmr_requests *requests, const struct dsmr_request *request)
{
    DSMR_ASSERT(request->kind != DSMR_REQUEST_NONE);
    bool is_reused = requests->free_head < requests->capacity;
    if (!is_reused && requests->used == requests->capacity) {
        return 0;
    }
    uint32_t index = is_reused ? requests->free_head : requests->used++;
    struct slot *slot = &requests->slots[index];
    requests->free_head = is_reused ? slot->next_free : requests->capacity;
    requests->count++;
    slot->request = *request;
    slot->uses++;
    return (uint64_t)slot->uses << 32 | (index + 1u);
}

bool dsmr_requests_end(struct dsmr_requests *requests, struct dsmr_request *out, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place == 0 || place > requests->capacity) {
        return false;
    }
    struct slot *slot = &requests->slots[place - 1];
    if (slot->request.kind == DSMR_REQUEST_NONE || slot->uses != (uint32_t)(id >> 32)) {
        return false;
    }
    *out = slot->request;
    slot->request.kind = DSMR_REQUEST_NONE;
    slot->next_free = requests->free_head;
    requests->free_head = place - 1;
    requests->count--;
    return true;
}

bool dsmr_requests_has_room(const struct dsmr_requests *requests, uint32_t count)
{
    return requests->capacity - requests->count >= count;
}

uint32_t dsmr_requests_count(const struct dsmr_requests *requests)
{
    return requests->count;
}
