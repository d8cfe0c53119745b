/* rap/ext/session.h - sessions with a remote system, which outlive the people who look at them.
 *
 * DRAFT of major 1. The host keeps the queue, the numbering and the audience; the adapter keeps the
 * remote session. Losing the audience is not an event for the remote session (S1).
 */
#ifndef RAP_EXT_SESSION_H
#define RAP_EXT_SESSION_H
#include "host.h"
RAP_C_BEGIN

typedef struct rap_session rap_session; /* the adapter's; from `open` until `close` returns (M3) */
typedef struct rap_sink rap_sink;       /* the host's; one for each session, same lifetime */

/* Channels of a session. From RAP_CH_VENDOR upwards an adapter and its clients agree by themselves.
 */
enum {
  RAP_CH_CONTROL = 0,
  RAP_CH_DISPLAY = 1,
  RAP_CH_INPUT = 2,
  RAP_CH_CURSOR = 3,
  RAP_CH_CLIPBOARD = 4,
  RAP_CH_AUDIO_OUT = 5,
  RAP_CH_AUDIO_IN = 6,
  RAP_CH_FILE = 7,
  RAP_CH_TERMINAL = 8,
  RAP_CH_VENDOR = 0x8000
};

/* DROPPABLE: may be lost when the queue is full. KEY: needs no earlier frame to be understood. END:
 * the last piece of one update. Unknown bits are ignored (M6). */
enum { RAP_FRAME_DROPPABLE = 1, RAP_FRAME_KEY = 2, RAP_FRAME_END = 4 };

/* One frame in either direction. Travels in arrays and is therefore frozen, without `size`. */
typedef struct rap_frame {
  uint16_t channel, flags; /* RAP_CH_*, RAP_FRAME_* */
  uint32_t encoding;       /* a number of the encoding registry; 0: opaque bytes */
  uint64_t time_us;        /* CLOCK_MONOTONIC in microseconds; 0: unknown */
  const void* data;        /* borrowed until the call returns (M2) */
  uint64_t len;            /* bytes, at most 1 MiB */
  uint32_t arg[2];         /* by encoding, for example x | y << 16 and w | h << 16 */
} rap_frame;

typedef struct rap_emit {
  uint32_t size;
  uint32_t accepted, dropped; /* frames of this call */
  uint32_t queue_free;        /* frames that would fit now */
  uint64_t first_seq;         /* number of the first accepted frame; the host counts */
} rap_emit;

#define RAP_HOST_SESSION "rap.host.session/1"
typedef struct rap_host_session_1 {
  /* Sends frames to whoever is attached; copies them. A full queue drops droppable frames; the
   * first other frame that does not fit ends the batch with RAP_E_BUSY, frames before it are
   * accepted, and `writable` follows. With nobody attached everything is dropped and the answer is
   * RAP_OK. The last parameter may be NULL. */
  RAP_ANY rap_result (*emit)(rap_sink*, const rap_frame*, uint32_t count, rap_emit*);
  /* Ends an `open` that answered RAP_PENDING: RAP_OK, or the reason why there will be no session.
   * After a failure the host still calls `close`. */
  RAP_ANY void (*opened)(rap_sink*, rap_result, rap_str detail);
  /* The remote end is gone. The host answers with `close`. */
  RAP_ANY void (*closed)(rap_sink*, rap_result, rap_str detail);
} rap_host_session_1;

typedef struct rap_session_want {
  uint32_t size, reserved;
  rap_str session_id;     /* opaque; stays the same over detach and takeover (S3) */
  rap_str target;         /* for rap.host.stream */
  rap_str secret_ref;     /* for rap.host.secret; may be empty */
  rap_str options_json;   /* checked against the "session" part of the schema */
  uint32_t width, height; /* pixels, or columns and rows of a terminal */
  uint32_t dpi, reserved2;
} rap_session_want;

enum { RAP_ATTACH_CONTROL = 1, RAP_ATTACH_VIEW = 2 };
typedef struct rap_attach {
  uint32_t size, mode; /* mode: RAP_ATTACH_* */
  uint64_t attach_id;  /* unique in the session */
  uint32_t width, height, dpi, reserved;
  const uint32_t* encodings; /* what the client decodes, best first; 0 ends the list */
} rap_attach;

/*   open -> OPENING -> DETACHED <-> ATTACHED;   close from each of them -> CLOSED
 *
 * While ATTACHED: attach (one more person), takeover, resize, input. The last detach leads back to
 * DETACHED. Nothing but close ends the remote session (S1). */
#define RAP_ADAPTER_SESSION "rap.adapter.session/1"
typedef struct rap_adapter_session_1 {
  /* Begins a remote session; needs nobody attached (S1). RAP_OK: it is there. RAP_PENDING: `opened`
   * will say. Both write `*out`; a failure does not, and the sink ends (E2). */
  RAP_LOOP rap_result (*open)(rap_adapter*, rap_sink*, const rap_session_want*, rap_session** out);
  /* Somebody looks. The next display or terminal frame is a KEY frame (S2). */
  RAP_LOOP rap_result (*attach)(rap_session*, const rap_attach*);
  RAP_LOOP rap_result (*detach)(rap_session*, uint64_t attach_id);
  /* Control moves to another person without a reconnect (S3); a KEY frame follows (S2). May be
   * NULL: then the host calls detach(old) and attach(fresh) with nothing between. */
  RAP_LOOP rap_result (*takeover)(rap_session*, uint64_t old_id, const rap_attach* fresh);
  RAP_LOOP rap_result (*resize)(rap_session*, uint32_t width, uint32_t height, uint32_t dpi);
  /* What people type and click; the host has checked that they may (S4). All or nothing: with
   * RAP_E_BUSY no frame was taken and the host offers the same ones again. */
  RAP_LOOP rap_result (*input)(rap_session*, uint64_t attach_id, const rap_frame*, uint32_t count);
  /* The queue has room again after RAP_E_BUSY. May be NULL. */
  RAP_LOOP void (*writable)(rap_session*);
  /* Ends the remote session and the handle; the sink must not be used afterwards (M3). */
  RAP_LOOP void (*close)(rap_session*, rap_result why);
} rap_adapter_session_1;

/* Streams that others open towards the adapter: relay, update cache, internal web application. */
#define RAP_ADAPTER_ACCEPT "rap.adapter.accept/1"
typedef struct rap_incoming {
  uint32_t size, kind; /* kind: RAP_STREAM_* */
  rap_str service;     /* the name under which the host published the adapter */
  rap_str peer;        /* opaque; authenticated and authorized already. Empty: it came in on a
                          socket the host listens on for the adapter, and nobody vouches for it */
} rap_incoming;
typedef struct rap_adapter_accept_1 {
  /* The fd is connected, non-blocking and close-on-exec. With RAP_OK it is the adapter's, with any
   * other answer it stays the host's (M4), which closes it; after RAP_E_BUSY the host waits a
   * moment before it accepts more. */
  RAP_LOOP rap_result (*accept)(rap_adapter*, int fd, const rap_incoming*);
} rap_adapter_accept_1;

RAP_C_END
#endif
