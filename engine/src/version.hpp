#pragma once

#include <string_view>

namespace veloz {

inline constexpr std::string_view kVersion = VELOZ_VERSION;
inline constexpr int kProtocol = 1;

}  // namespace veloz
