/* The rest of a bad plugin; see zoo.h. */
static inline rap_result zoo_ok(rap_adapter* a) {
  (void)a;
  return RAP_OK;
}
static inline rap_result zoo_drain(rap_adapter* a, uint64_t deadline_ms) {
  (void)a, (void)deadline_ms;
  return RAP_OK;
}
static inline rap_result zoo_health(rap_adapter* a, rap_health* out) {
  (void)a;
  out->level = RAP_HEALTH_OK;
  return RAP_OK;
}
static inline void zoo_destroy(rap_adapter* a) {
  (void)a;
}

static inline rap_result zoo_open(rap_adapter* a, rap_sink* sink, const rap_session_want* want,
                                  rap_session** out) {
  rap_session* session = (rap_session*)malloc(sizeof *session);
  (void)a, (void)want;
  if (!session) return RAP_E_RESOURCE;
  session->sink = sink;
  *out = session;
  return RAP_OK;
}
static inline rap_result zoo_attach(rap_session* s, const rap_attach* who) {
  (void)who;
  zoo_emit(s->sink, RAP_FRAME_KEY | RAP_FRAME_END, "zoo\r\n", 5);
  return RAP_OK;
}
static inline rap_result zoo_detach(rap_session* s, uint64_t id) {
  (void)s, (void)id;
  return RAP_OK;
}
static inline rap_result zoo_resize(rap_session* s, uint32_t w, uint32_t h, uint32_t dpi) {
  (void)s, (void)w, (void)h, (void)dpi;
  return RAP_OK;
}
static inline rap_result zoo_input(rap_session* s, uint64_t id, const rap_frame* f, uint32_t n) {
  (void)id;
  for (uint32_t i = 0; i < n; ++i) zoo_emit(s->sink, RAP_FRAME_END, f[i].data, f[i].len);
  return RAP_OK;
}
static inline void zoo_close(rap_session* s, rap_result why) {
  (void)why;
  free(s);
}

#ifndef ZOO_START
#define ZOO_START zoo_ok
#endif
#ifndef ZOO_STOP
#define ZOO_STOP zoo_ok
#endif
#ifndef ZOO_OPEN
#define ZOO_OPEN zoo_open
#endif
#ifndef ZOO_ATTACH
#define ZOO_ATTACH zoo_attach
#endif
#ifndef ZOO_INPUT
#define ZOO_INPUT zoo_input
#endif
#ifndef ZOO_CLOSE
#define ZOO_CLOSE zoo_close
#endif
#ifndef ZOO_WARM_UP
#define ZOO_WARM_UP 0
#endif
#ifndef ZOO_MAGIC
#define ZOO_MAGIC RAP_MAGIC
#endif
#ifndef ZOO_MAJOR
#define ZOO_MAJOR RAP_ABI_MAJOR
#endif
#ifndef ZOO_SIZE
#define ZOO_SIZE sizeof(rap_plugin)
#endif
#ifndef ZOO_COUNT
#define ZOO_COUNT 1
#endif
#ifndef ZOO_SCHEMA
#define ZOO_SCHEMA "{\"type\":\"object\"}"
#endif
#ifndef ZOO_DESC_ID
#define ZOO_DESC_ID ZOO_ID
#endif
#ifndef ZOO_ROLES
static const char* const zoo_roles[] = {"zoo-worker", 0};
#define ZOO_ROLES zoo_roles
#endif
#ifndef ZOO_DESC_QUALIFIER
#define ZOO_DESC_QUALIFIER const
#endif

static const rap_adapter_session_1 zoo_session_table = {
    ZOO_OPEN, ZOO_ATTACH, zoo_detach, 0, zoo_resize, ZOO_INPUT, 0, ZOO_CLOSE};
static inline const void* zoo_extension(rap_adapter* a, const char* id) {
  (void)a;
  return strcmp(id, RAP_ADAPTER_SESSION) == 0 ? &zoo_session_table : 0;
}
#ifndef ZOO_EXTENSION
#define ZOO_EXTENSION zoo_extension
#endif

static const char* const zoo_needs[] = {RAP_HOST_SESSION, 0};
static const char* const zoo_wants[] = {RAP_HOST_LOG, RAP_HOST_LOOP, 0};
#ifndef ZOO_PROVIDES
#define ZOO_PROVIDES RAP_ADAPTER_SESSION
#endif
static const char* const zoo_provides[] = {ZOO_PROVIDES, 0};
static ZOO_DESC_QUALIFIER rap_adapter_desc zoo_desc = {sizeof zoo_desc,   RAP_ADAPTER_FORK_SAFE,
                                                       ZOO_DESC_ID,       "Zoo",
                                                       "RAP tests",       "1.0.0",
                                                       ZOO_ROLES,         zoo_needs,
                                                       zoo_wants,         zoo_provides,
                                                       "net.none",        ZOO_SCHEMA,
                                                       RAP_SHARE_SESSION, 0};
static rap_adapter zoo_adapter = {&zoo_desc, 0,          ZOO_START,   zoo_drain,
                                  ZOO_STOP,  zoo_health, zoo_destroy, ZOO_EXTENSION};

static inline rap_result zoo_create(const rap_host* host, const char* id, rap_adapter** out) {
  if (strcmp(id, ZOO_DESC_ID) != 0) return RAP_E_UNSUPPORTED;
  if (!host->get_extension(host, RAP_HOST_SESSION)) return RAP_E_UNSUPPORTED;
  zoo_host = host;
  *out = &zoo_adapter;
  return RAP_OK;
}
#ifndef ZOO_CREATE
#define ZOO_CREATE zoo_create
#endif

static const rap_adapter_desc* const zoo_list[] = {&zoo_desc};
const rap_plugin rap_plugin_v1 = {ZOO_MAGIC, ZOO_MAJOR, 0,           ZOO_SIZE,
                                  ZOO_COUNT, zoo_list,  ZOO_WARM_UP, ZOO_CREATE};
