// A fetcher that reads a repository from a local directory.
#pragma once

#include <filesystem>
#include <string>

#include "signing/verify/fetcher.hpp"

namespace rap::tuf {

// For the machine that holds the repository, and for signed copies carried to a site without
// network. `base` + "x/y" is `directory`/x/y, percent-decoded; a URL that does not start with
// `base` or would leave the directory is `not_found`.
class DirectoryFetcher final : public Fetcher {
 public:
  DirectoryFetcher(std::string base, std::filesystem::path directory);

  Result<Bytes> fetch(const std::string& url, std::size_t max_bytes) override;
  Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) override;

 private:
  Result<std::filesystem::path> file_of(const std::string& url) const;

  std::string base_;
  std::filesystem::path directory_;
};

}  // namespace rap::tuf
