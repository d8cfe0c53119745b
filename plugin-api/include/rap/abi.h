/* rap/abi.h - the conventions every other header of the plugin ABI stands on.
 *
 * DRAFT of major 1: until a release freezes it, any table may still change, and then its id gets
 * the next "/N". Plain C11, or C++11 and later, on LP64 ELF systems. Nothing has to be linked.
 *
 * The rules carry numbers (T threads, M memory, E errors, S sessions, P process);
 * docs/plugin-guide.md lists them and rap-plugin-check cites them.
 */
#ifndef RAP_ABI_H
#define RAP_ABI_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define RAP_C_BEGIN extern "C" {
#define RAP_C_END }
#else
#define RAP_C_BEGIN
#define RAP_C_END
#endif

/* On the definition of the one exported symbol (P4). */
#define RAP_EXPORT __attribute__((visibility("default")))

/* Thread tags. Each function and function type of the ABI carries exactly one. They are empty for a
 * compiler; the golden ABI dump spells them out, so moving a function to another thread is an ABI
 * change.
 *
 * RAP_LOOP: on the loop thread only. That is one OS thread, the same one for the life of the
 * process, and its calls never overlap (T1). Return within 50 ms; after 5 s, not counting time in
 * which it waited for a core, the process counts as hung and is killed (T3).
 *
 * RAP_ANY: on any thread, concurrently. Does not wait for the network.
 *
 * RAP_WARMUP: once, before the sandbox closes, while the process has a single thread (T4). */
#ifndef RAP_LOOP
#define RAP_LOOP
#define RAP_ANY
#define RAP_WARMUP
#endif

#define RAP_MAGIC 0x31504152u /* reads "RAP1" in memory */
#define RAP_ABI_MAJOR 1u      /* host and plugin must agree on it */
#define RAP_ABI_MINOR 0u      /* for people and logs; no host refuses a plugin because of it */

/* What a call answers: zero is done, above zero is done with a remark, below zero is not done. The
 * list is closed and a value is never given a second meaning. A failing call leaves its out
 * parameters untouched (E2). */
typedef int32_t rap_result;
enum {
  RAP_OK = 0,
  RAP_PENDING = 1,        /* begun; a completion call reports the end */
  RAP_PARTIAL = 2,        /* a part was done; the out parameter says which */
  RAP_E_INVALID = -1,     /* an argument breaks the contract */
  RAP_E_STATE = -2,       /* not now: the object is in another state */
  RAP_E_UNSUPPORTED = -3, /* not offered by this side */
  RAP_E_CONFIG = -4,      /* the configuration is wrong; the text names the JSON pointer */
  RAP_E_DENIED = -5,      /* policy says no */
  RAP_E_AUTH = -6,        /* the target did not accept the credentials */
  RAP_E_UNREACHABLE = -7, /* no way to the target */
  RAP_E_TIMEOUT = -8,     /* not in time */
  RAP_E_BUSY = -9,        /* full for now; `writable`, or another offer, follows */
  RAP_E_GONE = -10,       /* closed by the peer, or never was */
  RAP_E_PROTOCOL = -11,   /* the remote peer does not speak its protocol correctly */
  RAP_E_RESOURCE = -12,   /* out of memory, file descriptors or quota */
  RAP_E_CANCELED = -13,   /* ended by a cancel call */
  RAP_E_INTERNAL = -14    /* a bug on the side that answers */
};

/* A view of text (UTF-8, no NUL needed) or bytes, lengths in bytes. Borrowed: it ends when the call
 * returns, unless the function that hands it out promises more (M1, M2). */
typedef struct rap_str {
  const char* ptr;
  uint64_t len;
} rap_str;
typedef struct rap_bytes {
  const void* ptr;
  uint64_t len;
} rap_bytes;

/* How structs that begin with `uint32_t size` are read (M5): copies the members both sides know,
 * clears the others, and leaves the reader's own size in the copy. `dst_size` is at least 4;
 * `src_size` is the writer's size member. Neither buffer overlaps the other. Any thread. */
static inline void rap_take(void* dst, uint32_t dst_size, const void* src, uint32_t src_size) {
  uint32_t common = dst_size < src_size ? dst_size : src_size;
  memset(dst, 0, dst_size);
  memcpy(dst, src, common);
  memcpy(dst, &dst_size, sizeof dst_size);
}
#endif
