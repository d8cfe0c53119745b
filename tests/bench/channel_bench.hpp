// What the figures of the channel are measured with; devtools/bench_channel.py runs it.
#pragma once

#include <cstdint>
#include <string>

#include "base/net/tls.hpp"
#include "fabric/routing/directory.hpp"

namespace rap::bench {

// Who is who in the small mesh of a run. All but the middle are in the measuring processes.
inline constexpr unsigned kNear = 1;      // asks for bulk streams
inline constexpr unsigned kMiddle = 2;    // is measured
inline constexpr unsigned kTyping = 3;    // asks for streams that echo
inline constexpr unsigned kFar = 4;       // where streams end
inline constexpr unsigned kLeaves = 100;  // the first of those that only hold a connection

// Made once a run and read by every process of it: certificates, also in the form that nginx,
// HAProxy and nghttpx read, and the key of carry leases.
struct Files {
  std::string folder;
  std::string ca() const { return folder + "/ca.pem"; }
  std::string chain() const { return folder + "/host.pem"; }
  std::string key() const { return folder + "/host.key"; }
  std::string both() const { return folder + "/host-and-key.pem"; }
  std::string node(unsigned number) const { return folder + "/node-" + std::to_string(number); }
  std::string lease_key() const { return folder + "/lease.key"; }
};

void make_files(const Files& files, unsigned leaves);
std::string text_of(const std::string& file);  // throws when it cannot be read

// Of localhost, both as client and as server; `alpn` may be empty.
net::TlsClientContext client_context(const Files& files, const std::string& alpn);
net::TlsServerContext server_context(const Files& files, const std::string& alpn);

net::TlsIdentity node_identity(const Files& files, unsigned number);
// Every node there is a certificate of, as `self` gets it.
routing::Directory directory_of(const Files& files, unsigned self, std::uint16_t middle_port,
                                std::uint16_t far_port);
// For bulk and interactive streams to kService.
std::string carry_lease(const Files& files);
Bytes lease_public_key(const Files& files);

extern const std::string kService;
extern const std::string kOrganization;

// The limit: one connection, one direction, blocking OpenSSL, nothing else. Ends with it.
enum class Direction { up, down };
void run_raw_loop(const Files& files, Direction direction, std::uint16_t port,
                  std::uint16_t target);

// What is measured of ours; run until they are killed.
// Streams of nodes into plain sockets: ChannelHub and splice_socket.
void run_end(const Files& files, std::uint16_t port, std::uint16_t target);
// The mesh node, whole, as a relay.
void run_relay(const Files& files, std::uint16_t port, std::uint16_t target);
// What measures, and the far end: channel_bench_load.cpp.
int run_load(const std::string& what, const Files& files, int argc, char** argv);

}  // namespace rap::bench
