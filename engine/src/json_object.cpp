#include "json_object.hpp"

namespace veloz {
namespace {

void append_escaped(std::string& out, std::string_view value) {
  constexpr std::string_view hex = "0123456789abcdef";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte > 0x7e) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 0xf];
    } else {
      out += c;
    }
  }
}

}  // namespace

std::string& JsonObject::key(std::string_view name) {
  out_.append(first_ ? "\"" : ",\"", first_ ? 1 : 2);
  first_ = false;
  out_.append(name);
  return out_.append("\":", 2);
}

JsonObject& JsonObject::word(std::string_view name, std::string_view value) {
  key(name) += '"';
  out_.append(value);
  out_ += '"';
  return *this;
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  key(name) += '"';
  append_escaped(out_, value);
  out_ += '"';
  return *this;
}

JsonObject& JsonObject::decimal(std::string_view name, Int128 units) {
  append_decimal(key(name), units);
  return *this;
}

JsonObject& JsonObject::integer(std::string_view name, Int128 value) {
  append_integer(key(name), value);
  return *this;
}

JsonObject& JsonObject::flag(std::string_view name, bool value) {
  key(name) += value ? "true" : "false";
  return *this;
}

JsonObject& JsonObject::raw(std::string_view name, std::string_view json) {
  key(name) += json;
  return *this;
}

}  // namespace veloz
