/* Sizes and places a compiler must agree on, as a second opinion next to the golden ABI. */
#include <rap/ext/mesh.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define PLACE(type, member, at) _Static_assert(offsetof(type, member) == (at), #type "." #member)

SIZE(rap_str, 16);
SIZE(rap_bytes, 16);
SIZE(rap_plugin, 40);
SIZE(rap_adapter_desc, 96);
SIZE(struct rap_host, 48);
SIZE(struct rap_adapter, 64);
SIZE(rap_health, 144);
SIZE(rap_host_log_1, 8);
SIZE(rap_host_config_1, 40);
SIZE(rap_host_loop_1, 48);
SIZE(rap_stream_want, 48);
SIZE(rap_host_stream_1, 16);
SIZE(rap_host_secret_1, 8);
SIZE(rap_host_metrics_1, 16);
SIZE(rap_host_state_dir_1, 8);
SIZE(rap_host_health_1, 8);
SIZE(rap_frame, 40);
SIZE(rap_emit, 24);
SIZE(rap_host_session_1, 24);
SIZE(rap_session_want, 88);
SIZE(rap_attach, 40);
SIZE(rap_adapter_session_1, 64);
SIZE(rap_incoming, 40);
SIZE(rap_adapter_accept_1, 8);
SIZE(rap_identity, 72);
SIZE(rap_host_identity_1, 16);
SIZE(rap_mesh_stream, 40);
SIZE(rap_mesh_drop, 40);
SIZE(rap_host_mesh_1, 24);
SIZE(rap_mesh_dial, 48);
SIZE(rap_mesh_open, 48);
SIZE(rap_adapter_mesh_1, 16);

PLACE(rap_plugin, size, 8);
PLACE(rap_plugin, adapters, 16);
PLACE(rap_adapter_desc, id, 8);
PLACE(rap_adapter_desc, share, 88);
PLACE(rap_frame, data, 16);
PLACE(rap_frame, arg, 32);
PLACE(rap_attach, encodings, 32);
PLACE(rap_session_want, width, 72);
