#include "cli/api.hpp"

#include <algorithm>
#include <iostream>

#include <boost/json.hpp>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/json.hpp"
#include "cli/http_options.hpp"
#include "cli/output.hpp"
#include "cli/run_task.hpp"

namespace rap::cli {
namespace {

constexpr std::size_t kPageItems = 200;                 // the most that the API gives
constexpr std::size_t kBodyBytesMax = 4 * 1024 * 1024;  // a page of 200 large resources

std::string with_query(const std::string& path, const std::string& query) {
  return path + (path.find('?') == std::string::npos ? "?" : "&") + query;
}

Exit exit_of_status(unsigned status) {
  switch (status) {
    case 400:
      return Exit::usage;  // what was asked for came from the command line
    case 401:
      return Exit::unauthorized;
    case 403:
      return Exit::forbidden;
    case 404:
      return Exit::not_found;
    case 409:
    case 412:
    case 428:
      return Exit::conflict;
    case 429:
    case 502:
    case 503:
    case 504:
      return Exit::unavailable;
    default:
      return Exit::error;
  }
}

json::value parsed(const ApiResponse& answer) {
  if (answer.body.empty()) return nullptr;
  return require(parse_json(answer.body, {kBodyBytesMax, 32}), "answer of the server");
}

class HttpApi final : public Api {
 public:
  explicit HttpApi(const Context& context) : server_(context.server), token_(context.token) {
    const net::HttpClientOptions options = http_options(context);
    client_ = require(net::HttpClient::create(io_.get_executor(), options), server_);
  }

  ApiResponse send(const ApiRequest& request) override {
    net::HttpRequest http;
    http.method = request.method;
    http.target = request.path;
    http.headers.set("accept", "application/json");
    if (!token_.empty()) http.headers.set("authorization", "Bearer " + token_);
    if (!request.if_match.empty()) http.headers.set("if-match", request.if_match);
    if (!request.body.empty()) {
      http.headers.set("content-type", "application/json");
      http.body = request.body;
    }
    if (request.method == "POST") {
      http.headers.set("idempotency-key", to_base64url(random_bytes(24)));
    }
    const net::HttpResponse answer = exchange(http);
    if (answer.status < 200 || answer.status >= 300) {
      throw_api_failure(request, answer.status, answer.body);
    }
    ApiResponse out;
    if (const auto etag = answer.headers.find("etag")) out.etag = std::string(*etag);
    out.body = answer.body;
    return out;
  }

 private:
  net::HttpResponse exchange(const net::HttpRequest& http) {
    net::HttpCall call;
    call.body_bytes_max = kBodyBytesMax;
    for (int attempt = 0;; ++attempt) {
      try {
        return run_task(io_, client_->send(http, call));
      } catch (const net::NetError& error) {
        // Creates may be repeated: the key makes them one.
        if (error.code() == Errc::unavailable && attempt == 0 && http.method == "POST") continue;
        throw Failure(error.error(), server_, advice(error.code()));
      }
    }
  }

  static std::string advice(Errc code) {
    switch (code) {
      case Errc::unavailable:
      case Errc::timeout:
        return "is the control plane running, and is the address right?";
      case Errc::unauthorized:
      case Errc::mismatch:
        return "the server is not the one that was trusted at login; if its CA was replaced, log "
               "in "
               "again with --ca-file";
      default:
        return {};
    }
  }

  std::string server_;
  std::string token_;
  net::asio::io_context io_{1};
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace

json::value Api::get(const std::string& path) {
  return parsed(send({"GET", path, {}, {}}));
}

json::value Api::post(const std::string& path) {
  return parsed(send({"POST", path, "{}", {}}));
}

json::value Api::post(const std::string& path, const json::value& body) {
  return parsed(send({"POST", path, json::serialize(body), {}}));
}

json::value Api::remove(const std::string& path) {
  return parsed(send({"DELETE", path, {}, {}}));
}

json::array Api::list(const std::string& path, std::size_t most) {
  json::array all;
  std::string cursor;
  do {
    std::string query = "limit=" + std::to_string(std::min(kPageItems, most - all.size()));
    if (!cursor.empty()) query += "&cursor=" + cursor;
    json::value page = get(with_query(path, query));
    const json::object* object = page.if_object();
    const json::value* items = object ? object->if_contains("items") : nullptr;
    if (!items || !items->is_array()) {
      throw Failure(Exit::error, "the answer to GET " + path + " is no list");
    }
    for (const auto& item : items->get_array()) all.push_back(item);
    cursor = net::percent_encode(json_string_or_none(*object, "next_cursor").value_or(""));
  } while (!cursor.empty() && all.size() < most);
  if (!cursor.empty()) {
    std::cerr << "rapctl: there are more than these " << all.size()
              << (most < kListItemsMax ? "; --limit shows up to " + std::to_string(kListItemsMax)
                                       : ", which is the most that a list shows")
              << "\n";
  }
  return all;
}

void throw_api_failure(const ApiRequest& request, unsigned status, const std::string& body) {
  std::string detail, code;
  bool wrong_field = false;
  const auto parsed = parse_json(body);
  if (parsed && parsed->is_object()) {
    const json::object& problem = parsed->get_object();
    code = json_string_or_none(problem, "code").value_or("");
    detail = json_string_or_none(problem, "detail")
                 .value_or(json_string_or_none(problem, "title").value_or(""));
    detail = printable(detail);  // line ends are ours
    if (const json::value* errors = problem.if_contains("errors"); errors && errors->is_array()) {
      for (const auto& error : errors->get_array()) {
        if (!error.is_object()) continue;
        wrong_field = true;
        std::string where = json_string_or_none(error.get_object(), "pointer").value_or("");
        if (where.starts_with('/')) where.erase(0, 1);
        const std::string what = printable(
            where + ": " + json_string_or_none(error.get_object(), "detail").value_or(""));
        // The first one is the sentence already.
        if (detail.find(what) == std::string::npos) detail += "\n  " + what;
      }
    }
  }
  if (detail.empty()) {
    detail =
        request.method + " " + request.path + " was answered with status " + std::to_string(status);
  }
  if (code == "totp_required") throw TotpRequired(Exit::unauthorized, detail);
  const bool login = request.path == "/v1/auth/login";
  // Every field came from the command line.
  throw Failure(wrong_field ? Exit::usage : exit_of_status(status), detail,
                status == 401 && !login ? "log in: rapctl login" : "");
}

std::unique_ptr<Api> connect_api(const Context& context) {
  return std::make_unique<HttpApi>(context);
}

}  // namespace rap::cli
