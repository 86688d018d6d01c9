#pragma once

#include <string>
#include <string_view>

#include "decimal.hpp"

namespace veloz {

/// Writes one JSON object, its keys in the order of the calls; closed by its destructor.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) {
    out_ += '{';
  }
  ~JsonObject() {
    out_ += '}';
  }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;

  /// Text that needs no escaping: tokens and our own words.
  JsonObject& word(std::string_view key, std::string_view value);
  JsonObject& text(std::string_view key, std::string_view value);
  JsonObject& decimal(std::string_view key, Int128 units);
  JsonObject& integer(std::string_view key, Int128 value);
  JsonObject& flag(std::string_view key, bool value);
  /// Ready JSON.
  JsonObject& raw(std::string_view key, std::string_view json);
  /// Begins `"key":` for the caller to write the value.
  std::string& key(std::string_view key);

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace veloz
