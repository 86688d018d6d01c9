#pragma once

#include <string>

#include "risk.hpp"

namespace veloz {

/// Why an amendment was refused, in words: the values asked for, then the rule.
std::string amendment_refused(Code code, const Order& order, const Amendment& wanted);

}  // namespace veloz
