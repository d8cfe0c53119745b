#include "signing/verify/trusted_store.hpp"

#include "base/file.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::tuf {

std::filesystem::path TrustedStore::file_of(std::string_view role) const {
  return directory_ / (encode_file_name(role) + ".json");
}

Result<Bytes> TrustedStore::read(std::string_view role, std::size_t limit) const {
  return read_file(file_of(role), limit);
}

Status TrustedStore::write(std::string_view role, ByteView bytes) const {
  return write_file_atomic(file_of(role), bytes);
}

Status TrustedStore::write_root(std::int64_t version, ByteView bytes) const {
  const std::filesystem::path history = directory_ / "root_history";
  std::error_code ec;
  std::filesystem::create_directories(history, ec);
  if (ec) return fail(Errc::internal, history.string() + ": " + ec.message());
  const std::string name = std::to_string(version) + ".root.json";
  if (auto status = write_file_atomic(history / name, bytes); !status) return status;
  return write("root", bytes);
}

}  // namespace rap::tuf
