#include "base/assert.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

typedef void (*assert_hook)(const char *condition, const char *file, int line);

static _Atomic(assert_hook) the_hook;

void dsmr_assert_set_hook(void (*hook)(const char *condition, const char *file, int line))
{
    atomic_store(&the_hook, hook);
}

_Noreturn void dsmr_assert_fail(const char *condition, const char *file, int line)
{
    /* Taken out first: a hook that asserts again must not come back here for ever. */
    assert_hook hook = atomic_exchange(&the_hook, (assert_hook)NULL);
    if (hook != NULL) {
        hook(condition, file, line);
    }
    abort();
}
