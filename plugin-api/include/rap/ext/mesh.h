/* rap/ext/mesh.h - what the adapters of the mesh have more: the node's identities, streams that
 * they verified for the node, and streams that the node asks them for.
 *
 * DRAFT of major 1. Offered to adapters with the sandbox profile "net.client" only, which a host
 * gives to the roles core-mesh, relay-node and entry-node.
 */
#ifndef RAP_EXT_MESH_H
#define RAP_EXT_MESH_H
#include "session.h"
RAP_C_BEGIN

/* ---- identities ---- */
#define RAP_HOST_IDENTITY "rap.host.identity/1"
enum {
  RAP_IDENTITY_MESH = 1,   /* between nodes; one */
  RAP_IDENTITY_ENTRY = 2,  /* towards people; one, and only of an entry */
  RAP_IDENTITY_SERVICE = 3 /* the inner end of an organization's streams; one for each */
};
/* Both PEM texts are empty when the identity was withdrawn: what uses it comes to its end. */
typedef struct rap_identity {
  uint32_t size, kind;  /* kind: RAP_IDENTITY_* */
  rap_str organization; /* of a service; empty otherwise */
  rap_str service;      /* of a service: its id, as leases name it; empty otherwise */
  rap_str chain_pem; /* the certificate first, then what leads to the cluster CA, which is last */
  rap_str key_pem;   /* PKCS #8; the host wipes this memory when the identity is replaced */
} rap_identity;
/* All is borrowed until the function returns (M2). The key is a secret (P2): a parsed copy in a
 * cryptographic library is what it is for, and no other copy stays. */
typedef RAP_LOOP void (*rap_identity_fn)(void* user, const rap_identity*);
typedef struct rap_host_identity_1 {
  /* Calls the function with each identity of that kind as soon as the node has it, and again after
   * each change: a renewed certificate (with the same key, or the next one), a withdrawal. Streams
   * that are open go on. Watching the same kind again replaces function and user, and calls it
   * again for all. RAP_E_INVALID: no such kind. */
  RAP_LOOP rap_result (*watch)(const rap_host*, uint32_t kind, rap_identity_fn, void* user);
  /* Afterwards the function does not run again. RAP_E_GONE: the kind was not watched. */
  RAP_LOOP rap_result (*unwatch)(const rap_host*, uint32_t kind);
} rap_host_identity_1;

/* ---- what the mesh has for its node ---- */
#define RAP_HOST_MESH "rap.host.mesh/1"
/* A stream of a person whose lease the adapter verified, inside its encryption. */
typedef struct rap_mesh_stream {
  uint32_t size, reserved; /* reserved: 0 */
  rap_str claims_json;     /* the verified claims of the session lease, a JSON object */
  rap_str from;            /* the address the person came from; empty when it is not known */
} rap_mesh_stream;
/* RAP_OK: the stream carries session frames from now on. Otherwise `code` (a short fixed word such
 * as "forbidden") and `detail` are for the person; the host has closed the stream. */
typedef RAP_LOOP void (*rap_mesh_taken_fn)(void* user, rap_result, rap_str code, rap_str detail);
/* What is over: a session, or all of an organization. One of the two is empty. */
typedef struct rap_mesh_drop {
  uint32_t size, reserved;
  rap_str session_id, organization;
} rap_mesh_drop;
typedef RAP_LOOP void (*rap_mesh_drop_fn)(void* user, const rap_mesh_drop*);
typedef struct rap_host_mesh_1 {
  /* Hands a connected stream socket to the node. RAP_PENDING: the fd is the host's (M4), and
   * exactly one call of the function follows, at the latest after 10 s. A failure: the fd stays the
   * adapter's, no call; RAP_E_BUSY: 256 wait already; RAP_E_INVALID: the claims are no JSON object
   * of at most 16 KiB. */
  RAP_LOOP rap_result (*deliver)(const rap_host*, int fd, const rap_mesh_stream*, rap_mesh_taken_fn,
                                 void* user);
  /* Says what the adapter knows of its links, the whole of it: a JSON object of at most 60,000
   * bytes as docs/contracts/mesh-control.md has it. Copied; of reports that come quickly the last
   * counts, and while no agent is there they are lost: say it again every 15 s. RAP_E_INVALID:
   * something else. */
  RAP_ANY rap_result (*report)(const rap_host*, rap_str json);
  /* Calls the function when a session or an organization is over, so that the streams of its people
   * end also where they wait for their next path. Again replaces it; NULL ends it. */
  RAP_LOOP rap_result (*on_drop)(const rap_host*, rap_mesh_drop_fn, void* user);
} rap_host_mesh_1;

/* ---- what the node asks the mesh for ---- */
#define RAP_ADAPTER_MESH "rap.adapter.mesh/1"
/* The end of a dial or open, the host's function. With RAP_OK the fd is a connected stream socket
 * and the host's from here on (M4); with any failure it is -1 and `detail` says why, without
 * addresses (E3). Called once for each call that answered RAP_PENDING, not inside that call (T2),
 * and not after `stop` returned: what is open then is given up by the host. */
typedef RAP_LOOP void (*rap_mesh_fd_fn)(void* user, rap_result, int fd, rap_str detail);
typedef struct rap_mesh_dial {
  uint32_t size, port;
  rap_str host;         /* a name or a numeric address */
  rap_str organization; /* in whose name: limits are shared out by it; empty: the node's own */
  uint64_t timeout_ms;
} rap_mesh_dial;
enum { RAP_MESH_INTERACTIVE = 1, RAP_MESH_BULK = 2 };
typedef struct rap_mesh_open {
  uint32_t size, channel_class; /* RAP_MESH_* */
  rap_str target;               /* what a directory knows: a node, a service, an egress pool */
  rap_str organization;         /* whose stream it is; empty: the node's own */
  uint64_t timeout_ms;
} rap_mesh_open;
typedef struct rap_adapter_mesh_1 {
  /* A TCP connection from this node. RAP_PENDING, and then exactly one call of the function; or a
   * failure, and no call; RAP_E_BUSY: too many are being made. */
  RAP_LOOP rap_result (*dial)(rap_adapter*, const rap_mesh_dial*, rap_mesh_fd_fn, void* user);
  /* A stream across the mesh. Answers as dial. */
  RAP_LOOP rap_result (*open)(rap_adapter*, const rap_mesh_open*, rap_mesh_fd_fn, void* user);
} rap_adapter_mesh_1;

RAP_C_END
#endif
