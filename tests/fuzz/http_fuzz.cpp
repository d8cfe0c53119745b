// HTTP messages and the small texts around them. The first byte says how the rest is cut into
// pieces.
#include "base/net/http_client.hpp"
#include "base/net/http_wire.hpp"
#include "base/net/tcp.hpp"

namespace {

using namespace rap;

template <typename Parser>
void feed(Parser& parser, ByteView bytes, std::size_t piece) {
  Bytes input;
  while (!bytes.empty() && !parser.done()) {
    const ByteView part = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(part.size());
    input.insert(input.end(), part.begin(), part.end());
    const auto used = parser.put(input);
    if (!used) return;
    if (*used > input.size()) __builtin_trap();
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(*used));
  }
  if (parser.done()) parser.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] + std::size_t{1};
  const ByteView bytes(data + 1, size - 1);
  net::RequestParser request(4096, 1024);
  feed(request, bytes, piece);

  net::ResponseParserOptions options;
  options.body_bytes_max = 1024;
  std::size_t seen = 0;
  options.sink = [&](ByteView got) { seen += got.size(); };
  if (data[0] % 2 == 1) options.exact_length = 5;
  net::ResponseParser response(options);
  feed(response, bytes, piece);
  if (!response.done()) {
    const Status ignored = response.put_end();
    (void)ignored;
  }
  if (seen > 1024 || (options.exact_length && seen > 5)) __builtin_trap();

  const std::string_view text = as_text(bytes);
  const auto address = net::parse_host_port(text);
  if (address) {
    const auto again = net::parse_host_port(address->text());
    if (!again || !(*again == *address)) __builtin_trap();
  }
  (void)net::parse_url(text);
  net::HttpRequest query;
  query.target = std::string(text);
  (void)query.query_parameter("a");
  const auto decoded = net::percent_decode(text);
  if (decoded && net::percent_decode(net::percent_encode(*decoded)) != decoded) __builtin_trap();
  return 0;
}
