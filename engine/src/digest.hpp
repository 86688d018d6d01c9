#pragma once

#include <string>

#include "account.hpp"

namespace veloz {

/// Section 8's text of an account's state.
std::string state_text(const Account& account);
/// Its SHA-256 in lower-case hex.
std::string state_hash(const Account& account);

}  // namespace veloz
