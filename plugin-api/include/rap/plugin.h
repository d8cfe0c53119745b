/* rap/plugin.h - the symbol a plugin exports, and the adapters it makes.
 *
 * DRAFT of major 1. Tables of functions never change: a different table has a different id. Structs
 * that begin with `size` may grow at the end; a field the other side did not know reads as zero
 * (M5).
 */
#ifndef RAP_PLUGIN_H
#define RAP_PLUGIN_H
#include "abi.h"
RAP_C_BEGIN

typedef struct rap_host rap_host;
typedef struct rap_adapter rap_adapter;

/* rap_adapter_desc.share: the most sharing the adapter stands. A host may always isolate more. */
enum {
  RAP_SHARE_WORKLOAD = 1, /* the sessions of one workload of one organization share a process */
  RAP_SHARE_SESSION = 2   /* every session has a process of its own */
};

/* rap_adapter_desc.flags. Unknown bits are ignored (M6). */
enum {
  RAP_ADAPTER_FORK_SAFE = 1 /* may be mapped and warmed up in a process that forks afterwards: keeps
                               no thread, fd, timer or randomness from before `create` */
};

/* What an adapter is. Constant data of the library (M2); all text is UTF-8 and ends with NUL; every
 * list ends with a NULL pointer and is never NULL itself. The signed manifest says the same and the
 * host refuses a plugin where the two differ. Nothing outside `needs` and `wants` is ever granted.
 */
typedef struct rap_adapter_desc {
  uint32_t size;               /* sizeof(rap_adapter_desc) when the plugin was built */
  uint32_t flags;              /* RAP_ADAPTER_* */
  const char* id;              /* "com.example.echo": [a-z0-9.-], 1 to 64 bytes */
  const char* name;            /* for people */
  const char* vendor;          /* for people */
  const char* version;         /* semantic version */
  const char* const* roles;    /* node roles it can fill, such as "ssh-worker" */
  const char* const* needs;    /* host extensions without which it does not start */
  const char* const* wants;    /* host extensions it can do without */
  const char* const* provides; /* adapter extensions it answers to */
  const char* profile;         /* sandbox: "net.none", "net.client" or "net.tun" */
  const char* config_schema;   /* JSON Schema 2020-12 of its configuration */
  uint32_t share;              /* RAP_SHARE_* */
  uint32_t reserved;           /* 0 */
} rap_adapter_desc;

/* The host as an adapter sees it. Owned by the host, valid from `create` until `destroy` returns.
 */
struct rap_host {
  uint32_t abi_major, abi_minor;
  void* host_data;            /* the host's own; hands off */
  const char *name, *version; /* for logs */

  /* The table behind an extension id, or NULL for an id that is unknown or was not granted. Ask as
   * often as you like: the answer does not change while the process lives (P5). */
  RAP_ANY const void* (*get_extension)(const rap_host*, const char* id);

  /* Attaches text for people to the call in progress and answers `code`, so that a failing function
   * can end with `return host->fail(host, code, "why")`. No secrets, no topology (E3). At most 512
   * bytes of `text` are kept. */
  RAP_LOOP rap_result (*fail)(const rap_host*, rap_result code, const char* text);
};

enum { RAP_HEALTH_OK = 0, RAP_HEALTH_DEGRADED = 1, RAP_HEALTH_FAILED = 2 };
typedef struct rap_health {
  uint32_t size, level;       /* level: RAP_HEALTH_* */
  uint32_t sessions, streams; /* how many are open now */
  char note[128];             /* ends with NUL; no secrets, no addresses (E3) */
} rap_health;

/* One adapter. Made by `create`, owned by the plugin, given back through `destroy` (M3).
 *
 *   create -> CREATED -start-> RUNNING -drain-> DRAINING -stop-> STOPPED -> destroy
 *
 * stop and destroy are legal in each of these states and stop may come twice (P6). */
struct rap_adapter {
  const rap_adapter_desc* desc; /* one of rap_plugin.adapters */
  void* adapter_data;           /* the adapter's own; the host does not touch it */

  /* Begins work. RAP_E_CONFIG, RAP_E_UNSUPPORTED or any other failure leaves it CREATED. */
  RAP_LOOP rap_result (*start)(rap_adapter*);
  /* Announces the end: no `open` or `accept` follows, what is open goes on. `deadline_ms` is how
   * long the host will wait before `stop`, in milliseconds from now. */
  RAP_LOOP rap_result (*drain)(rap_adapter*, uint64_t deadline_ms);
  /* Ends work: when it returns the adapter's own threads are joined (T4), and no host function is
   * called any more. */
  RAP_LOOP rap_result (*stop)(rap_adapter*);
  /* Fills a struct whose `size` the host has set; writes no byte past that size. */
  RAP_LOOP rap_result (*health)(rap_adapter*, rap_health*);
  /* Frees it. No pointer to it is used afterwards by either side. */
  RAP_LOOP void (*destroy)(rap_adapter*);
  /* The table behind an adapter extension id, or NULL for every id it does not provide (P5). */
  RAP_ANY const void* (*get_extension)(rap_adapter*, const char* id);
};

/* What the library exports: constant data, so reading it runs no code. The symbol's name holds the
 * major version, and a library may export several majors next to each other. */
typedef struct rap_plugin {
  uint32_t magic;                          /* RAP_MAGIC */
  uint16_t abi_major, abi_minor;           /* RAP_ABI_MAJOR, RAP_ABI_MINOR when built */
  uint32_t size;                           /* sizeof(rap_plugin) when built */
  uint32_t adapter_count;                  /* 1 to 16 */
  const rap_adapter_desc* const* adapters; /* adapter_count pointers */

  /* May be NULL. The place to load what would otherwise be loaded late (codecs, crypto providers,
   * locale data), because later no new code can be mapped. Starts no thread, opens no socket (T4).
   */
  RAP_WARMUP rap_result (*warm_up)(void);
  /* Makes the adapter whose descriptor has exactly this id, byte for byte; any other id is
   * RAP_E_UNSUPPORTED. The host may be used inside. `*out` is written only with RAP_OK (E2). */
  RAP_LOOP rap_result (*create)(const rap_host*, const char* id, rap_adapter** out);
} rap_plugin;

#define RAP_PLUGIN_SYMBOL "rap_plugin_v1"
extern RAP_EXPORT const rap_plugin rap_plugin_v1;

RAP_C_END
#endif
