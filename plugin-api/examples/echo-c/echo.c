/* The echo adapter without any wrapper: what a plugin in C, or in a language that speaks C, looks
 * like. It says "ready" to whoever attaches and answers every byte of input with the same byte,
 * until Ctrl-D ends it. */
#include <rap/ext/session.h>
#include <stdlib.h>

struct echo {
  rap_adapter abi; /* first, so that the host's pointer is ours */
  const rap_host_session_1* session;
  uint32_t sessions;
};

struct rap_session {
  struct echo* owner;
  rap_sink* sink;
};

static struct echo* echo_of(rap_adapter* a) {
  return (struct echo*)a;
}

/* Ctrl-D: what a person types, and rapctl where a pipe ends, to say that there is no more. */
static const char end_of_input = 4;

/* ---- session ---- */
static rap_result echo_open(rap_adapter* a, rap_sink* sink, const rap_session_want* want,
                            rap_session** out) {
  rap_session* s = malloc(sizeof *s);
  (void)want;
  if (!s) return RAP_E_RESOURCE;
  s->owner = echo_of(a);
  s->sink = sink;
  s->owner->sessions++;
  *out = s;
  return RAP_OK;
}

static rap_result echo_send(rap_session* s, uint16_t flags, const void* data, uint64_t len) {
  const rap_frame frame = {RAP_CH_TERMINAL, flags, 0, 0, data, len, {0, 0}};
  return s->owner->session->emit(s->sink, &frame, 1, NULL);
}

static rap_result echo_attach(rap_session* s, const rap_attach* who) {
  (void)who;
  echo_send(s, RAP_FRAME_KEY | RAP_FRAME_END, "ready\r\n", 7);
  return RAP_OK;
}

static rap_result echo_detach(rap_session* s, uint64_t attach_id) {
  (void)s, (void)attach_id;
  return RAP_OK;
}

static rap_result echo_resize(rap_session* s, uint32_t width, uint32_t height, uint32_t dpi) {
  (void)s, (void)width, (void)height, (void)dpi;
  return RAP_OK;
}

/* What does not fit into the host's queue is lost: an echo has nothing to keep it for. */
static rap_result echo_input(rap_session* s, uint64_t attach_id, const rap_frame* frames,
                             uint32_t count) {
  uint32_t i;
  (void)attach_id;
  for (i = 0; i < count; ++i) {
    const char* data = frames[i].data;
    const char* end = frames[i].len ? memchr(data, end_of_input, frames[i].len) : NULL;
    const uint64_t len = end ? (uint64_t)(end - data) : frames[i].len;
    if (len > 0) echo_send(s, RAP_FRAME_END, data, len);
    if (end) {
      const rap_str why = {"end of input", 12};
      s->owner->session->closed(s->sink, RAP_OK, why);
      break;
    }
  }
  return RAP_OK;
}

static void echo_close(rap_session* s, rap_result why) {
  (void)why;
  s->owner->sessions--;
  free(s);
}

/* `takeover` NULL: the host calls detach and attach. `writable` NULL: nothing waits for it. */
static const rap_adapter_session_1 session_table = {
    echo_open, echo_attach, echo_detach, NULL, echo_resize, echo_input, NULL, echo_close};

/* ---- adapter ---- */
static rap_result echo_start(rap_adapter* a) {
  (void)a;
  return RAP_OK;
}

static rap_result echo_drain(rap_adapter* a, uint64_t deadline_ms) {
  (void)a, (void)deadline_ms;
  return RAP_OK;
}

static rap_result echo_stop(rap_adapter* a) {
  (void)a;
  return RAP_OK;
}

static rap_result echo_health(rap_adapter* a, rap_health* out) {
  rap_health now = {0};
  now.size = sizeof now;
  now.level = RAP_HEALTH_OK;
  now.sessions = echo_of(a)->sessions;
  rap_take(out, out->size, &now, now.size);
  return RAP_OK;
}

static void echo_destroy(rap_adapter* a) {
  free(echo_of(a));
}

static const void* echo_extension(rap_adapter* a, const char* id) {
  (void)a;
  return strcmp(id, RAP_ADAPTER_SESSION) == 0 ? &session_table : NULL;
}

/* ---- plugin ---- */
static const char* const roles[] = {"echo-worker", NULL};
static const char* const needs[] = {RAP_HOST_SESSION, NULL};
static const char* const wants[] = {NULL};
static const char* const provides[] = {RAP_ADAPTER_SESSION, NULL};

static const rap_adapter_desc desc = {.size = sizeof desc,
                                      .flags = RAP_ADAPTER_FORK_SAFE,
                                      .id = "rap.echo-c",
                                      .name = "Echo in C",
                                      .vendor = "RAP",
                                      .version = "0.1.0",
                                      .roles = roles,
                                      .needs = needs,
                                      .wants = wants,
                                      .provides = provides,
                                      .profile = "net.none",
                                      .config_schema = "{\"type\":\"object\"}",
                                      .share = RAP_SHARE_SESSION};

static rap_result create(const rap_host* host, const char* id, rap_adapter** out) {
  struct echo* self;
  const rap_host_session_1* session = host->get_extension(host, RAP_HOST_SESSION);
  if (strcmp(id, desc.id) != 0) return host->fail(host, RAP_E_UNSUPPORTED, "no such adapter");
  if (!session) return host->fail(host, RAP_E_UNSUPPORTED, "not granted: " RAP_HOST_SESSION);
  self = malloc(sizeof *self);
  if (!self) return RAP_E_RESOURCE;
  *self = (struct echo){.abi = {.desc = &desc,
                                .start = echo_start,
                                .drain = echo_drain,
                                .stop = echo_stop,
                                .health = echo_health,
                                .destroy = echo_destroy,
                                .get_extension = echo_extension},
                        .session = session};
  *out = &self->abi;
  return RAP_OK;
}

static const rap_adapter_desc* const adapters[] = {&desc};
const rap_plugin rap_plugin_v1 = {.magic = RAP_MAGIC,
                                  .abi_major = RAP_ABI_MAJOR,
                                  .abi_minor = RAP_ABI_MINOR,
                                  .size = sizeof(rap_plugin),
                                  .adapter_count = 1,
                                  .adapters = adapters,
                                  .create = create};
