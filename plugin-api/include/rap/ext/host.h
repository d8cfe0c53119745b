/* rap/ext/host.h - what a host offers, one table for each extension id.
 *
 * DRAFT of major 1. A published table never changes; its successor is a new table with the id
 * ".../2", offered beside the old one. List an id in the descriptor's needs or wants, or
 * get_extension answers NULL. Whatever these functions have to tell later, they post: none of them
 * calls into the adapter before it returns (T2). Functions tagged RAP_LOOP called on another thread
 * answer RAP_E_STATE where the host notices (T5).
 */
#ifndef RAP_EXT_HOST_H
#define RAP_EXT_HOST_H
#include "../plugin.h"
RAP_C_BEGIN

/* ---- log ---- */
#define RAP_HOST_LOG "rap.host.log/1"
enum { RAP_LOG_DEBUG = 0, RAP_LOG_INFO = 1, RAP_LOG_WARN = 2, RAP_LOG_ERROR = 3 };
typedef struct rap_host_log_1 {
  /* One line. `message` is a constant sentence, `fields` a JSON object or empty; the host adds
   * organization, workload and session itself. Copies both. No secrets (E3). */
  RAP_ANY void (*write)(const rap_host*, uint32_t level, rap_str message, rap_str fields);
} rap_host_log_1;

/* ---- configuration ---- */
#define RAP_HOST_CONFIG "rap.host.config/1"
/* The configuration of this adapter, already checked against its schema. `at` is an RFC 6901 JSON
 * pointer. The getters answer RAP_E_GONE where nothing is there and RAP_E_INVALID where it has
 * another type. */
typedef struct rap_host_config_1 {
  RAP_ANY rap_str (*json)(const rap_host*); /* the whole document; valid until destroy */
  RAP_ANY rap_result (*get_int)(const rap_host*, const char* at, int64_t* out);
  RAP_ANY rap_result (*get_real)(const rap_host*, const char* at, double* out);
  RAP_ANY rap_result (*get_bool)(const rap_host*, const char* at, uint32_t* out); /* 0 or 1 */
  RAP_ANY rap_result (*get_text)(const rap_host*, const char* at, rap_str* out); /* until destroy */
} rap_host_config_1;

/* ---- event loop ---- */
#define RAP_HOST_LOOP "rap.host.loop/1"
enum { RAP_IO_READ = 1, RAP_IO_WRITE = 2, RAP_IO_ERROR = 4 };
typedef RAP_LOOP void (*rap_task_fn)(void* user);
typedef RAP_LOOP void (*rap_io_fn)(void* user, int fd, uint32_t events);
/* `user` must stay alive until the function ran for the last time, or was cancelled. */
typedef struct rap_host_loop_1 {
  /* Runs the task once on the loop thread, in order of posting: the way there from other
   * threads. */
  RAP_ANY rap_result (*post)(const rap_host*, rap_task_fn, void* user);
  /* Runs the task after `first_ms`, then every `every_ms` (0: once only). Milliseconds of the
   * monotonic clock. `*id` is never 0. */
  RAP_LOOP rap_result (*timer)(const rap_host*, uint64_t first_ms, uint64_t every_ms, rap_task_fn,
                               void* user, uint64_t* id);
  /* After it returned the task does not run again. An ended or unknown id is RAP_E_GONE. */
  RAP_LOOP rap_result (*timer_cancel)(const rap_host*, uint64_t id);
  /* Level-triggered readiness of an fd the adapter keeps open. Watching the same fd again replaces
   * events, function and user. RAP_IO_ERROR is always reported. */
  RAP_LOOP rap_result (*watch)(const rap_host*, int fd, uint32_t events, rap_io_fn, void* user);
  /* To be called before the fd is closed; afterwards the function does not run again. */
  RAP_LOOP rap_result (*unwatch)(const rap_host*, int fd);
  /* 1 on the loop thread, 0 on every other. */
  RAP_ANY uint32_t (*on_loop)(const rap_host*);
} rap_host_loop_1;

/* ---- streams ---- */
/* An adapter never connects (P1): it names a target, and the host decides, resolves, routes and
 * connects. */
#define RAP_HOST_STREAM "rap.host.stream/1"
enum { RAP_STREAM_BYTES = 1, RAP_STREAM_PACKETS = 2, RAP_STREAM_TUN = 3 };
typedef struct rap_stream_want {
  uint32_t size, kind; /* kind: RAP_STREAM_* */
  rap_str target;      /* a reference from the session or the configuration; not an address */
  rap_str hint;        /* what the remote peer asked for, such as a redirect; policy decides */
  uint64_t timeout_ms; /* 0: the host's default */
} rap_stream_want;
/* The end of an `open`. With RAP_OK the fd is connected, non-blocking, close-on-exec, pollable and
 * the adapter's from here on (M4); with any failure it is -1. */
typedef RAP_LOOP void (*rap_stream_fn)(void* user, rap_result, int fd);
typedef struct rap_host_stream_1 {
  /* RAP_PENDING, and then exactly one call of the function; or a failure, and no call. */
  RAP_ANY rap_result (*open)(const rap_host*, const rap_stream_want*, rap_stream_fn, void* user,
                             uint64_t* ticket);
  /* Asks to give up; the function still runs, normally with RAP_E_CANCELED. */
  RAP_ANY rap_result (*cancel)(const rap_host*, uint64_t ticket);
} rap_host_stream_1;

/* ---- secrets ---- */
#define RAP_HOST_SECRET "rap.host.secret/1"
/* `value` ends when the function returns, and the host wipes it then. Do not store or log it (P2).
 */
typedef RAP_LOOP void (*rap_secret_fn)(void* user, rap_result, rap_bytes value);
typedef struct rap_host_secret_1 {
  /* RAP_PENDING, and then exactly one call of the function; or a failure, and no call. */
  RAP_ANY rap_result (*resolve)(const rap_host*, rap_str ref, rap_secret_fn, void* user);
} rap_host_secret_1;

/* ---- metrics ---- */
#define RAP_HOST_METRICS "rap.host.metrics/1"
enum { RAP_METRIC_COUNTER = 1, RAP_METRIC_GAUGE = 2, RAP_METRIC_HISTOGRAM = 3 };
typedef struct rap_host_metrics_1 {
  /* Names a metric, at most 64 for each adapter. The host adds the labels that say who and where.
   */
  RAP_LOOP rap_result (*define)(const rap_host*, uint32_t kind, const char* name, const char* unit,
                                const char* help, uint32_t* id);
  /* A counter adds `value`, a gauge becomes it, a histogram counts it. Unknown ids are ignored. */
  RAP_ANY void (*record)(const rap_host*, uint32_t id, double value);
} rap_host_metrics_1;

/* ---- snapshots ---- */
/* What the node was told and an adapter without sessions may know, as documents that change while
 * it runs; what a restart may change belongs into the configuration. A document holds what this
 * role and organization may see and nothing else; the host's documentation lists the names. */
#define RAP_HOST_SNAPSHOT "rap.host.snapshot/1"
/* `json` is the whole document; both are borrowed until the function returns (M2). */
typedef RAP_LOOP void (*rap_snapshot_fn)(void* user, rap_str name, rap_str json);
typedef struct rap_host_snapshot_1 {
  /* Calls the function with the document of that name as soon as the node has it, and again after
   * each change; of changes that come quickly only the last may be seen. Watching the same name
   * again replaces function and user, and calls it again. At most 16 names (RAP_E_RESOURCE). */
  RAP_LOOP rap_result (*watch)(const rap_host*, const char* name, rap_snapshot_fn, void* user);
  /* Afterwards the function does not run again. RAP_E_GONE: the name was not watched. */
  RAP_LOOP rap_result (*unwatch)(const rap_host*, const char* name);
} rap_host_snapshot_1;

/* ---- state directory ---- */
#define RAP_HOST_STATE_DIR "rap.host.state-dir/1"
typedef struct rap_host_state_dir_1 {
  /* A directory for openat(), private to this organization and workload. The fd stays the host's:
   * do not close it. `*quota_bytes` 0: the disk's size is the only limit. Files and directories, no
   * links, devices or sockets, nothing executable. The process may be killed at any moment, so
   * files must survive that (P6). RAP_E_UNSUPPORTED where there is none; session processes have
   * none. */
  RAP_ANY rap_result (*fd)(const rap_host*, int* out, uint64_t* quota_bytes);
} rap_host_state_dir_1;

/* ---- health ---- */
#define RAP_HOST_HEALTH "rap.host.health/1"
typedef struct rap_host_health_1 {
  /* Reports a change without being asked. Copied. */
  RAP_ANY void (*report)(const rap_host*, const rap_health*);
} rap_host_health_1;

RAP_C_END
#endif
