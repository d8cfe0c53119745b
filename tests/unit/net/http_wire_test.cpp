#include "base/net/http_wire.hpp"

#include <gtest/gtest.h>

namespace rap::net {
namespace {

// Feeds `text` in pieces as a connection would; the parsed request, or the error.
Result<HttpRequest> parse(std::string_view text, std::size_t piece = 1 << 20) {
  RequestParser parser(32 * 1024, 1024);
  Bytes input;
  std::size_t at = 0;
  for (;;) {
    if (at >= text.size()) return fail(Errc::unavailable, "more wanted");
    const auto part = text.substr(at, piece);
    at += part.size();
    input.insert(input.end(), part.begin(), part.end());
    auto used = parser.put(input);
    if (!used) return fail(used.error());
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(*used));
    if (parser.done()) return parser.take();
  }
}

TEST(RequestParser, ReadsOneMessageWhateverThePieces) {
  const std::string_view text =
      "POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Y: z\r\n\r\nhello";
  for (const std::size_t piece : {1u, 2u, 7u, 64u, 4096u}) {
    const auto request = parse(text, piece);
    ASSERT_TRUE(request) << piece << " " << request.error().text();
    EXPECT_EQ(request->method, "POST");
    EXPECT_EQ(request->path(), "/v1/x");
    EXPECT_EQ(request->query_parameter("a"), "1");
    EXPECT_EQ(request->headers.find("x-y"), "z");
    EXPECT_EQ(request->body, "hello");
  }
  const auto chunked = parse(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n"
      "0\r\n\r\n",
      3);
  ASSERT_TRUE(chunked) << chunked.error().text();
  EXPECT_EQ(chunked->body, "abcde");
}

TEST(RequestParser, RefusesWhatTwoParsersCouldReadDifferently) {
  const std::string_view malformed[] = {
      "\x16\x03\x01\x02\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",  // no Host
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",  // absolute form
      "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
      "3\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
      "chunked\r\n\r\n"
      "0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "11111111111111111111\r\n",
  };
  for (const auto text : malformed) {
    for (const std::size_t piece : {1u, 1u << 20}) {
      const auto request = parse(text, piece);
      ASSERT_FALSE(request) << text;
      EXPECT_NE(request.error().code, Errc::unavailable) << text;
    }
  }
}

TEST(RequestParser, EnforcesLimits) {
  const std::string head = "GET / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(parse(head + "X: " + std::string(40'000, 'a') + "\r\n\r\n").error().code,
            Errc::too_large);
  std::string many = head;
  for (int i = 0; i < 10'000; ++i) many += "A: b\r\n";
  EXPECT_EQ(parse(many + "\r\n", 1000).error().code, Errc::too_large);
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n").error().code,
            Errc::too_large);
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n500\r\n" +
                  std::string(1280, 'x') + "\r\n0\r\n\r\n")
                .error()
                .code,
            Errc::too_large);
  EXPECT_EQ(parse("GET /" + std::string(40'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n").error().code,
            Errc::too_large);
}

Result<HttpResponse> parse_response(std::string_view text, ResponseParserOptions options,
                                    bool ends = true) {
  ResponseParser parser(std::move(options));
  Bytes input = to_bytes(text);
  for (;;) {
    auto used = parser.put(input);
    if (!used) return fail(used.error());
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(*used));
    if (parser.done() || *used == 0 || input.empty()) break;
  }
  if (!parser.done()) {
    if (!ends) return fail(Errc::cancelled, "more wanted");
    const Status end = parser.put_end();
    if (!end) return fail(end.error());
  }
  return parser.take();
}

TEST(ResponseParser, ReadsTheForms) {
  EXPECT_EQ(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", {}, false)->body,
            "ok");
  EXPECT_EQ(parse_response("HTTP/1.1 204 No\r\n\r\n", {}, false)->status, 204u);
  EXPECT_EQ(parse_response("HTTP/1.1 200 OK\r\n\r\nuntil the end", {})->body, "until the end");
  EXPECT_EQ(
      parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", {},
                     false)
          ->body,
      "a");
  ResponseParserOptions head;
  head.head_request = true;
  EXPECT_EQ(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", head, false)->body, "");
  // A redirect is an answer like any other.
  EXPECT_EQ(
      parse_response("HTTP/1.1 302 Found\r\nLocation: https://evil/\r\nContent-Length: 0\r\n\r\n",
                     {}, false)
          ->status,
      302u);
}

TEST(ResponseParser, RefusesLiesAboutLength) {
  const std::string_view cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort";
  EXPECT_EQ(parse_response(cut, {}).error().code, Errc::unavailable);
  EXPECT_EQ(parse_response("HTTP/1.1 200", {}).error().code, Errc::unavailable);
  EXPECT_EQ(parse_response("SSH-2.0-x\r\n", {}).error().code, Errc::malformed);
  EXPECT_EQ(
      parse_response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", {})
          .error()
          .code,
      Errc::malformed);
  ResponseParserOptions small;
  small.body_bytes_max = 4;
  EXPECT_EQ(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", small).error().code,
            Errc::too_large);
  EXPECT_EQ(parse_response("HTTP/1.1 200 OK\r\n\r\nabcde", small).error().code, Errc::too_large);

  std::string got;
  ResponseParserOptions exact;
  exact.exact_length = 5;
  exact.body_bytes_max = 4;
  exact.sink = [&](ByteView bytes) { got.append(as_text(bytes)); };
  EXPECT_TRUE(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", exact));
  EXPECT_EQ(got, "abcde");
  got.clear();
  for (const std::string_view text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", "HTTP/1.1 200 OK\r\n\r\nabcd"}) {
    EXPECT_EQ(parse_response(text, exact).error().code, Errc::mismatch) << text;
  }
  // The sink gets bodies of success only.
  got.clear();
  const auto missing =
      parse_response("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", exact, false);
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->body, "no");
  EXPECT_EQ(got, "");
}

TEST(Heads, CannotBeInjectedInto) {
  HttpResponse response;
  response.headers.set("X", "a\r\nSet-Cookie: b");
  EXPECT_FALSE(response_head(response, 0, true));
  response.headers.clear();
  response.headers.set("X Y", "a");
  EXPECT_FALSE(response_head(response, 0, true));
  HttpRequest request;
  for (const char* target : {"", "x", "/a b", "/a\r\nX: y", "http://h/"}) {
    request.target = target;
    EXPECT_FALSE(request_head(request, "h", "rap")) << target;
  }
  EXPECT_EQ(percent_decode("a%2Fb%41"), "a/bA");
  EXPECT_FALSE(percent_decode("%"));
  EXPECT_FALSE(percent_decode("%4"));
  EXPECT_FALSE(percent_decode("%zz"));
  EXPECT_EQ(percent_decode(percent_encode("ü /?&=%")), "ü /?&=%");
}

}  // namespace
}  // namespace rap::net
