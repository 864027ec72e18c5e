/* assert.h - assertions that stay on in release.
 *
 * An assertion states what our own code guarantees. Bytes from a peer, the disk or a client never
 * reach one: they are checked and answered with an error. */
#ifndef DSMR_BASE_ASSERT_H
#define DSMR_BASE_ASSERT_H

/* Prints nothing: the file and line are in the core dump. Never returns. */
_Noreturn void dsmr_assert_fail(const char *condition, const char *file, int line);
/* What dsmr_assert_fail calls before abort; for a host that can log. NULL removes it. */
void dsmr_assert_set_hook(void (*hook)(const char *condition, const char *file, int line));

#define DSMR_ASSERT(a) ((a) ? (void)0 : dsmr_assert_fail(#a, __FILE__, __LINE__))
#ifdef DSMR_DEBUG_CHECKS
#define DSMR_DCHECK(a) DSMR_ASSERT(a)
#else
#define DSMR_DCHECK(a) ((void)0)
#endif
#define DSMR_UNREACHABLE() dsmr_assert_fail("unreachable", __FILE__, __LINE__)

#endif
