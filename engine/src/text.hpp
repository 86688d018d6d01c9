#pragma once

#include <string>
#include <string_view>

namespace veloz {

/// One string of several pieces.
template <class... Pieces>
std::string text(const Pieces&... pieces) {
  std::string out;
  (out.append(std::string_view(pieces)), ...);
  return out;
}

}  // namespace veloz
