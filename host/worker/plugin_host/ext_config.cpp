// rap.host.config/1
#include <boost/json.hpp>

#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

const boost::json::value* find(const rap_host* host, const char* at) {
  if (at == nullptr) return nullptr;
  boost::json::error_code error;
  return PluginHost::of(host).config().find_pointer(at, error);
}

rap_str text_of(std::string_view text) {
  return {text.data(), text.size()};
}

rap_str json(const rap_host* host) {
  return text_of(PluginHost::of(host).options().config);
}

rap_result get_int(const rap_host* host, const char* at, std::int64_t* out) {
  const boost::json::value* value = find(host, at);
  if (value == nullptr) return RAP_E_GONE;
  boost::json::error_code error;
  const auto number = value->is_number() ? value->to_number<std::int64_t>(error) : 0;
  if (!value->is_number() || error) return RAP_E_INVALID;
  *out = number;
  return RAP_OK;
}

rap_result get_real(const rap_host* host, const char* at, double* out) {
  const boost::json::value* value = find(host, at);
  if (value == nullptr) return RAP_E_GONE;
  if (!value->is_number()) return RAP_E_INVALID;
  *out = value->to_number<double>();
  return RAP_OK;
}

rap_result get_bool(const rap_host* host, const char* at, std::uint32_t* out) {
  const boost::json::value* value = find(host, at);
  if (value == nullptr) return RAP_E_GONE;
  if (!value->is_bool()) return RAP_E_INVALID;
  *out = value->get_bool() ? 1 : 0;
  return RAP_OK;
}

rap_result get_text(const rap_host* host, const char* at, rap_str* out) {
  const boost::json::value* value = find(host, at);
  if (value == nullptr) return RAP_E_GONE;
  if (!value->is_string()) return RAP_E_INVALID;
  *out = text_of(value->get_string());
  return RAP_OK;
}

}  // namespace

const rap_host_config_1 kConfigTable = {json, get_int, get_real, get_bool, get_text};

}  // namespace rap::worker
